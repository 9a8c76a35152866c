"""The media engine or the server goes away and comes back: what was is brought back."""

import msgspec
import pytest
from harness import WELCOME, Bench, action

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.resources import Address


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def loses_engine(bench: Bench, *, restarted: bool) -> list[c.Command]:
    """The engine goes, and comes back (`restarted`: a new one). Nothing answers by itself from here on."""
    bench.automatic = False
    bench.does(e.EngineLost())
    return bench.does(bench.model.ready(restarted=restarted))


def test_every_leg_is_brought_back_by_re_invite(bench: Bench):
    made = bench.creates()
    call = bench.calls_in(made.id)
    out = loses_engine(bench, restarted=True)
    opened = c.OpenLeg(call=call, sdp=None, conference=made.id, like="our answer")
    assert out == [c.OpenRoom(conference=made.id), opened]
    bench.does(e.LegOffered(call=call, sdp="new"))
    assert bench.fresh == [c.SendOffer(call=call, sdp="new")]
    bench.does(e.SdpAnswered(call=call, sdp="phone's answer"))
    assert bench.fresh == [c.ApplySdp(call=call, kind="answer", sdp="phone's answer")]
    bench.does(e.LegApplied(call=call, direction="sendrecv"))
    assert bench.fresh == [c.JoinRoom(call=call, conference=made.id)]
    bench.does(e.LegJoined(call=call, conference=made.id))
    assert bench[made.id].conferencecall_ids == [bench.participant_of(call).id]
    assert bench.entries().count("conferencecall_joined") == 1
    assert bench.entries().count("media_lost") == 1


def test_who_runs_the_server_is_told_what_has_become_of_the_calls(bench: Bench):
    """Once, when it is known of all that had media: one came back, one refused, one hung up meanwhile."""
    room = bench.creates().id
    back, refuses, leaves = (bench.calls_in(room) for _ in range(3))
    loses_engine(bench, restarted=True)
    for call in (back, refuses, leaves):
        bench.does(e.LegOffered(call=call, sdp="new"))
    bench.passes(1.0)
    bench.does(e.SdpAnswered(call=back, sdp="phone's answer"))
    bench.does(e.LegApplied(call=back, direction="sendrecv"))
    bench.does(e.SdpRefused(call=refuses, status=488))
    assert bench.switch.recovered() is None
    bench.does(e.CallEnded(call=leaves, reason="bye"))
    assert bench.switch.recovered() == (1, 2, 1.0)
    assert bench.switch.recovered() is None


def test_calls_that_lose_a_second_engine_are_counted_once(bench: Bench):
    call, other = (bench.calls_in(bench.creates().id) for _ in range(2))
    for _ in range(2):
        loses_engine(bench, restarted=True)
        bench.does(e.LegOffered(call=call, sdp="new"))
        bench.does(e.SdpAnswered(call=call, sdp="phone's answer"))
        bench.does(e.LegApplied(call=call, direction="sendrecv"))
        assert bench.switch.recovered() is None
    bench.does(e.CallEnded(call=other, reason="bye"))
    assert bench.switch.recovered() == (1, 1, 0.0)


def test_of_an_engine_that_only_was_away_there_is_nothing_to_tell(bench: Bench):
    bench.calls_in(bench.creates().id)
    loses_engine(bench, restarted=False)
    bench.passes(1.0)
    assert bench.switch.recovered() is None


def test_a_phone_that_refuses_the_re_invite_is_let_go(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    loses_engine(bench, restarted=True)
    bench.does(e.LegOffered(call=call, sdp="new"))
    bench.does(e.SdpRefused(call=call, status=488))
    assert (bench[call].status, bench[call].hangup_reason) == ("hangup", "media_lost")
    assert bench.participant_of(call).reason == "media_lost"


def test_glare_is_waited_out(bench: Bench):
    """RFC 3261 section 14.1: 491, once more after a moment."""
    call = bench.calls_in(bench.creates().id)
    loses_engine(bench, restarted=True)
    bench.does(e.LegOffered(call=call, sdp="new"))
    bench.does(e.SdpRefused(call=call, status=491))
    assert bench.fresh == []
    assert bench.passes(2.1) == [c.SendOffer(call=call, sdp="new")]
    for _ in range(4):
        bench.does(e.SdpRefused(call=call, status=491))
        bench.passes(2.1)
    assert bench[call].hangup_reason == "media_lost"


def test_a_room_that_the_engine_has_not_is_made_and_joined_again(bench: Bench):
    bench.automatic = False
    made = bench.creates()
    call = bench.calls_in(made.id)
    bench.does(e.LegAnswered(call=call, sdp="our answer", direction="sendrecv"))
    bench.does(e.JoinFailed(call=call, reason="no such room"))
    assert bench.fresh == [c.OpenRoom(conference=made.id), c.JoinRoom(call=call, conference=made.id)]
    bench.does(e.LegJoined(call=call, conference=made.id))
    assert len(bench[made.id].conferencecall_ids) == 1


def test_who_is_not_let_into_the_room_is_let_go_at_once(bench: Bench):
    """Rather than left in silence until he gives up."""
    bench.automatic = False
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegAnswered(call=call, sdp="our answer", direction="sendrecv"))
    for _ in range(2):
        bench.does(e.JoinFailed(call=call, reason="the room is full"))
    assert bench[call].status == "hangup"
    assert bench.participant_of(call).reason == "failed"
    assert [entry.cause for entry in bench.log if entry.type == "action_failed"] == [
        "enter_room: The media engine has not put the call into the room: the room is full."
    ]


def test_a_join_that_failed_because_the_leg_is_gone_waits_for_the_new_leg(bench: Bench):
    made = bench.creates()
    call = bench.calls_in(made.id)
    bench.automatic = False
    bench.does(e.LegClosed(call=call))
    bench.does(e.JoinFailed(call=call, reason="no such leg"))
    assert bench.fresh == []
    assert bench[call].status == "progressing"


def test_a_running_talk_is_spoken_again(bench: Bench):
    bench.model.talks_forever = True
    call = bench.calls_in(bench.creates(pre_actions=[WELCOME]).id)
    out = loses_engine(bench, restarted=True)
    assert [command.text for command in out if isinstance(command, c.PreparePrompt)] == [WELCOME.option["text"]]
    old = bench.last(c.Play).play
    bench.automatic = True
    bench.answers(out)
    assert bench.last(c.Play).play != old
    assert bench[call].action.type == "talk"


def test_the_same_engine_is_asked_only_for_what_is_missing(bench: Bench):
    bench.model.talks_forever = True
    made = bench.creates(pre_actions=[WELCOME])
    bench.calls_in(made.id)
    assert loses_engine(bench, restarted=False) == []


def test_what_was_lost_on_the_way_is_asked_for_again(bench: Bench):
    made = bench.creates()
    call = bench.calls_in(made.id)
    bench.model.legs[call]["room"] = None
    bench.model.rooms.clear()
    assert loses_engine(bench, restarted=False) == [
        c.OpenRoom(conference=made.id), c.JoinRoom(call=call, conference=made.id)
    ]  # fmt: skip


def test_a_play_that_was_lost_on_the_way_is_asked_for_again(bench: Bench):
    bench.model.talks_forever = True
    call = bench.calls_in(bench.creates(pre_actions=[WELCOME]).id)
    bench.model.legs[call]["plays"] = ["stranger"]
    assert loses_engine(bench, restarted=False) == [bench.all(c.Play)[0], c.StopPlay(call=call, play="stranger")]


def test_what_should_not_be_there_is_removed():
    bench = Bench()
    leg = e.LegSnapshot(call="x", conference="y", direction="sendrecv", negotiated=True)
    bench.does(e.EngineReady(restarted=False, legs=[leg], conferences=["y"], recordings=["z"]))
    assert bench.fresh == [c.CloseRoom(conference="y"), c.CloseLeg(call="x"), c.StopRecording(recording="z")]


def test_a_call_not_yet_answered_gets_a_new_leg(bench: Bench):
    call = bench.calls_in(bench.creates(pre_actions=[action("sleep", duration=5_000)]).id)
    loses_engine(bench, restarted=True)
    assert bench.last(c.OpenLeg).sdp == "offer"
    bench.does(e.LegAnswered(call=call, sdp="newer answer", direction="sendrecv"))
    bench.passes(5)
    assert bench.last(c.AnswerCall) == c.AnswerCall(call=call, sdp="newer answer")


def test_a_call_answered_but_not_acknowledged_waits_for_the_ack():
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    loses_engine(bench, restarted=True)
    assert len(bench.all(c.OpenLeg)) == 1
    bench.does(e.CallAcked(call=call, sdp=None))
    assert [type(command) for command in bench.fresh] == [c.OpenLeg]


def test_an_outgoing_call_that_rings_is_brought_back_when_it_is_answered():
    bench = Bench()
    made = bench.asks_for(e.CreateCalls, source=Address(), destinations=[Address(target="a@b")])
    call = made[0].id
    bench.does(e.LegOffered(call=call, sdp="old"))
    loses_engine(bench, restarted=True)
    assert len(bench.all(c.OpenLeg)) == 1
    bench.does(e.CallAnswered(call=call, sdp="answer to the old"))
    assert bench.fresh == [c.OpenLeg(call=call, sdp=None, like="old")]
    bench.does(e.LegOffered(call=call, sdp="new"))
    assert bench.fresh == [c.SendOffer(call=call, sdp="new")]


def test_a_new_engine_is_told_what_the_old_one_said_last(bench: Bench):
    """So that its offer goes on in the same session (RFC 3264 section 8) and with the same kind of transport."""
    call = bench.calls_in(bench.creates().id)
    bench.does(e.SdpOffered(call=call, sdp="hold"))
    loses_engine(bench, restarted=True)
    assert bench.last(c.OpenLeg).like == "our new answer"


def test_an_offer_of_the_phone_meanwhile_is_refused_and_drops_nothing(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    bench.automatic = False
    bench.does(e.SdpOffered(call=call, sdp="hold"))
    bench.does(e.EngineLost())
    assert bench.fresh == [c.RefuseOffer(call=call, status=500)]
    bench.does(e.SdpOffered(call=call, sdp="hold"))
    assert bench.fresh == [c.RefuseOffer(call=call, status=500)]
    assert bench[call].status == "progressing"


def test_a_leg_that_the_engine_lets_go_of_is_made_again_but_not_for_ever(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    bench.automatic = False
    for _ in range(5):
        bench.does(e.LegClosed(call=call))
        assert [type(command) for command in bench.fresh] == [c.OpenLeg]
    bench.does(e.LegClosed(call=call))
    assert bench[call].hangup_reason == "media_lost"


def test_only_where_something_goes_on_the_server_has_recovered(bench: Bench):
    """A conference at rest has nothing to recover, and its log would grow with each start."""
    bench.creates()
    busy = bench.creates()
    bench.calls_in(busy.id)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    assert [entry.conference_id for entry in bench.log if entry.type == "server_recovered"] == [busy.id]


def test_a_restarted_server_goes_on_where_it_was(bench: Bench):
    """kill -9 of the Python side: no gap in anyone's audio, no event lost."""
    bench.model.talks_forever = True
    made = bench.creates(post_actions=[WELCOME])
    call = bench.calls_in(made.id)
    bench.restart()
    assert bench.does(bench.model.ready(restarted=False)) == []
    assert bench.entries()[-1] == "server_recovered"
    bench.deletes(made.id)
    assert bench.spoken() == [WELCOME.option["text"]]
    bench.does(e.PlayEnded(call=call, play=bench.last(c.Play).play, reason="finished"))
    assert bench[call].status == "hangup"
    numbers = [entry.number for entry in bench.log if entry.conference_id == made.id]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_restarted_server_asks_again_for_prompts():
    bench = Bench()
    call = bench.calls_in(bench.creates(pre_actions=[WELCOME]).id)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    request = bench.last(c.PreparePrompt).request
    bench.restart()
    leg = e.LegSnapshot(call=call, conference=None, direction="sendrecv", negotiated=True)
    bench.does(e.EngineReady(restarted=False, legs=[leg], conferences=[bench[call].conference_id]))
    assert [command.request for command in bench.fresh] == [request]
    bench.does(e.PromptReady(request=request, prompt="hash", duration_ms=5))
    assert isinstance(bench.fresh[0], c.Play)


def test_timers_of_actions_survive_a_restart(bench: Bench):
    call = bench.calls_in(bench.creates(pre_actions=[action("sleep", duration=60_000)]).id)
    bench.passes(30)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    bench.passes(29.9)
    assert bench[call].status == "dialing"
    bench.passes(0.1)
    assert bench[call].status == "progressing"


def test_who_talked_is_not_known_any_more_after_a_new_engine(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    bench.does(e.TalkingChanged(call=call, talking=True))
    loses_engine(bench, restarted=True)
    assert not bench.participant_of(call).talking


def test_who_is_not_put_into_the_room_does_not_wait_for_ever():
    """Every attempt gets a terminal event with a reason."""
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    bench.passes(59)
    assert bench.participant_of(call).status == "joining"
    bench.passes(1)
    assert (bench.participant_of(call).status, bench.participant_of(call).reason) == ("leaved", "failed")
    assert bench[call].status == "hangup"


REPEATED = [
    ([], c.OpenLeg),
    ([e.SdpOffered(call="", sdp="hold")], c.ApplySdp),
    ([e.SdpOffered(call="", sdp=None)], c.OfferLeg),
    ([e.SdpOffered(call="", sdp=None), e.LegOffered(call="", sdp="o"), e.SdpAnswered(call="", sdp="a")], c.ApplySdp),
]


@pytest.mark.parametrize(("events", "command"), REPEATED)
def test_what_the_engine_may_not_have_heard_is_said_again(events: list[e.Event], command: type[c.Command]):
    """Each command is safe to repeat: the same engine, connected anew, is asked once more."""
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    if events:
        bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
        bench.does(e.CallAcked(call=call, sdp=None))
    for event in events:
        bench.does(msgspec.structs.replace(event, call=call))
    said = bench.fresh
    leg = e.LegSnapshot(call=call, conference=bench[call].conference_id, direction="sendrecv", negotiated=True)
    bench.does(e.EngineReady(restarted=False, legs=[leg], conferences=[bench[call].conference_id]))
    again = [one for one in bench.fresh if isinstance(one, command)]
    assert [one.call for one in again] == [one.call for one in said if isinstance(one, command)] == [call]


def test_a_call_recorded_through_an_engines_end_goes_on_in_a_new_part(bench: Bench):
    call = bench.calls_in(bench.creates(pre_actions=[action("answer"), action("recording_start")]).id)
    recording = bench[call].recording_id
    out = loses_engine(bench, restarted=True)
    bench.automatic = True
    bench.answers(out)
    parts = bench.all(c.StartRecording, recording=recording)
    assert [command.part for command in parts] == [1, 2]
    assert bench[recording].status == "recording"


def test_old_timers_do_not_pile_up():
    """Each call leaves its limit of a day behind."""
    bench = Bench()
    made = bench.creates()
    for _ in range(3_000):
        bench.does(e.CallEnded(call=bench.calls_in(made.id), reason="cancel"))
    assert len(bench.switch._timers) < 1_100
