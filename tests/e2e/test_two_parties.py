"""`connect`: two phones put through to each other (conference.md)."""

import asyncio

from hearing import hears
from serving import Serving

from plenary.testing.phone import Phone


async def test_two_are_put_through_and_one_who_leaves_ends_it(server: Serving):
    """The first hears it ring, the second opens the door, whoever hangs up first lets the other go."""
    conference = (await server.create(type="connect"))["id"]
    async with Phone("ann") as ann, Phone("bob") as bob, Phone("eve") as eve:
        ringing = ann.dial(f"sip:{conference}@{server.sip}")
        await asyncio.wait_for(ann.ringing.wait(), 5)
        assert not ringing.done()
        assert (await server.conference(conference))["conferencecall_ids"] == []

        await bob.call(f"sip:{conference}@{server.sip}")
        await ringing
        await server.until_inside(conference, 2)
        ann.say(440)
        bob.say(650)
        await asyncio.gather(hears(ann, {650}), hears(bob, {440}))

        third = eve.dial(f"sip:{conference}@{server.sip}")
        await asyncio.wait([third], timeout=5)
        assert len((await server.conference(conference))["conferencecall_ids"]) == 2, "there is no room for a third"

        if eve.in_call:
            await eve.hang_up()
        await bob.hang_up()
        assert await asyncio.wait_for(ann.ended, 5) == "bye"
        ended = await server.until(conference, status="terminated", conferencecall_ids=[])
        assert ended["tm_end"] > ended["tm_create"]
        left = [entry["data"] for entry in await server.events(conference) if entry["type"] == "conferencecall_leaved"]
        assert {"hangup", "peer_left"} <= {one["reason"] for one in left}


async def test_who_waits_alone_may_give_up(server: Serving):
    """CANCEL while it rings (RFC 3261 section 9): the conference goes on waiting for two others."""
    conference = (await server.create(type="connect"))["id"]
    async with Phone("ann") as ann, Phone("bob") as bob, Phone("eve") as eve:
        given_up = ann.dial(f"sip:{conference}@{server.sip}")
        await asyncio.wait_for(ann.ringing.wait(), 5)
        await ann.hang_up()
        await asyncio.wait([given_up], timeout=5)
        assert not ann.in_call
        assert (await server.conference(conference))["status"] == "progressing"

        ringing = bob.dial(f"sip:{conference}@{server.sip}")
        await asyncio.wait_for(bob.ringing.wait(), 5)
        await eve.call(f"sip:{conference}@{server.sip}")
        await ringing
        await server.until_inside(conference, 2)
        await eve.hang_up()
        await bob.ended
