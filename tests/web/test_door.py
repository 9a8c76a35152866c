"""The door of browsers: a request waits for the command that answers it, and each is answered once."""

import pytest

from plenary.core import commands, events
from plenary.core.changes import Row
from plenary.core.errors import Refusal, WrongState
from plenary.core.resources import Address, Call, CallDirection, CallStatus
from plenary.web.door import Answer, WebDoor, refusal, web_calls


def a_call(id: str = "c1", kind: str = "web") -> Call:
    return Call(
        id=id,
        customer_id="me",
        source=Address(type=kind),
        destination=Address(type=kind, target="conference"),
        status=CallStatus.PROGRESSING,
        direction=CallDirection.INCOMING,
        tm_create="2026-01-01 00:00:00.000000",
    )


def asks(door: WebDoor, ask: int = 1) -> None:
    """A page asks, and the switch says which call it is about."""
    door.asked(events.RestartSession(ask=ask, customer="me", conference="conference", call="c1", sdp="offer"))
    assert door.replied(commands.Reply(ask=ask, result=a_call())) is None


@pytest.mark.parametrize("command", [commands.AnswerCall, commands.AnswerOffer])
def test_an_offer_waits_for_the_answer_of_the_call(command: type[commands.AnswerCall] | type[commands.AnswerOffer]):
    door = WebDoor()
    asks(door)
    assert (door.answers(), door.refusals()) == ([], [])
    door.perform(command(call="c1", sdp="answer"))
    door.perform(command(call="c1", sdp="said twice"))
    assert door.answers() == [Answer(ask=1, call="c1", sdp="answer")]
    assert door.answers() == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (commands.RefuseCall(call="c1", status=400, why="malformed_sdp"), "bad_sdp"),
        (commands.RefuseOffer(call="c1", status=488, why="no_common_codec"), "no_common_codec"),
        (commands.RefuseCall(call="c1", status=503, why="webrtc_off"), "webrtc_off"),
        (commands.RefuseOffer(call="c1", status=500), "engine_away"),
        (commands.HangUp(call="c1"), "call_over"),
    ],
)
def test_what_a_phone_would_be_refused_with_a_page_is_told_in_its_own_terms(command: commands.Command, code: str):
    door = WebDoor()
    asks(door)
    door.perform(command)
    (reply,) = door.refusals()
    assert isinstance(reply.result, Refusal)
    assert (reply.ask, reply.result.code) == (1, code)


def test_what_the_switch_refuses_at_once_goes_through():
    door = WebDoor()
    door.asked(events.RestartSession(ask=1, customer="me", conference="conference", call="c1", sdp="offer"))
    reply = commands.Reply(ask=1, result=WrongState("call_over", "It is over."))
    assert door.replied(reply) is reply


def test_replies_to_others_are_none_of_its_business():
    reply = commands.Reply(ask=7, result=a_call())
    assert WebDoor().replied(reply) is reply


def test_it_knows_its_calls_until_they_are_over_and_those_of_the_server_before():
    door = WebDoor(web_calls([Row(resource=a_call(id, kind), state=b"", live=True) for id, kind in CALLS]))
    assert [door.holds(id) for id, _ in CALLS] == [True, False]
    door.perform(commands.AnswerOffer(call="old", sdp="of a page whose request died with the old server"))
    door.perform(commands.HangUp(call="old"))
    assert not door.holds("old")
    assert (door.answers(), door.refusals()) == ([], [])


CALLS = [("old", "web"), ("phone", "sip")]


@pytest.mark.parametrize("why", ["", "no_answer", "no_ports", "too_many_legs", "unknown_leg", "wrong_state", "lost"])
def test_every_reason_has_words(why: str):
    assert refusal(why).detail.endswith(".")


def test_an_offer_of_no_browser_is_told_what_a_browser_s_has():
    assert all(
        part in refusal("malformed_sdp").detail for part in ("audio", "ice-ufrag", "ice-pwd", "fingerprint:sha-256")
    )
    assert "no audio stream, or" in refusal("no_common_codec").detail
