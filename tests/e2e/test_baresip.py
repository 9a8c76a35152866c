"""Real phones on a real server: what they hear proves what it does."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from baresip import PORTS, Baresip, is_installed, write_wav
from serving import Serving, serving, talk

from plenary.testing.tones import level_dbfs, tone, tones_in
from ports import free_ports

pytestmark = pytest.mark.skipif(not is_installed(), reason="baresip is not installed")

CODECS = {"ann": "PCMU", "bob": "PCMA", "eve": "PCMA"}
TONES = {"ann": 440, "bob": 650, "eve": 910}
"""Hz, none a multiple of another."""
LISTEN_S = 1.5


@contextlib.asynccontextmanager
async def phones(folder: Path, *names: str, password: str = "") -> AsyncGenerator[list[Baresip]]:
    """Phones that hum their tone as long as they are in a call."""
    async with contextlib.AsyncExitStack() as ending:
        yield [
            await ending.enter_async_context(
                Baresip(
                    name,
                    folder / name,
                    write_wav(folder / f"{name}.wav", tone(TONES[name], 60.0)),
                    free_ports(PORTS),
                    CODECS[name],
                    password,
                )
            )
            for name in names
        ]


def heard_by(phone: Baresip, seconds: float = 1.0) -> set[int]:
    """The tones that the phone has heard last."""
    pcm = phone.heard()
    return set(tones_in(pcm[-int(seconds * 8000) :], list(TONES.values())))


def everyone_but(name: str) -> set[int]:
    return set(TONES.values()) - {TONES[name]}


async def into_room(server: Serving, conference: str, callers: list[Baresip]) -> None:
    await asyncio.gather(*(phone.dial(f"sip:{conference}@{server.sip}") for phone in callers))
    await server.until_inside(conference, len(callers))


async def test_everyone_hears_everyone_else_and_nobody_himself(tmp_path: Path):
    """Also through different codecs."""
    async with serving(tmp_path / "data") as server, phones(tmp_path, *TONES) as callers:
        conference = (await server.create())["id"]
        await into_room(server, conference, callers)
        await asyncio.sleep(LISTEN_S)
        assert {phone.name: heard_by(phone) for phone in callers} == {name: everyone_but(name) for name in TONES}
        assert await server.terminate() == 0
        for phone in callers:
            await phone.event("CALL_CLOSED")


async def test_greeting_recording_and_farewell(server: Serving, tmp_path: Path):
    """conference.md: a phone hears the welcome, then the others; on delete it hears the farewell and is hung up."""
    async with phones(tmp_path, "ann", "bob") as (ann, bob):
        body = {"pre_actions": [talk("Welcome to this.")], "post_actions": [talk("Good bye to you.")]}
        conference = (await server.create(**body))["id"]
        await ann.dial(f"sip:{conference}@{server.sip}")
        await server.until_inside(conference, 1)
        assert level_dbfs(ann.heard()) > -40, "no greeting"
        recording = (await server.rest.post(f"/conferences/{conference}/recording_start")).json()["recording_id"]
        await bob.dial(f"sip:{conference}@{server.sip}")
        await server.until_inside(conference, 2)
        await asyncio.sleep(LISTEN_S)
        assert heard_by(bob) == {TONES["ann"]}
        inside = len(ann.heard())
        await server.rest.delete(f"/conferences/{conference}")
        await asyncio.gather(ann.event("CALL_CLOSED"), bob.event("CALL_CLOSED"))
        assert level_dbfs(ann.heard()[inside + 4000 :]) > -40, "no farewell"
        await server.until(conference, status="terminated", conferencecall_ids=[], recording_id=lambda id: id[0] == "0")
        ended = await server.until_recording_ended(recording)
        wav = (await server.rest.get(f"/recordingfiles/{recording}")).content
        both = memoryview(wav[-44 - 8000 * 2 :][44:]).cast("h")
        assert tones_in(both, list(TONES.values())) == {TONES["ann"], TONES["bob"]}
        assert ended["duration_ms"] > 1000 * LISTEN_S


async def test_a_phone_holds_and_resumes(server: Serving, tmp_path: Path):
    """RFC 3264 section 8.4. While bob holds, ann does not hear him."""
    async with phones(tmp_path, "ann", "bob") as (ann, bob):
        conference = (await server.create())["id"]
        await into_room(server, conference, [ann, bob])
        await asyncio.sleep(LISTEN_S)
        assert (heard_by(ann), heard_by(bob)) == ({TONES["bob"]}, {TONES["ann"]})
        await bob.hold()
        await asyncio.sleep(LISTEN_S)
        assert heard_by(ann) == set()
        calls = (await server.get("/calls"))["result"]
        assert sorted(call["on_hold"] for call in calls if call["conference_id"] == conference) == [False, True]
        await bob.resume()
        await asyncio.sleep(LISTEN_S)
        assert heard_by(ann) == {TONES["bob"]}
        assert len((await server.conference(conference))["conferencecall_ids"]) == 2


def asks_for_pin(pin: str) -> list[dict]:
    """A PIN out of actions: three keys, the right ones lead on, others to the door."""
    inside, out = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
    return [
        {"type": "answer"},
        {"type": "digits_receive", "option": {"duration": 10_000, "length": len(pin)}},
        {"type": "branch", "option": {"default_target_id": out, "target_ids": {pin: inside}}},
        {"id": out, "type": "hangup", "option": {}},
        {"id": inside, "type": "beep", "option": {}},
    ]


async def test_keys_open_the_door(server: Serving, tmp_path: Path):
    """RFC 4733 digits of a real phone reach `digits_receive`; wrong ones are shown the door."""
    async with phones(tmp_path, "ann", "bob") as (ann, bob):
        conference = (await server.create(pre_actions=asks_for_pin("42#")))["id"]
        await asyncio.gather(ann.dial(f"sip:{conference}@{server.sip}"), bob.dial(f"sip:{conference}@{server.sip}"))
        await asyncio.sleep(0.3)
        await asyncio.gather(ann.press("42#"), bob.press("43#"))
        await bob.event("CALL_CLOSED")
        await server.until_inside(conference, 1)
        assert {event["data"]["reason"] for event in await server.events(conference) if "leaved" in event["type"]}


async def test_digest_lets_in_who_knows_the_password(tmp_path: Path):
    """RFC 3261 section 22: 401, then the same call with credentials."""
    options = ("--no-sip-anonymous", "--sip-users", "ann:secret")
    async with serving(tmp_path / "data", *options) as server:
        conference = (await server.create())["id"]
        async with (
            phones(tmp_path, "ann", password="secret") as (ann,),
            phones(tmp_path, "bob", password="x") as (bob,),
        ):
            await into_room(server, conference, [ann])
            with pytest.raises(TimeoutError):
                await bob.dial(f"sip:{conference}@{server.sip}", timeout_s=1.5)
            assert len((await server.conference(conference))["conferencecall_ids"]) == 1
