"""Two places for phones to call, each with a policy of its own about encryption."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import baresip
import pytest
from baresip import PORTS, Baresip, write_wav
from hearing import hear_each_other, humming
from serving import POLL_S, UNTIL_S, Serving, serving

from plenary.testing.phone import Phone
from plenary.testing.tones import tone
from ports import free_port, free_ports, is_bound

needs_baresip = pytest.mark.skipif(not baresip.is_installed(), reason="baresip is not installed")


@asynccontextmanager
async def two_places(data: Path) -> AsyncGenerator[tuple[Serving, str, str]]:
    """A server, where everybody may call, and where only the encrypted may."""
    strict = f"127.0.0.1:{free_port()}"
    async with serving(data, "--sip", f"{strict}?srtp=required") as server:
        yield server, server.sip, strict


def phone(folder: Path, name: str, encryption: str) -> Baresip:
    hum = write_wav(folder / f"{name}.wav", tone(440, 1.0), times=60)
    return Baresip(name, folder / name, hum, free_ports(PORTS), encryption=encryption)


async def joined(server: Serving, conference: str, number: int) -> list[str]:
    """Their ids, once as many are in the room, with all that their phones have to say to it."""
    ids = await server.until_inside(conference, number)
    for id in ids:
        await server.until_is(f"/conferencecalls/{id}", status="joined")
    return ids


async def transport(server: Serving, conferencecall: str) -> str:
    """How its media travels, once that is known."""
    async with asyncio.timeout(UNTIL_S):
        while not (answer := await server.rest.get(f"/conferencecalls/{conferencecall}/quality")).is_success:
            await asyncio.sleep(POLL_S)
    return answer.json()["transport"]


@needs_baresip
async def test_each_place_has_its_own_policy(tmp_path: Path):
    """In the clear: refused at one, let in at the other. With SDES: encrypted at both. Hold, resume and the BYE of
    either side arrive."""
    async with (
        two_places(tmp_path / "data") as (server, lax, strict),
        phone(tmp_path, "ann", "") as ann,
        phone(tmp_path, "bob", "srtp-mand") as bob,
        phone(tmp_path, "eve", "srtp-mand") as eve,
    ):
        ready = (await server.rest.get(f"http://{server.http}/readyz")).json()
        assert ready["sip"] == [{"address": lax, "srtp": "optional"}, {"address": strict, "srtp": "required"}]
        room = (await server.create())["id"]
        why = await ann.refused(f"sip:{room}@{strict}")
        assert "This server takes encrypted calls (SRTP) only" in why
        ann.events.clear()
        await ann.dial(f"sip:{room}@{lax}")
        await bob.dial(f"sip:{room}@{lax}")
        await eve.dial(f"sip:{room}@{strict}")
        inside = await joined(server, room, 3)
        assert sorted([await transport(server, id) for id in inside]) == ["rtp", "srtp", "srtp"]
        for caller in (bob, eve):
            await caller.hold()
            await caller.resume()
        await bob.hang_up()
        await server.until_inside(room, 2)
        await eve.hang_up()
        (last,) = await server.until_inside(room, 1)
        assert (await server.rest.delete(f"/conferencecalls/{last}")).is_success
        await ann.event("CALL_CLOSED")


async def test_a_call_goes_on_where_it_came_in_after_kill_9(tmp_path: Path):
    """Requests of both sides go by the second place, before and after."""
    other = f"127.0.0.1:{free_port()}"
    async with serving(tmp_path / "data", "--sip", other) as server, humming("ann", "bob") as (ann, bob):
        room = (await server.create())["id"]
        await ann.call(f"sip:{room}@{other}")
        await bob.call(f"sip:{room}@{other}")
        await joined(server, room, 2)
        await server.kill()
        await server.start()
        await hear_each_other(ann, bob)
        await ann.hold()
        await ann.resume()
        await bob.hang_up()
        (last,) = await server.until_inside(room, 1)
        assert (await server.rest.delete(f"/conferencecalls/{last}")).is_success
        assert await asyncio.wait_for(ann.ended, UNTIL_S) == "bye"


async def test_calls_of_a_place_that_is_no_more_go_on_by_the_first(tmp_path: Path):
    """Started again with other settings: the log says so, and a farewell of the server still arrives."""
    other = f"127.0.0.1:{free_port()}"
    async with serving(tmp_path / "data", "--sip", other) as server, Phone("ann") as ann:
        room = (await server.create())["id"]
        await ann.call(f"sip:{room}@{other}")
        (inside,) = await joined(server, room, 1)
        await server.kill()
        server.options = server.options[:-2]
        await server.start()
        assert not is_bound(int(other.rpartition(":")[2]))
        log = server.data.with_suffix(".log").read_text()
        assert log.count("calls that came in where --sip listens no more") == 1
        assert (await server.rest.delete(f"/conferencecalls/{inside}")).is_success
        assert await asyncio.wait_for(ann.ended, UNTIL_S) == "bye"


async def test_a_call_that_can_not_leave_this_machine_is_over_at_once(tmp_path: Path):
    """Phones are on loopback only: no 32 s of silence."""
    async with serving(tmp_path / "data") as server:
        away = {"source": {"target": "hall"}, "destinations": [{"target": "bob@192.0.2.7"}], "actions": []}
        answer = await server.rest.post("/calls", json=away)
        assert answer.is_success, answer.text
        (call,) = answer.json()["calls"]
        over = await server.until_is(f"/calls/{call['id']}", status="hangup")
        assert over["hangup_reason"] == "failed"
