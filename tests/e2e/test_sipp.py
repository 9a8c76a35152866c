"""Call flows of a SIP stack that we have not written, message by message (sipp)."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving import Serving, talk
from sipp import (
    ACK,
    BYE,
    CALL,
    PROVISIONAL,
    Called,
    Steps,
    acknowledge_refusal,
    answer,
    answer_in_dialog,
    call,
    cancel,
    expect,
    is_installed,
    pause,
    receive,
    refused,
    sdp,
    send,
)

pytestmark = pytest.mark.skipif(not is_installed(), reason="sipp is not installed")

NOWHERE = "00000000-0000-4000-8000-000000000404"
HEADER_ONLY = "v=0\nthis is no session description\n"
SPOKEN = timedelta(seconds=0.4)
"""No voice says two words in less."""
RELAY = "application/dtmf-relay"
LINGERS_MS = 1_000
"""Until also a busy machine has let a caller in."""
WAITS = [{"type": "sleep", "option": {"duration": 20_000}}]
"""Pre-actions that do not answer."""


def within(method: str, cseq: int, status: int, body: str = "", content_type: str = "application/sdp") -> list[str]:
    """A request within the dialog, and its answer."""
    steps = [send(method, cseq, body, in_dialog=True, content_type=content_type), receive(100, True), receive(status)]
    return [*steps, send("ACK", cseq, in_dialog=True)] if method == "INVITE" else steps


def key(cseq: int, digit: str) -> list[str]:
    return within("INFO", cseq, 200, f"Signal={digit}\nDuration=160\n", RELAY)


async def test_calls_as_they_come(server: Serving, tmp_path: Path):
    """RFC 3261 sections 13 to 15; RFC 3264 section 8.4, RFC 3311: calls that are let in, one story each."""
    stories: dict[str, Steps] = {
        "ordinary call": CALL,
        "late offer": [send("INVITE", 1), *PROVISIONAL, receive(200), send("ACK", 1, sdp(), in_dialog=True)],
        "A-law only": [send("INVITE", 1, sdp("8")), *PROVISIONAL, receive(200), ACK],
        "hold and resume by re-INVITE": [
            *CALL,
            *within("INVITE", 2, 200, sdp(direction="sendonly")),
            *within("INVITE", 3, 200, sdp()),
        ],
        "hold and resume by UPDATE": [
            *CALL,
            *within("UPDATE", 2, 200, sdp(direction="inactive")),
            *within("UPDATE", 3, 200, sdp()),
        ],
        "re-INVITE without an offer": [
            *CALL,
            send("INVITE", 2, in_dialog=True),
            receive(100, True),
            receive(200),
            send("ACK", 2, sdp(), in_dialog=True),
        ],
        "a change that can't be made leaves the call as it was": [
            *CALL,
            send("INVITE", 2, sdp("3"), in_dialog=True),
            receive(100, True),
            receive(488),
            acknowledge_refusal(2),
            *within("OPTIONS", 3, 200),
        ],
        "an unknown method within a call": [*CALL, *within("DANCE", 2, 501)],
        "a retransmitted INVITE": [
            send("INVITE", 1, sdp()),
            receive(100),
            send("INVITE", 1, sdp(), branch="[branch-2]"),
            *CALL[1:],
        ],
    }
    slow = {"a retransmitted INVITE": [{"type": "sleep", "option": {"duration": 300}}]}
    conferences = {name: (await server.create(name=name, pre_actions=slow.get(name, [])))["id"] for name in stories}
    await asyncio.gather(
        *(
            call(tmp_path, name, server.sip, conferences[name], steps, pause(LINGERS_MS), BYE)
            for name, steps in stories.items()
        )
    )
    for name, id in conferences.items():
        events = await server.events(id)
        kinds = [event["type"] for event in events]
        assert (kinds.count("call_created"), kinds.count("call_hangup")) == (1, 1), name
        assert kinds.count("conferencecall_joined") == 1, name
        held = [event["data"]["on_hold"] for event in events if event["type"] == "call_updated"]
        assert (True in held) == ("hold" in name), name
        assert (await server.conference(id))["conferencecall_ids"] == []


async def test_what_is_not_let_in(server: Serving, tmp_path: Path):
    """RFC 3261 section 21.4: each with its status, and nothing is left behind."""
    waiting = (await server.create(pre_actions=WAITS))["id"]
    room = (await server.create())["id"]
    before = await server.metric("plenary_calls")
    stories: dict[str, tuple[str, Steps]] = {
        "unknown conference": (NOWHERE, refused(404, sdp())),
        "a name that nobody has": ("nobody", refused(404, sdp())),
        "no common codec": (room, refused(488, sdp("3 18"))),
        "no session description": (room, refused(400, HEADER_ONLY)),
        "OPTIONS": (room, [send("OPTIONS", 1), receive(200)]),
        "an unknown method": (room, [send("DANCE", 1), receive(501)]),
        "REGISTER": (room, [send("REGISTER", 1), receive(405)]),
        "cancelled before the answer": (
            waiting,
            [send("INVITE", 1, sdp()), receive(100), cancel(), receive(200), receive(487), acknowledge_refusal()],
        ),
        "no such call": (room, [send("BYE", 2).replace("port]>\nCSeq", "port]>;tag=x\nCSeq"), receive(481)]),
        "after BYE there is no call": (room, [*CALL, *BYE, *within("INFO", 91, 481), *within("OPTIONS", 92, 481)]),
    }
    await asyncio.gather(*(call(tmp_path, name, server.sip, user, steps) for name, (user, steps) in stories.items()))
    left = [event["data"]["reason"] for event in await server.events(waiting) if "leaved" in event["type"]]
    assert left == ["hangup"]
    assert await server.metric("plenary_calls") == before
    for id in (waiting, room):
        assert (await server.conference(id))["conferencecall_ids"] == []


def asks_for_pin(pin: str) -> list[dict[str, Any]]:
    inside, out = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
    return [
        {"type": "answer"},
        {"type": "digits_receive", "option": {"duration": 10_000, "length": len(pin)}},
        {"type": "branch", "option": {"default_target_id": out, "target_ids": {pin: inside}}},
        {"id": out, "type": "hangup", "option": {}},
        {"id": inside, "type": "beep", "option": {}},
    ]


async def test_keys_by_info_open_the_door_and_delete_says_good_bye(server: Serving, tmp_path: Path):
    """application/dtmf-relay to `digits_receive`; then DELETE: the farewell, and the server's BYE."""
    room = (await server.create(pre_actions=asks_for_pin("42#"), post_actions=[talk("Good bye.")]))["id"]

    async def delete() -> None:
        await server.until_inside(room, 1)
        await server.rest.delete(f"/conferences/{room}")

    right = [*CALL, *key(2, "4"), *key(3, "2"), *key(4, "#"), expect("BYE"), answer_in_dialog()]
    wrong = [*CALL, *key(2, "4"), *key(3, "2"), *key(4, "0"), expect("BYE"), answer_in_dialog()]
    await asyncio.gather(
        call(tmp_path, "right PIN", server.sip, room, right),
        call(tmp_path, "wrong PIN", server.sip, room, wrong),
        delete(),
    )
    at = {event["type"]: datetime.fromisoformat(event["tm"]) for event in await server.events(room)}
    assert at["call_hangup"] - at["conference_deleted"] > SPOKEN, "hung up before the farewell was said"
    assert (await server.conference(room))["status"] == "terminated"


async def test_who_comes_too_late_is_told_so(server: Serving, tmp_path: Path):
    """A call to a conference that is over is answered, hears that, and is let go."""
    room = (await server.create())["id"]
    await server.rest.delete(f"/conferences/{room}")
    await server.until(room, status="terminated")
    await call(tmp_path, "too late", server.sip, room, CALL, expect("BYE"), answer_in_dialog())
    reasons = [event["data"]["reason"] for event in await server.events(room) if "leaved" in event["type"]]
    assert reasons == ["conference_closed"]


RINGS = [expect("INVITE"), answer(100, "Trying"), answer(180, "Ringing")]


async def dial(server: Serving, phone: Called, actions: list[dict[str, Any]]) -> str:
    body = {
        "source": {"type": "sip", "target": "plenary@127.0.0.1"},
        "destinations": [{"type": "sip", "target": phone.address}],
        "actions": actions,
    }
    answer = await server.rest.post("/calls", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["calls"][0]["id"]


async def test_calls_that_we_make(server: Serving, tmp_path: Path):
    """`POST /v1.0/calls`: answered and put into a conference, busy, and taken back while it rings."""
    room = (await server.create())["id"]
    join = [{"type": "conference_join", "option": {"conference_id": room}}]

    async def answered() -> None:
        steps = [*RINGS, pause(100), answer(200, "OK", sdp()), expect("ACK"), expect("BYE"), answer_in_dialog()]
        async with Called(tmp_path, "answers", steps) as phone:
            id = await dial(server, phone, join)
            await server.until_is(f"/calls/{id}", status="progressing")
            await server.until_inside(room, 1)
            await server.rest.delete(f"/conferences/{room}")
        await server.until_is(f"/calls/{id}", status="hangup", hangup_by="local", hangup_reason="normal")

    async def busy() -> None:
        async with Called(tmp_path, "busy", expect("INVITE"), answer(486, "Busy Here"), expect("ACK")) as phone:
            id = await dial(server, phone, join)
        await server.until_is(f"/calls/{id}", status="hangup", hangup_by="remote", hangup_reason="busy")

    async def never_answered() -> None:
        to_cancel = [expect("CANCEL"), answer_in_dialog(), answer_to_invite(487), expect("ACK")]
        async with Called(tmp_path, "rings on", remembered_invite(), RINGS[1:], to_cancel) as phone:
            id = await dial(server, phone, join)
            await server.until_is(f"/calls/{id}", status="ringing")
            await server.rest.delete(f"/calls/{id}")
        await server.until_is(f"/calls/{id}", status="hangup", hangup_by="local", hangup_reason="cancel")

    await asyncio.gather(answered(), busy(), never_answered())


def remembered_invite() -> str:
    """Keeps the Via and CSeq of the INVITE for an answer that comes after another request."""
    return """<recv request="INVITE"><action>
      <ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="cseq"/>
    </action></recv>"""


def answer_to_invite(status: int) -> str:
    """A CANCEL has the Via of its INVITE (RFC 3261 section 9.1): only the CSeq differs."""
    return answer_in_dialog(status, "Request Terminated").replace("[last_CSeq:]", "CSeq:[$cseq]")
