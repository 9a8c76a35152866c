"""What stands beside the package and is run by hand alone begins at all."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", ["bench", "bench/audio", "examples/call.py"])
def test_a_program_tells_how_it_is_used(program: str):
    told = subprocess.run([sys.executable, program, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("usage: ")
