"""A disk that is small enough to be filled."""

import contextlib
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

SMALL = "size=3m"


class SmallDisk:
    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.path / "fill").open("wb", buffering=0) as file:
            while True:
                os.write(file.fileno(), bytes(512))

    def free(self) -> None:
        (self.path / "fill").unlink()


@contextlib.contextmanager
def mounted(path: Path) -> Generator[SmallDisk]:
    """Skips the test where nothing may be mounted."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", path], capture_output=True).returncode:
        pytest.skip("a disk to fill is mounted by root only")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
