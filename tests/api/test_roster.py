"""Who is in which room: what the rows say, in versions that those who watch can wait for."""

import asyncio
from typing import Any

import msgspec
import pytest

from plenary.api import roster as module
from plenary.api.roster import OVER_KEPT, Roster
from plenary.core.changes import Row
from plenary.core.ids import NEVER, ZERO_ID
from plenary.core.resources import (
    Address,
    Call,
    CallDirection,
    CallStatus,
    Conference,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
    ConferenceType,
    Resource,
)

ROOM, OTHER_ROOM = "room", "other room"
PATIENCE_S = 5.0


def member(id: str = "m1", call: str = "c1", room: str = ROOM, **fields: Any) -> Conferencecall:
    return Conferencecall(
        **{
            "id": id,
            "customer_id": "me",
            "conference_id": room,
            "reference_id": call,
            "status": ConferencecallStatus.JOINED,
            "tm_create": NEVER,
            "kind": "web",
            **fields,
        }
    )


def call(id: str = "c1", **fields: Any) -> Call:
    return Call(
        **{
            "id": id,
            "customer_id": "me",
            "source": Address(type="web"),
            "destination": Address(type="web", target=ROOM),
            "status": CallStatus.PROGRESSING,
            "direction": CallDirection.INCOMING,
            "tm_create": NEVER,
            **fields,
        }
    )


def conference(recording: str = ZERO_ID, status: ConferenceStatus = ConferenceStatus.PROGRESSING) -> Conference:
    return Conference(
        id=ROOM,
        customer_id="me",
        type=ConferenceType.CONFERENCE,
        status=status,
        recording_id=recording,
        tm_create=NEVER,
    )


def rows(*resources: Resource) -> list[Row]:
    return [Row(resource=resource, state=b"", live=True) for resource in resources]


def left(one: Conferencecall) -> Conferencecall:
    return msgspec.structs.replace(one, status=ConferencecallStatus.LEAVED, reason="hangup")


def over(one: Call) -> Call:
    return msgspec.structs.replace(one, status=CallStatus.HANGUP, hangup_reason="normal")


def test_who_is_in_the_room_is_there_in_the_order_in_which_they_came():
    roster = Roster("life")
    joining = member("m3", "c3", status=ConferencecallStatus.JOINING)
    roster.load(rows(member("m1"), member("m2", "c2", OTHER_ROOM), joining, member("m4", "c4")))
    assert [one.id for one in roster.members(ROOM)] == ["m1", "m4"]
    roster.load(rows(msgspec.structs.replace(joining, status=ConferencecallStatus.JOINED), left(member("m1"))))
    assert [one.id for one in roster.members(ROOM)] == ["m3", "m4"]
    assert roster.members("nowhere") == []


async def test_a_version_changes_with_what_it_shows_and_with_nothing_else():
    roster = Roster("life")
    seen = [roster.version(ROOM)]
    for change in (call(), member(), member(talking=True), conference(recording="r"), left(member()), over(call())):
        roster.apply(rows(change))
        seen.append(roster.version(ROOM))
    assert len(set(seen)) == len(seen)
    before = roster.version(OTHER_ROOM)
    roster.apply(rows(member(), conference()))
    assert roster.version(OTHER_ROOM) == before
    assert Roster("another life").version(OTHER_ROOM) != before


async def test_an_emptied_room_is_forgotten():
    roster = Roster("life")
    roster.apply(rows(call(), member()))
    roster.apply(rows(left(member()), over(call())))
    assert roster.version(ROOM) == "life-0"


async def test_a_room_that_was_watched_to_its_end_is_forgotten_by_the_last_who_watched():
    roster = Roster("life")
    roster.apply(rows(call(), member()))
    watching = [asyncio.create_task(roster.wait(ROOM, roster.version(ROOM), PATIENCE_S)) for _ in range(2)]
    await asyncio.sleep(0)
    roster.apply(rows(left(member()), over(call())))
    await asyncio.gather(*watching)
    assert roster.version(ROOM) == "life-0"


def test_whether_a_room_is_recorded():
    roster = Roster("life")
    roster.load(rows(member(), conference()))
    assert not roster.recorded(ROOM)
    roster.load(rows(conference(recording="r")))
    assert roster.recorded(ROOM)


def test_a_page_learns_what_became_of_its_call_also_when_it_is_over():
    roster = Roster("life")
    assert roster.page("c1") is None
    roster.load(rows(call()))
    page = roster.page("c1")
    assert page is not None
    assert page.member is None
    roster.load(rows(member(), over(call()), left(member())))
    page = roster.page("c1")
    assert page is not None
    assert page.member is not None
    assert (page.call.hangup_reason, page.member.reason) == ("normal", "hangup")


def test_a_token_is_seated_while_a_call_by_it_is_up():
    roster, by_it = Roster("life"), Address(type="web", target="t1")
    first, second = call("c1", source=by_it), call("c2", source=by_it)
    roster.load(rows(first, second, first))
    assert roster.seated("t1")
    roster.load(rows(over(first), over(first)))
    assert roster.seated("t1")
    roster.load(rows(over(second)))
    assert not roster.seated("t1")


def test_what_is_over_is_kept_up_to_a_limit():
    roster = Roster("life")
    roster.load(rows(*(over(call(f"c{number}")) for number in range(OVER_KEPT + 1))))
    assert roster.page("c0") is None
    assert roster.page(f"c{OVER_KEPT}") is not None


def test_a_stay_is_forgotten_with_its_call_also_when_many_end_at_once():
    """The rows of a turn come in any order; a call that would be there again would show what is left of the stay."""
    roster = Roster("life")
    numbers = range(OVER_KEPT + 1)
    roster.load(rows(*(call(f"c{number}") for number in numbers), *(member(f"m{n}", f"c{n}") for n in numbers)))
    roster.load(rows(*(over(call(f"c{n}")) for n in numbers), *(left(member(f"m{n}", f"c{n}")) for n in numbers)))
    roster.load(rows(call("c0")))
    page = roster.page("c0")
    assert page is not None
    assert page.member is None


async def test_who_waits_is_woken_by_a_change_of_his_room_only():
    roster = Roster("life")
    roster.apply(rows(member()))
    here = asyncio.create_task(roster.wait(ROOM, roster.version(ROOM), PATIENCE_S))
    there = asyncio.create_task(roster.wait(OTHER_ROOM, roster.version(OTHER_ROOM), PATIENCE_S))
    await asyncio.sleep(0)
    roster.apply(rows(member(talking=True)))
    await here
    assert not there.done()
    roster.close()
    await there
    await roster.wait(OTHER_ROOM, roster.version(OTHER_ROOM), PATIENCE_S)


async def test_an_old_version_and_a_time_that_is_over_are_not_waited_for():
    roster = Roster("life")
    roster.apply(rows(member()))
    await roster.wait(ROOM, "life-0", PATIENCE_S)
    await roster.wait(ROOM, roster.version(ROOM), 0.0)


async def test_many_changes_wake_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WAKE_S", 0.01)
    roster = Roster("life")
    roster.apply(rows(member()))
    for _ in range(2):
        waiting = asyncio.create_task(roster.wait(ROOM, roster.version(ROOM), PATIENCE_S))
        await asyncio.sleep(0)
        for talking in (True, False, True):
            roster.apply(rows(member(talking=talking)))
        last = roster.version(ROOM)
        await waiting
        assert roster.version(ROOM) == last
