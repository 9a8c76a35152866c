"""The machines seen whole: every state with every event, listed or ignored."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from harness import FAREWELL, Bench, action
from hypothesis import given
from hypothesis import strategies as st

from plenary.core import callstate, conference, conferencecall, recording, session, switch
from plenary.core import events as e
from plenary.core.actions import ACTIONS, check_actions
from plenary.core.errors import Invalid
from plenary.core.ids import NEVER, stamp
from plenary.core.limits import SUBSTITUTED_MAX, VARIABLE_NAME_MAX
from plenary.core.resources import (
    EVENT_TYPES,
    Action,
    Address,
    CallStatus,
    ConferencecallStatus,
    ConferenceStatus,
    RecordingStatus,
)
from plenary.core.session import AFTER, Exchange, Session, SessionState
from plenary.core.variables import substitute

MACHINES = [
    (conference.TRANSITIONS, ConferenceStatus),
    (conferencecall.TRANSITIONS, ConferencecallStatus),
    (callstate.TRANSITIONS, CallStatus),
    (recording.TRANSITIONS, RecordingStatus),
]


def test_every_type_that_is_logged_has_a_meaning_and_is_logged_somewhere():
    """`World.log` refuses what is not in the table; here, that the table has nothing else."""
    source = "".join(path.read_text() for path in Path(switch.__file__).parent.glob("*.py") if path.stem != "resources")
    kinds = (("call", CallStatus), ("conferencecall", ConferencecallStatus))
    by_status = {f"{kind}_{status}" for kind, statuses in kinds for status in statuses}
    assert [name for name in EVENT_TYPES if f'"{name}"' not in source and name not in by_status] == []


@pytest.mark.parametrize(("table", "statuses"), MACHINES, ids=[kind.__name__ for _, kind in MACHINES])
def test_every_status_is_listed_and_leads_forward_to_one_that_is_final(table, statuses):
    order = list(statuses)
    assert list(table) == order
    assert table[order[-1]] == frozenset()
    for status in order[:-1]:
        assert table[status]
        assert all(order.index(after) > order.index(status) for after in table[status])


class Owner:
    """A call as its session sees it, that only takes notes."""

    id, now, engine_wait_s, engine_ready, confirmed, told = "call", 0.0, 10.0, True, True, True

    def __init__(self) -> None:
        self.notes: list[object] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.notes.append((name, *args))


ENGINE = [
    e.LegAnswered(call="call", sdp="sdp", direction="sendrecv"),
    e.LegOffered(call="call", sdp="sdp"),
    e.LegApplied(call="call", direction="sendrecv"),
    e.LegRefused(call="call", reason="no_common_codec"),
]


@pytest.mark.parametrize("event", ENGINE, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("exchange", list(Exchange))
def test_each_answer_of_the_engine_is_in_the_table_or_ignored(exchange: Exchange, event):
    owner = Owner()
    state = SessionState(exchange=exchange, negotiated=True)
    before = msgspec.to_builtins(state)
    Session(owner, state).handle(event)
    if (exchange, type(event)) in AFTER:
        assert state.exchange == AFTER[exchange, type(event)]
    else:
        assert msgspec.to_builtins(state) == before
        assert owner.notes == []


@pytest.mark.parametrize("exchange", list(Exchange))
def test_the_phones_offer_is_answered_queued_or_refused_in_every_state(exchange: Exchange):
    owner = Owner()
    state = SessionState(exchange=exchange, negotiated=True)
    Session(owner, state).offered("hold")
    if exchange is Exchange.IDLE:
        assert state.exchange is Exchange.REANSWERING
    elif exchange in session.RECOVERY:
        assert [note[1].status for note in owner.notes] == [491]
    else:
        assert state.queued


# --- Every state of a call with every event ---


def dialing_in(bench: Bench) -> str:
    return bench.calls_in(bench.creates().id)


def late_offer(bench: Bench) -> str:
    call = bench.calls_in(bench.creates().id, sdp=None)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    return call


def early(bench: Bench) -> str:
    call = bench.calls_in(bench.creates(pre_actions=[action("play", stream_urls=["http://a"])]).id)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    return call


def in_room(bench: Bench) -> str:
    bench.engine()
    call = bench.calls_in(bench.creates(post_actions=[FAREWELL]).id)
    bench.automatic = False
    return call


def leaving(bench: Bench) -> str:
    call = in_room(bench)
    bench.deletes(bench[call].conference_id)
    return call


def dialing_out(bench: Bench) -> str:
    return bench.asks_for(e.CreateCalls, source=Address(), destinations=[Address(target="a@b")])[0].id


def ringing_out(bench: Bench) -> str:
    call = dialing_out(bench)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    bench.does(e.CallRinging(call=call))
    return call


def recovering(bench: Bench) -> str:
    call = in_room(bench)
    bench.does(e.EngineReady(restarted=True))
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    return call


def hung_up(bench: Bench) -> str:
    call = in_room(bench)
    bench.does(e.CallEnded(call=call, reason="bye"))
    return call


STATES = [dialing_in, late_offer, early, in_room, leaving, dialing_out, ringing_out, recovering, hung_up]
EVENTS: list[Callable[[str], e.Event]] = [
    lambda call: e.CallOffered(call=call, user="x", source=Address(), destination=Address(), sdp=None),
    lambda call: e.CallRinging(call=call),
    lambda call: e.CallAnswered(call=call, sdp="answer"),
    lambda call: e.CallAnswered(call=call, sdp=None),
    lambda call: e.CallRefused(call=call, status=486),
    lambda call: e.CallAcked(call=call, sdp=None),
    lambda call: e.CallAcked(call=call, sdp="answer"),
    lambda call: e.CallEnded(call=call, reason="bye"),
    lambda call: e.SdpOffered(call=call, sdp="offer"),
    lambda call: e.SdpOffered(call=call, sdp=None),
    lambda call: e.SdpAnswered(call=call, sdp="answer"),
    lambda call: e.SdpAnswered(call=call, sdp=None),
    lambda call: e.SdpRefused(call=call, status=488),
    lambda call: e.SdpRefused(call=call, status=491),
    lambda call: e.DigitPressed(call=call, digit="1"),
    lambda call: e.LegAnswered(call=call, sdp="answer", direction="inactive"),
    lambda call: e.LegOffered(call=call, sdp="offer"),
    lambda call: e.LegApplied(call=call, direction="sendrecv"),
    lambda call: e.LegRefused(call=call, reason="unknown_leg"),
    lambda call: e.LegClosed(call=call),
    lambda call: e.LegJoined(call=call, conference="x"),
    lambda call: e.JoinFailed(call=call, reason="the room is full"),
    lambda call: e.LegInactive(call=call, silent_ms=1),
    lambda call: e.TalkingChanged(call=call, talking=True),
    lambda call: e.PlayEnded(call=call, play="x", reason="finished"),
    lambda _: e.PromptReady(request="x", prompt="y", duration_ms=1),
    lambda _: e.PromptFailed(request="x", reason="y"),
    lambda _: e.RecordingStarted(recording="x"),
    lambda _: e.RecordingEnded(recording="x", reason="stopped", duration_ms=1),
    lambda _: e.EngineLost(),
    lambda _: e.EngineReady(restarted=False),
    lambda _: e.EngineReady(restarted=True),
    lambda _: e.ServerStopping(),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_event_in_every_state_of_a_call_is_understood_or_ignored(state: Callable[[Bench], str]):
    for event in EVENTS:
        bench = Bench()
        id_ = state(bench)
        row = bench.rows.get(id_)
        before = row.resource.status if row is not None else None
        bench.does(event(id_))
        bench.does(event(id_))  # twice does no harm
        if before is not None:
            order = list(CallStatus)
            assert order.index(bench[id_].status) >= order.index(before)
        if before is CallStatus.HANGUP:
            assert bench.rows[id_] == row


# --- Properties of the parsers ---

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["text", "duration", "length", "key", "target_ids", "stream_urls", "conference_id", "x/~y"])


@given(type_=st.sampled_from([*ACTIONS, "dance"]), option=st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_option_is_taken_or_refused_with_a_pointer_into_it(type_: str, option: dict):
    refused: Invalid | None = None
    try:
        check_actions([Action(type=type_, option=option)], "/pre_actions")
    except Invalid as error:
        refused = error
    if refused is not None:
        assert refused.path.startswith("/pre_actions/0/")
        assert refused.detail


@given(value=VALUES, text=st.text(max_size=30))
def test_substitution_keeps_the_shape_and_puts_values_in_as_they_are(value, text: str):
    put_in = substitute({"k": value, "v": "<${name}>"}, {"name": text})
    assert put_in["v"] == f"<{text}>"
    if "${" not in repr(value):
        assert put_in["k"] == value


@pytest.mark.parametrize("text", ["${", "${a", "${a{"])
def test_what_never_becomes_a_reference_is_read_once(text: str):
    """A megabyte of it: to look for the end of each up to the end of all would take hours."""
    long = text * (1_000_000 // len(text))
    assert substitute({"value": long[:SUBSTITUTED_MAX]}, {}) == {"value": long[:SUBSTITUTED_MAX]}
    with pytest.raises(Invalid):
        substitute({"value": long}, {})


def test_a_name_is_bounded_and_has_no_braces():
    name = "n" * VARIABLE_NAME_MAX
    text = "${" + name + "} ${" + name + "x} ${a{name}} ${}"
    assert substitute(text, {name: "v", "a{name": "w"}) == "v ${" + name + "x} ${a{name}} ${}"


@given(st.floats(0, 4e9))
def test_stamps_have_the_form_of_the_contract_and_sort_by_time(now: float):
    assert len(stamp(now)) == len(NEVER)
    assert stamp(now) <= stamp(now + 1) < NEVER
