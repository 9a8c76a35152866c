"""The programs of `examples/`, and the test that `docs/testing.md` shows, run as they stand."""

import asyncio
import re
import sys
import wave
from pathlib import Path

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


async def test_the_test_in_the_guide_passes(tmp_path: Path):
    shown = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    assert shown is not None
    async with serving(tmp_path / "data") as server:
        await server.create(settings={"aliases": ["first"]}, pre_actions=[talk("Welcome.")])
        guide: dict = {}
        exec(shown[1].replace("127.0.0.1:5060", server.sip), guide)
        await guide["test_everyone_hears_everyone_else"]()
