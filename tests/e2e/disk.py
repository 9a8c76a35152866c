"""A disk that is small enough to be filled, and a server on it in this process."""

import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest
from serving import KEY, Serving

from plenary.config import Config, Settings
from plenary.running import RunningServer, running

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


@contextlib.asynccontextmanager
async def up_in_here(data: Path) -> AsyncGenerator[tuple[RunningServer, httpx.AsyncClient]]:
    """A server of this process, and a client of its API."""
    where = Serving(data)
    settings = Settings(
        http=where.http, sip=where.sip, data=data, rtp_ports=where.rtp_ports, media_threads=1, access_key=KEY
    )
    async with where.rest, running(Config.from_settings(settings)) as server:
        yield server, where.rest
