"""Conferences of type `connect`: two parties put through to each other."""

import pytest
from harness import FAREWELL, Bench

from plenary.core import commands as c
from plenary.core import events as e


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def test_the_first_party_hears_ringing_until_the_second_is_in(bench: Bench):
    made = bench.creates(type="connect")
    first = bench.calls_in(made.id)
    assert bench.all(c.RingCall, call=first)
    assert not bench.all(c.AnswerCall)
    assert bench[first].status == "ringing"
    assert bench.participant_of(first).status == "joining"
    second = bench.calls_in(made.id)
    assert [command.call for command in bench.all(c.AnswerCall)] == [first, second]
    assert [command.call for command in bench.all(c.JoinRoom)] == [first, second]
    assert len(bench[made.id].conferencecall_ids) == 2


def test_a_first_party_that_is_answered_already_hears_a_ringback_tone(bench: Bench):
    bench.model.talks_forever = False
    made = bench.creates(type="connect", pre_actions=[FAREWELL])
    first = bench.calls_in(made.id)
    assert not bench.all(c.RingCall)
    assert bench.last(c.Play).tone.frequency_hz == 425.0
    bench.passes(12.1)
    assert len([play for play in bench.all(c.Play, call=first) if play.tone]) == 4
    bench.calls_in(made.id)
    count = len(bench.all(c.Play, call=first))
    bench.passes(60)
    assert len(bench.all(c.Play, call=first)) == count


def test_a_third_is_told_so_and_let_go(bench: Bench):
    made = bench.creates(type="connect")
    for _ in range(2):
        bench.calls_in(made.id)
    third = bench.calls_in(made.id)
    assert bench.spoken() == ["The line is busy. Please try again later. Good bye."]
    assert bench[third].status == "hangup"
    (over,) = [entry for entry in bench.log if entry.type == "call_hangup"]
    assert over.cause == "two parties are connected already"
    assert bench.participant_of(third).reason == "failed"
    assert bench[made.id].status == "progressing"


def test_when_one_leaves_the_other_leaves_too_and_the_conference_ends(bench: Bench):
    """When one leaves, the other is let go too and the conference ends. `post_actions` run on connect's end."""
    made = bench.creates(type="connect", post_actions=[FAREWELL])
    first, second = bench.calls_in(made.id), bench.calls_in(made.id)
    bench.does(e.CallEnded(call=first, reason="bye"))
    assert bench.participant_of(first).reason == "hangup"
    assert bench.participant_of(second).reason == "peer_left"
    assert bench.spoken() == [FAREWELL.option["text"]]
    assert bench[second].status == "hangup"
    assert bench[made.id].status == "terminated"
    assert bench.entries().count("conference_deleted") == 1


def test_a_first_party_that_gives_up_leaves_the_conference_as_it_was(bench: Bench):
    made = bench.creates(type="connect")
    bench.does(e.CallEnded(call=bench.calls_in(made.id), reason="cancel"))
    assert bench[made.id].status == "progressing"
    for _ in range(2):
        bench.calls_in(made.id)
    assert len(bench[made.id].conferencecall_ids) == 2


def test_a_kick_of_one_party_ends_it_for_both(bench: Bench):
    made = bench.creates(type="connect", post_actions=[FAREWELL])
    first, second = bench.calls_in(made.id), bench.calls_in(made.id)
    bench.asks_for(e.KickConferencecall, conferencecall=bench.participant_of(first).id)
    assert bench.participant_of(first).reason == "kicked"
    assert bench.participant_of(second).reason == "peer_left"
    assert len(bench.spoken()) == 2
    assert bench[made.id].status == "terminated"


def test_a_restart_while_the_first_party_waits_changes_nothing(bench: Bench):
    made = bench.creates(type="connect")
    bench.calls_in(made.id)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    bench.calls_in(made.id)
    assert len(bench[made.id].conferencecall_ids) == 2
