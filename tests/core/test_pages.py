"""Pages in browsers: a call like any other, that is answered before its actions run and has a seat to come back to."""

from typing import Any

import msgspec
import pytest
from harness import FAREWELL, OTHER_CUSTOMER, WELCOME, Bench, action

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core import pages
from plenary.core.errors import LimitReached, NotFound, Unavailable, WrongState
from plenary.core.limits import SEAT_HELD_S
from plenary.core.session import SessionState


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def joins(bench: Bench, conference: str, seat: str = "seat", **fields: Any) -> Any:
    """A page asks to join. Returns its call, or the refusal."""
    call = f"ca11ca11-0000-4000-8000-{next(bench.calls):012x}"
    fields = {"name": "Ann", "token": "t1", "sdp": "offer", **fields}
    return bench.asks_for(e.JoinConference, conference=conference, call=call, seat=seat, **fields)


def in_room(bench: Bench, conference: str, seat: str = "seat", **fields: Any) -> str:
    call = joins(bench, conference, seat, **fields).id
    bench.does(e.LegConnected(call=call))
    return call


def asks(bench: Bench, kind: type[e.Request], call: str, token: str | None = "t1", **fields: Any) -> Any:
    return bench.asks_for(kind, conference=bench[call].destination.target, call=call, token=token, **fields)


def test_a_page_is_answered_at_once_and_its_actions_run_when_it_is_connected(bench: Bench):
    made = bench.creates(pre_actions=[WELCOME])
    call = joins(bench, made.id).id
    assert bench.last(c.OpenLeg) == c.OpenLeg(call=call, sdp="offer", conference=made.id, web=True)
    assert bench.last(c.AnswerCall) == c.AnswerCall(call=call, sdp="our answer")
    assert bench.spoken() == []
    bench.does(e.LegConnected(call=call))
    assert bench.spoken() == [WELCOME.option["text"]]
    assert bench[made.id].conferencecall_ids == [bench.participant_of(call).id]


def test_a_page_is_a_call_and_a_conferencecall_like_any_other(bench: Bench):
    made = bench.creates(post_actions=[FAREWELL])
    call = in_room(bench, made.id, role="moderator")
    resource, member = bench[call], bench.participant_of(call)
    assert (resource.direction, resource.status, resource.type) == ("incoming", "progressing", "conference")
    assert (resource.source.type, resource.source.target_name) == ("web", "Ann")
    assert (resource.destination.type, resource.destination.target) == ("web", made.id)
    assert (member.name, member.kind, member.role, member.muted) == ("Ann", "web", "moderator", False)
    bench.asks_for(e.KickConferencecall, conferencecall=member.id)
    assert bench.spoken() == [FAREWELL.option["text"]]
    assert (bench[call].status, bench.participant_of(call).reason) == ("hangup", "kicked")


def test_a_token_that_has_expired_leads_back_to_a_taken_seat_only(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    assert joins(bench, made.id, sdp="another offer", expired=True).id == call
    refused = joins(bench, made.id, "another seat", expired=True)
    assert (type(refused), refused.code) == (WrongState, "token_expired")


def test_connecting_again_runs_nothing_again(bench: Bench):
    call = in_room(bench, bench.creates(pre_actions=[WELCOME]).id)
    bench.does(e.LegConnected(call=call))
    assert len(bench.spoken()) == 1


def test_a_page_that_reloads_comes_back_to_its_seat(bench: Bench):
    made = bench.creates(pre_actions=[WELCOME])
    call = in_room(bench, made.id)
    again = joins(bench, made.id, sdp="offer of a new peer")
    assert again.id == call
    assert bench.last(c.ApplySdp) == c.ApplySdp(call=call, kind="offer", sdp="offer of a new peer")
    assert bench.last(c.AnswerOffer) == c.AnswerOffer(call=call, sdp="our new answer")
    bench.does(e.LegConnected(call=call))
    assert len(bench.spoken()) == 1
    assert bench.entries().count("conferencecall_joined") == 1


def test_a_seat_is_that_of_one_token_and_one_conference(bench: Bench):
    one, other = bench.creates(), bench.creates()
    calls = {joins(bench, one.id).id, joins(bench, one.id, token="t2").id, joins(bench, other.id).id}
    assert len(calls) == 3


def test_without_a_seat_each_join_is_another_call(bench: Bench):
    made = bench.creates()
    assert joins(bench, made.id, seat="").id != joins(bench, made.id, seat="").id


def test_a_seat_is_free_when_its_call_is_over(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    asks(bench, e.LeaveConference, call)
    assert (bench[call].hangup_by, bench[call].hangup_reason) == ("remote", "normal")
    assert bench.participant_of(call).reason == "hangup"
    assert joins(bench, made.id).id != call


def test_who_came_by_a_token_that_is_taken_back_is_hung_up_and_told_why(bench: Bench):
    made = bench.creates()
    call, other = in_room(bench, made.id), in_room(bench, made.id, token="t2")
    assert [one.id for one in bench.asks_for(e.EndToken, token="t1")] == [call]
    assert (bench[call].status, bench.participant_of(call).reason) == ("hangup", "token_revoked")
    assert bench[other].status == "progressing"


def test_a_token_that_is_taken_back_lets_in_nobody_who_was_on_his_way_nor_back_to_a_seat(bench: Bench):
    made = bench.creates()
    in_room(bench, made.id)
    bench.asks_for(e.EndToken, token="t1")
    for seat in ("seat", "another seat", ""):
        refused = joins(bench, made.id, seat)
        assert (type(refused), refused.code) == (WrongState, "token_revoked")
    assert joins(bench, made.id, token="t2").status == "dialing"
    assert joins(bench, made.id, "seat of a key", token="").status == "dialing"


def test_only_so_many_tokens_that_were_taken_back_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "TOKENS_REMEMBERED", 2)
    made = bench.creates()
    for token in ("t1", "t2", "t3"):
        bench.asks_for(e.EndToken, token=token)
    assert joins(bench, made.id, token="t1").status == "dialing"
    assert [joins(bench, made.id, token=token).code for token in ("t2", "t3")] == ["token_revoked"] * 2


def test_one_offer_at_a_time():
    bench = Bench()
    made = bench.creates()
    call = joins(bench, made.id)
    assert joins(bench, made.id).code == "offer_pending"
    bench.does(e.LegAnswered(call=call.id, sdp="answer", direction="sendrecv"))
    assert joins(bench, made.id).id == call.id


def test_an_ice_restart_is_an_offer_on_the_same_leg(bench: Bench):
    call = in_room(bench, bench.creates().id)
    assert asks(bench, e.RestartSession, call, sdp="restart").id == call
    assert bench.last(c.ApplySdp).sdp == "restart"
    assert bench.last(c.AnswerOffer) == c.AnswerOffer(call=call, sdp="our new answer")


@pytest.mark.parametrize(
    ("reason", "status"), [("malformed_sdp", 400), ("no_common_codec", 488), ("webrtc_off", 503), ("no_ports", 503)]
)
def test_an_offer_that_can_not_be_met_is_refused_with_the_reason(reason: str, status: int):
    bench = Bench()
    call = joins(bench, bench.creates().id).id
    bench.does(e.LegRefused(call=call, reason=reason))
    assert c.RefuseCall(call=call, status=status, why=reason) in bench.fresh
    assert bench[call].status == "hangup"


def test_a_bad_offer_on_a_call_that_stands_leaves_it_standing(bench: Bench):
    call = in_room(bench, bench.creates().id)
    bench.automatic = False
    asks(bench, e.RestartSession, call, sdp="nonsense")
    bench.does(e.LegRefused(call=call, reason="malformed_sdp"))
    assert bench.fresh == [c.RefuseOffer(call=call, status=400, why="malformed_sdp")]
    assert bench[call].status == "progressing"


def test_who_joins_nothing_that_takes_joiners_is_refused(bench: Bench):
    made = bench.creates()
    assert isinstance(joins(bench, "00000000-0000-4000-8000-ffffffffffff"), NotFound)
    assert isinstance(joins(bench, made.id, customer=OTHER_CUSTOMER), NotFound)
    bench.deletes(made.id)
    refused = joins(bench, made.id, stored=bench[made.id])
    assert refused.code == "conference_terminated"
    assert "ask whoever invited you" in refused.detail


def test_a_full_conference_and_a_full_token_say_so():
    bench = Bench(participants_max=2).engine()
    made = bench.creates()
    in_room(bench, made.id, "a", seats_max=1)
    assert joins(bench, made.id, "b", seats_max=1).code == "token_in_use"
    in_room(bench, made.id, "c", token="t2")
    refused = joins(bench, made.id, "d", token="t3")
    assert isinstance(refused, LimitReached)
    assert refused.code == "conference_full"
    assert bench.asks_for(e.JoinConference, conference=made.id, call="x", seat="a", token="t1", sdp="o", name="").id


def test_nobody_joins_while_the_engine_is_away(bench: Bench):
    made = bench.creates()
    bench.does(e.EngineLost())
    assert isinstance(joins(bench, made.id), Unavailable)


# --- What dies -------------------------------------------------------------------------------------------------------


def loses_engine(bench: Bench) -> list[c.Command]:
    bench.automatic = False
    bench.does(e.EngineLost())
    out = bench.does(bench.model.ready(restarted=True))
    bench.automatic = True
    bench.answers(out)
    return out


def test_a_new_engine_waits_for_the_page_and_makes_it_no_offer(bench: Bench):
    made = bench.creates(pre_actions=[WELCOME])
    call = in_room(bench, made.id)
    assert loses_engine(bench) == [c.OpenRoom(conference=made.id)]
    bench.passes(SEAT_HELD_S - 1)
    assert asks(bench, e.RestartSession, call, sdp="restart").code == "media_lost"
    assert joins(bench, made.id, sdp="again").id == call
    assert bench.last(c.OpenLeg) == c.OpenLeg(call=call, sdp="again", conference=made.id, web=True)
    assert bench.last(c.AnswerOffer) == c.AnswerOffer(call=call, sdp="our answer")
    assert bench.last(c.JoinRoom) == c.JoinRoom(call=call, conference=made.id)
    bench.passes(2 * SEAT_HELD_S)
    assert bench[call].status == "progressing"
    assert len(bench.spoken()) == 1


def test_a_seat_that_nobody_comes_back_to_is_given_up(bench: Bench):
    call = in_room(bench, bench.creates().id)
    loses_engine(bench)
    bench.passes(SEAT_HELD_S)
    assert (bench[call].status, bench[call].hangup_reason) == ("hangup", "media_lost")
    assert bench.participant_of(call).reason == "media_lost"


def test_an_engine_that_goes_while_the_page_is_answered_lets_it_ask_again(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    loses_engine(bench)
    bench.automatic = False
    joins(bench, made.id, sdp="again")
    bench.does(e.EngineLost())
    assert bench.fresh == [c.RefuseOffer(call=call, status=500)]
    bench.does(bench.model.ready(restarted=True))
    assert joins(bench, made.id, sdp="and again").id == call


def test_a_restarted_server_knows_the_seats(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    assert asks(bench, e.RestartSession, call, sdp="restart").id == call
    assert joins(bench, made.id).id == call
    assert asks(bench, e.LeaveConference, call).status == "hangup"


def test_a_server_that_died_before_the_page_was_connected_goes_on_with_its_actions(bench: Bench):
    call = joins(bench, bench.creates(pre_actions=[WELCOME]).id).id
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    bench.does(e.LegConnected(call=call))
    assert bench.spoken() == [WELCOME.option["text"]]


def test_a_silent_page_is_let_go_even_if_it_only_listens(bench: Bench):
    bench.model.direction = "sendonly"
    call = in_room(bench, bench.creates().id)
    bench.does(e.LegInactive(call=call, silent_ms=15_000))
    assert bench[call].hangup_reason == "media_lost"


# --- What a page may do ----------------------------------------------------------------------------------------------


def test_a_page_may_do_to_its_own_call_only(bench: Bench):
    made = bench.creates()
    call, phone = in_room(bench, made.id), bench.calls_in(made.id)
    for kind, fields in ((e.MuteSelf, {"muted": True}), (e.PressDigits, {"digits": "1"}), (e.LeaveConference, {})):
        assert isinstance(asks(bench, kind, call, token="t2", **fields), NotFound)
        refused = bench.asks_for(kind, conference=made.id, call=phone, token=None, **fields)
        assert isinstance(refused, NotFound)
    assert asks(bench, e.MuteSelf, call, token=None, muted=True).id == call


def test_who_is_out_hears_that_it_is_over(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    asks(bench, e.LeaveConference, call)
    stored = bench[call]
    assert asks(bench, e.MuteSelf, call, muted=True, stored=stored).code == "call_over"
    assert asks(bench, e.LeaveConference, call, stored=stored).id == call


def test_digits_reach_the_action_that_waits_for_them(bench: Bench):
    bench.model.talks_forever = True
    pin = [action("digits_receive", length=2, duration=5000), action("talk", text="${voipbin.call.digits}")]
    call = joins(bench, bench.creates(pre_actions=pin).id).id
    bench.does(e.LegConnected(call=call))
    asks(bench, e.PressDigits, call, digits="42")
    assert bench.spoken() == ["42"]


def test_who_is_muted_is_so_for_all_and_does_not_talk(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id)
    bench.does(e.TalkingChanged(call=call, talking=True))
    assert asks(bench, e.MuteSelf, call, muted=True).mute_direction == "in"
    assert bench.all(c.SetMuted) == [c.SetMuted(call=call, muted=True)]
    member = bench.participant_of(call)
    assert (member.muted, member.talking) == (True, False)
    assert asks(bench, e.MuteSelf, call, muted=False).mute_direction == ""
    assert (bench.participant_of(call).muted, bench.participant_of(call).talking) == (False, True)
    assert bench.entries().count("conferencecall_updated") == 2


def test_nobody_else_opens_a_microphone_that_he_has_closed(bench: Bench):
    call = in_room(bench, bench.creates().id)
    member = bench.participant_of(call).id
    asks(bench, e.MuteSelf, call, muted=True)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    for refused in (
        bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=False),
        asks(bench, e.MuteSelf, call, token=None, muted=False),
    ):
        assert (type(refused), refused.code) == (WrongState, "muted_himself")
    assert (bench.participant_of(call).muted, bench.model.legs[call]["muted"]) == (True, True)
    assert asks(bench, e.MuteSelf, call, muted=False).mute_direction == ""
    assert not bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=False).muted


def test_a_mute_of_another_is_undone_by_another_and_by_himself(bench: Bench):
    call = in_room(bench, bench.creates().id)
    member = bench.participant_of(call).id
    for undo in (
        lambda: bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=False),
        lambda: asks(bench, e.MuteSelf, call, token=None, muted=False),
        lambda: asks(bench, e.MuteSelf, call, muted=False),
    ):
        assert bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=True).muted
        undo()
        assert not bench.participant_of(call).muted


def test_a_mute_of_another_that_the_page_takes_on_is_his_own(bench: Bench):
    call = in_room(bench, bench.creates().id)
    member = bench.participant_of(call).id
    bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=True)
    asks(bench, e.MuteSelf, call, muted=True)
    assert bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=False).code == "muted_himself"


def test_who_came_by_an_access_key_is_the_one_who_asks_with_it(bench: Bench):
    call = in_room(bench, bench.creates().id, token="")
    for muted in (True, False):
        asks(bench, e.MuteSelf, call, token=None, muted=muted)
        assert bench.participant_of(call).muted == muted


def test_a_listener_is_muted_before_he_is_in_the_room_and_for_good(bench: Bench):
    made = bench.creates()
    call = in_room(bench, made.id, role="listener", speaks=False)
    kinds = [type(command) for command in bench.commands if isinstance(command, c.SetMuted | c.JoinRoom)]
    assert kinds == [c.SetMuted, c.JoinRoom]
    assert bench.participant_of(call).muted
    assert isinstance(asks(bench, e.MuteSelf, call, muted=False), WrongState)
    loses_engine(bench)
    joins(bench, made.id, role="listener", speaks=False)
    assert bench.all(c.SetMuted)[1:] == [c.SetMuted(call=call, muted=True)]


def test_anybody_can_be_muted_and_processed_through_the_api(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    member = bench.participant_of(call).id
    assert bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=True).muted
    switches = {"noise_suppression": True, "normaliser": False, "voice_activity": True, "limiter": False}
    changed = bench.asks_for(e.ProcessConferencecall, conferencecall=member, **switches)
    assert {field: getattr(changed, field) for field in switches} == switches
    assert bench.last(c.SetProcessing) == c.SetProcessing(call=call, **switches)
    bench.asks_for(e.ProcessConferencecall, conferencecall=member, **switches)
    assert len(bench.all(c.SetProcessing)) == 1
    assert bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=True).muted
    assert len(bench.all(c.SetMuted)) == 1
    assert isinstance(
        bench.asks_for(e.MuteConferencecall, customer=OTHER_CUSTOMER, conferencecall=member, muted=True), NotFound
    )


def test_a_call_of_an_earlier_server_goes_on_with_what_could_not_be_switched_there():
    stored = msgspec.msgpack.encode({"noise_suppression": True, "normaliser": False})
    session = msgspec.msgpack.decode(stored, type=SessionState)
    assert (session.noise_suppression, session.voice_activity, session.limiter) == (True, True, True)


def test_mute_and_processing_come_back_with_a_new_engine_and_a_new_server(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    member = bench.participant_of(call).id
    bench.asks_for(e.MuteConferencecall, conferencecall=member, muted=True)
    switches = {"noise_suppression": True, "normaliser": True, "voice_activity": False, "limiter": False}
    bench.asks_for(e.ProcessConferencecall, conferencecall=member, **switches)
    bench.model.legs[call]["muted"] = False
    bench.restart()
    out = bench.does(bench.model.ready(restarted=False))
    assert c.SetMuted(call=call, muted=True) in out
    assert c.SetProcessing(call=call, **switches) in out
    loses_engine(bench)
    opened = bench.last(c.OpenLeg)
    assert {field: getattr(opened, field) for field in switches} == switches
    assert bench.all(c.SetMuted)[-1] == c.SetMuted(call=call, muted=True)
