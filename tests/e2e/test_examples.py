"""The programs of `examples/`, and the test that `docs/testing.md` shows, run as they stand."""

import asyncio
import re
import sys
import wave
from pathlib import Path

import pytest
from serving import serving, talk

from plenary.testing.tones import level_dbfs
from plenary.testing.voice import read_wav

ROOT = Path(__file__).parents[2]


async def test_the_phone_of_the_command_line_calls_and_writes_down_what_it_hears(tmp_path: Path):
    async with serving(tmp_path / "data") as server:
        await server.create(settings={"aliases": ["hello"]}, pre_actions=[talk("Welcome to the example.")])
        process = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / "examples" / "call.py", f"sip:hello@{server.sip}", "--seconds", "2",
            "--hear", tmp_path / "heard.wav", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert b"answered" in out
        assert level_dbfs(read_wav(tmp_path / "heard.wav")) > -45
        with wave.open(str(tmp_path / "heard.wav")) as heard:
            assert 1.5 < heard.getnframes() / 8000 < 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["sip:nothing@{sip}"], "refused: 404"),
        (["sip:hello@127.0.0.1:9"], "nobody answers"),
        (["sip:hello@{sip}", "--say", "{wav}"], "no WAV file of one channel, 8000 Hz, 16 bit; sox"),
        (["sip:hello@{sip}", "--say", "missing.wav"], "missing.wav"),
    ],
)
async def test_a_call_that_comes_to_nothing_is_told_in_a_sentence(tmp_path: Path, options: list[str], says: str):
    with wave.open(str(tmp_path / "fast.wav"), "wb") as fast:
        fast.setparams((1, 2, 16_000, 0, "NONE", ""))
    async with serving(tmp_path / "data") as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / "examples" / "call.py",
            *(option.format(sip=server.sip, wav=tmp_path / "fast.wav") for option in options),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, told = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert says in told.decode()
    assert told.count(b"\n") == 1


async def test_the_test_in_the_guide_passes(tmp_path: Path):
    shown = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    assert shown is not None
    async with serving(tmp_path / "data") as server:
        await server.create(settings={"aliases": ["first"]}, pre_actions=[talk("Welcome.")])
        guide: dict = {}
        exec(shown[1].replace("127.0.0.1:5060", server.sip), guide)
        await guide["test_everyone_hears_everyone_else"]()
