"""What is left of a recording when the engine is killed, and of the sound when the server is."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from stages import Stage, stage
from test_sound import wav

from plenary.media import messages as wire
from plenary.testing import tones_in
from plenary.testing.engine import engine_client, has_native_engine, native_engine
from plenary.testing.tones import RATE_HZ

pytestmark = pytest.mark.skipif(not has_native_engine(), reason="the native engine is not built")


async def test_kill_9_of_the_engine_loses_at_most_the_last_second_of_a_recording(tmp_path: Path):
    path = tmp_path / "killed.wav"
    async with stage(tmp_path, "killed", (32_500, 32_599)) as scene:
        ann = await scene.caller()
        ann.voice.say(440)
        scene.client.send(wire.StartRecording(recording="r", room=scene.room, path=str(path)))
        await scene.client.expect(wire.RecordingStarted, recording="r")
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(1.8)
        os.kill(json.loads((tmp_path / "engine.json").read_text())["pid"], signal.SIGKILL)
        recorded_s = asyncio.get_running_loop().time() - started
        sound = wav(path)
    assert len(sound) / RATE_HZ >= recorded_s - 1.0
    assert tones_in(sound[-4000:], [440, 650]) == {440}


async def test_sound_goes_on_while_there_is_no_server(tmp_path: Path):
    async with native_engine(tmp_path, (32_600, 32_699)) as process, AsyncExitStack() as exits:
        async with engine_client(process.socket) as client:
            ann, bob = await Stage(client, "orphans", tmp_path, exits).callers(["PCMU", "PCMU"])
            ann.voice.say(440)
            await asyncio.sleep(0.3)
            bob.voice.forget()
        await asyncio.sleep(0.5)
        async with engine_client(process.socket, client.engine, client.last_seq) as again:
            assert again.welcome is not None
            assert {leg.leg for leg in again.welcome.snapshot.legs} == {ann.leg, bob.leg}
            await asyncio.sleep(0.2)
        assert (bob.voice.reception.gaps, bob.voice.reception.lost) == (0, 0)
        assert tones_in(bob.voice.heard().last(0.6), [440, 650]) == {440}
