"""What is left of a recording when the engine is killed or the disk is full, and of the sound when the server is."""

import asyncio
import json
import os
import resource
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from stages import Stage, rtp_ports, stage
from test_sound import hears, wav

from plenary.media import messages as wire
from plenary.testing import tones_in
from plenary.testing.engine import engine_client, has_native_engine, native_engine
from plenary.testing.tones import RATE_HZ

pytestmark = pytest.mark.skipif(not has_native_engine(), reason="the native engine is not built")


async def test_kill_9_of_the_engine_loses_at_most_the_last_second_of_a_recording(tmp_path: Path):
    path = tmp_path / "killed.wav"
    async with stage(tmp_path, "killed") as scene:
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


async def test_a_disk_that_takes_no_more_ends_the_recording_and_disturbs_no_sound(tmp_path: Path):
    """A limit on the size of files stands in for the disk: both take a part of what is written, then nothing."""
    path, again = tmp_path / "full.wav", tmp_path / "again.wav"
    limit, second = 20_001, RATE_HZ * wire.SAMPLE_BYTES
    async with stage(tmp_path, "full") as scene:
        ann, bob = await scene.callers(["PCMU", "PCMU"])
        ann.voice.say(440)
        pid = json.loads((tmp_path / "engine.json").read_text())["pid"]
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        scene.client.send(wire.StartRecording(recording="r", room=scene.room, path=str(path)))
        ended = await scene.client.expect(wire.RecordingEnded, recording="r")
        assert (ended.reason, "too large" in ended.detail) == ("disk_error", True)
        # Nothing was written of the last half second, nor is anything there that the header does not tell of.
        assert limit - second // 2 < ended.bytes == path.stat().st_size <= limit
        assert len(wav(path)) * wire.SAMPLE_BYTES + 44 == ended.bytes

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        scene.client.send(wire.StartRecording(recording="t", room=scene.room, path=str(again)))
        assert (await scene.client.expect(wire.RecordingEnded, recording="t")).reason == "disk_error"
        assert not again.exists()

        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        scene.client.send(wire.StartRecording(recording="s", room=scene.room, path=str(again), max_duration_ms=200))
        assert (await scene.client.expect(wire.RecordingEnded, recording="s")).reason == "duration"
        await hears(bob, 440)
        scene.assert_whole(bob)


async def test_sound_goes_on_while_there_is_no_server(tmp_path: Path):
    async with native_engine(tmp_path, rtp_ports(100)) as process, AsyncExitStack() as exits:
        async with engine_client(process.socket) as client:
            scene = Stage(client, "orphans", tmp_path, exits)
            ann, bob = await scene.callers(["PCMU", "PCMU"])
            ann.voice.say(440)
            await asyncio.sleep(0.3)
            bob.voice.forget()
        await asyncio.sleep(0.5)
        async with engine_client(process.socket, client.engine, client.last_seq) as again:
            assert again.welcome is not None
            assert {leg.leg for leg in again.welcome.snapshot.legs} == {ann.leg, bob.leg}
            await asyncio.sleep(0.2)
        scene.assert_whole(bob)
        await hears(bob, 440)
