"""kill -9 of the server, of the media engine, of both: what the phones hear of it, and what is there afterwards.

The phones are virtual ones: they know each packet that they have sent and heard.
"""

import asyncio
import io
import os
import signal
import wave
from array import array
from pathlib import Path
from typing import Any

import msgspec
from hearing import TONES, Listening, hear_each_other, hears, humming, into_room
from serving import UNTIL_S, Serving, is_running, serving, serving_in_here, until

from plenary.core.events import EngineLost
from plenary.testing.tones import tones_in

HUM_S = 0.7
DOWN_S = 0.5


def numbered_without_gap(events: list[dict[str, Any]]) -> bool:
    return [event["number"] for event in events] == list(range(1, len(events) + 1))


def told(server: Serving) -> list[dict[str, Any]]:
    """What whoever runs the server can read in its log: one line of JSON each, without their times."""
    lines = map(msgspec.json.decode, server.data.with_suffix(".log").read_text().splitlines())
    return [{name: what for name, what in line.items() if name not in ("timestamp", "level")} for line in lines]


async def recorded(server: Serving, recording: str) -> array:
    """The samples of the download, which must be one valid WAV file."""
    content = (await server.rest.get(f"/recordingfiles/{recording}")).content
    with wave.open(io.BytesIO(content)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 8000)
        assert 44 + 2 * wav.getnframes() == len(content)
        return array("h", wav.readframes(wav.getnframes()))


def tones_of(pcm: array) -> set[float]:
    return tones_in(pcm, TONES.values())


async def start_recording(server: Serving, conference: str) -> str:
    id = (await server.rest.post(f"/conferences/{conference}/recording_start")).json()["recording_id"]
    await server.until_is(f"/recordings/{id}", status="recording")
    return id


PIN = [
    {"type": "answer"},
    {"type": "digits_receive", "option": {"duration": 20_000, "length": 3}},
]
TIMEOUT_S = 7


async def test_nobody_hears_that_the_server_was_killed(tmp_path: Path):
    """Audio goes on without a gap; BYE, kick, digit, timeout and hold arrive at the next server as if nothing was."""
    async with serving(tmp_path / "data") as server, humming("ann", "bob", "eve", "joe") as phones:
        ann, bob, eve, joe = phones
        room, gate = (await server.create())["id"], (await server.create(pre_actions=PIN))["id"]
        short = await server.create(timeout=TIMEOUT_S)
        await joe.call(f"sip:{gate}@{server.sip}")
        await into_room(server, room, [ann, bob, eve])
        async with humming("joe") as (late,):
            await into_room(server, short["id"], [late])
            recording = await start_recording(server, room)
            await hear_each_other(ann, bob, eve)
            before = await server.get(f"/conferences/{room}")

            listening = Listening(ann, bob, eve)
            await server.kill()
            await asyncio.sleep(DOWN_S)
            bye = asyncio.create_task(bob.hang_up())  # nobody answers it yet
            listening = listening.without(bob)
            await server.start()
            await hear_each_other(ann, eve)
            listening.assert_no_gap()

            await asyncio.wait_for(bye, 10)
            await server.until_inside(room, 2)
            await joe.press("42#")
            await server.until_inside(gate, 1)
            await eve.hold()
            calls = (await server.get("/calls"))["result"]
            assert [call["on_hold"] for call in calls if call["source"]["target"].startswith("eve")] == [True]
            await hears(ann, set())
            await eve.resume()
            await hear_each_other(ann, eve)
            members = (await server.get(f"/conferencecalls?conference_id={room}&page_size=50"))["result"]
            by_call = {call["id"]: call["source"]["target"] for call in calls}
            kicked = next(one["id"] for one in members if by_call.get(one["reference_id"], "").startswith("ann"))
            assert kicked in before["conferencecall_ids"]
            await server.rest.delete(f"/conferencecalls/{kicked}")
            assert await asyncio.wait_for(ann.ended, 5) == "bye"
            assert await asyncio.wait_for(late.ended, TIMEOUT_S) == "bye"
            assert (await server.conference(short["id"]))["status"] == "terminated"

        await server.rest.post(f"/conferences/{room}/recording_stop")
        ended = await server.until_recording_ended(recording)
        pcm = await recorded(server, recording)
        assert ended["parts"] == 1
        assert ended["duration_ms"] == len(pcm) // 8
        assert tones_of(pcm[4000:8000]) == {TONES["ann"], TONES["bob"], TONES["eve"]}
        events = await server.events(room)
        assert numbered_without_gap(events)
        kinds = [event["type"] for event in events]
        assert kinds.count("server_recovered") == 1
        assert told(server) == [
            {"event": "the calls of the server before this one are taken up", "calls": 5},
            {"event": "the media engine of the server before this one goes on", "pid": server.engine_pid()},
        ]
        reasons = sorted(event["data"]["reason"] for event in events if event["type"] == "conferencecall_leaved")
        assert reasons == ["hangup", "kicked"]


async def test_calls_come_back_after_the_engine_was_killed(tmp_path: Path):
    """Each call gets a re-INVITE with its new address; the recording goes on in a new part."""
    async with serving(tmp_path / "data") as server, humming("ann", "bob") as phones:
        ann, bob = phones
        room = (await server.create())["id"]
        inside = await into_room(server, room, phones)
        recording = await start_recording(server, room)
        await hear_each_other(ann, bob)
        await asyncio.sleep(HUM_S)
        first = server.engine_pid()
        os.kill(first, signal.SIGKILL)
        await until(lambda: not is_running(first) and server.engine_pid() != first, "the engine is started again")
        await server.until_is(f"/recordings/{recording}", parts=2)
        before = {phone: len(phone.heard().pcm) for phone in phones}
        await until(
            lambda: all(len(phone.heard().pcm) > before[phone] + 8000 for phone in phones), "both hear something again"
        )
        await hear_each_other(ann, bob)
        ended, again, back = told(server)
        assert ended == {"event": "the media engine has ended", "how": "signal 9 (SIGKILL)", "calls": 2}
        assert (again["event"], again["pid"]) == ("the media engine was started again", server.engine_pid())
        assert (back["brought_back"], back["lost"]) == (2, 0)
        assert 0 < back["after_s"] < again["after_s"] + UNTIL_S
        assert sorted((await server.conference(room))["conferencecall_ids"]) == sorted(inside)
        await server.rest.delete(f"/conferences/{room}")
        assert await asyncio.gather(ann.ended, bob.ended) == ["bye", "bye"]
        ended = await server.until_recording_ended(recording)
        pcm = await recorded(server, recording)
        assert (ended["parts"], ended["duration_ms"]) == (2, len(pcm) // 8)
        assert tones_of(pcm[2000:6000]) == tones_of(pcm[-6000:-2000]) == {TONES["ann"], TONES["bob"]}
        events = await server.events(room)
        assert numbered_without_gap(events)
        assert "media_lost" in [event["type"] for event in events]


async def test_calls_come_back_after_both_were_killed(tmp_path: Path):
    async with serving(tmp_path / "data") as server, humming("ann", "bob") as phones:
        room = (await server.create())["id"]
        inside = await into_room(server, room, phones)
        recording = await start_recording(server, room)
        await hear_each_other(*phones)
        await asyncio.sleep(HUM_S)
        await server.kill()
        os.kill(server.engine_pid(), signal.SIGKILL)
        before = {phone: len(phone.heard().pcm) for phone in phones}
        await server.start()
        await until(
            lambda: all(len(phone.heard().pcm) > before[phone] + 8000 for phone in phones), "both hear something again"
        )
        await hear_each_other(*phones)
        assert sorted((await server.conference(room))["conferencecall_ids"]) == sorted(inside)
        await server.until_is(f"/recordings/{recording}", parts=2)
        await server.rest.post(f"/conferences/{room}/recording_stop")
        ended = await server.until_recording_ended(recording)
        pcm = await recorded(server, recording)
        assert (ended["parts"], ended["duration_ms"]) == (2, len(pcm) // 8)
        assert tones_of(pcm[2000:6000]) == {TONES["ann"], TONES["bob"]}
        await asyncio.gather(*(phone.hang_up() for phone in phones))
        await server.until_inside(room, 0)
        events = await server.events(room)
        assert numbered_without_gap(events)
        assert "server_recovered" in [event["type"] for event in events]


async def test_the_server_is_not_ready_before_its_calls_were_compared_with_the_engine(tmp_path: Path):
    """The engine's welcome alone does not do: who holds his call in that moment would be refused."""
    async with serving_in_here(tmp_path / "data") as (here, _):
        server = here.server
        assert server.trouble() == []
        server.switch.handle(EngineLost(), server.now())
        assert server.link.ready
        assert server.trouble() == ["The media engine is not connected."]


async def test_an_engine_without_a_server_ends_by_itself(tmp_path: Path):
    """It closes its recordings first; what was recorded is there at the next start."""
    async with serving(tmp_path / "data", orphan_timeout_s=1.0) as server, humming("ann", "bob") as phones:
        room = (await server.create())["id"]
        await into_room(server, room, phones)
        recording = await start_recording(server, room)
        await hear_each_other(*phones)
        engine = server.engine_pid()
        await server.kill()
        await until(lambda: not is_running(engine), "the engine has ended", timeout_s=6)
        part = (server.data / "recordings" / recording / "1.wav").read_bytes()
        with wave.open(io.BytesIO(part)) as wav:
            assert 44 + 2 * wav.getnframes() == len(part)
            pcm = array("h", wav.readframes(wav.getnframes()))
        assert tones_of(pcm[2000:6000]) == {TONES["ann"], TONES["bob"]}
        for phone in phones:
            phone.vanish()


async def test_sigterm_hangs_up_and_conferences_are_there_again(tmp_path: Path):
    """Calls end with a BYE, those that are not answered yet with a refusal; status 0; nothing runs any more."""
    async with serving(tmp_path / "data") as server, humming("ann", "bob", "eve") as (ann, bob, eve):
        room = (await server.create(settings={"aliases": ["club"]}))["id"]
        quiet = (await server.create(pre_actions=[{"type": "sleep", "option": {"duration": 20_000}}]))["id"]
        await into_room(server, room, [ann, bob])
        waiting = eve.dial(f"sip:{quiet}@{server.sip}")
        recording = await start_recording(server, room)
        await asyncio.sleep(HUM_S)
        await server.until_is("/conferencecalls", result=lambda all_: len(all_) == 3)
        engine = server.engine_pid()
        assert await server.terminate() == 0
        assert await asyncio.gather(ann.ended, bob.ended, eve.ended) == ["bye", "bye", "refused"]
        assert waiting.exception() is not None
        assert not is_running(engine)

        await server.start()
        assert (await server.conference(room))["status"] == "progressing"
        assert (await server.conference(room))["conferencecall_ids"] == []
        assert len(await recorded(server, recording)) > 2000
        assert (await server.until_recording_ended(recording))["end_reason"] == "stopped"
        await ann.call(f"sip:club@{server.sip}")
        await server.until_inside(room, 1)
        assert numbered_without_gap(await server.events(room))
