"""Signalling and media of calls: coming in, going out, on hold, and how they end."""

import pytest
from harness import FAREWELL, WELCOME, Bench, action

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.errors import Invalid, LimitReached, Unavailable
from plenary.core.resources import Address

US = Address(target="4000@server", target_name="Us")


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def inside(bench: Bench, sdp: str | None = "offer") -> str:
    """A call in the room of a conference. Nothing answers by itself from here on."""
    call = bench.calls_in(bench.creates(post_actions=[FAREWELL]).id, sdp)
    bench.automatic = False
    return call


# --- Coming in ---


def test_an_unknown_user_is_404(bench: Bench):
    call = bench.calls_in("nobody")
    assert bench.fresh == [c.RefuseCall(call=call, status=404)]
    assert call not in bench.rows


def test_an_engine_that_is_away_is_503_and_leaves_a_trail():
    bench = Bench(ready=False)
    call = bench.calls_in(bench.creates().id)
    assert bench.fresh == [c.RefuseCall(call=call, status=503)]
    assert (bench[call].status, bench[call].hangup_reason) == ("hangup", "failed")


@pytest.mark.parametrize(
    ("reason", "status"),
    [("no_common_codec", 488), ("malformed_sdp", 400), ("no_ports", 503), ("too_many_legs", 503), ("wrong_state", 500)],
)
def test_an_offer_that_the_engine_refuses_is_refused(reason: str, status: int):
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegRefused(call=call, reason=reason))
    assert c.RefuseCall(call=call, status=status, why=reason) in bench.fresh
    assert bench[call].hangup_reason == "failed"


def test_the_log_has_what_the_engine_said_of_it():
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegRefused(call=call, reason="no_ports", detail="all of 20000-20099 are taken"))
    assert "no media: no_ports (all of 20000-20099 are taken)" in [entry.cause for entry in bench.log]


@pytest.mark.parametrize(
    ("reason", "words"),
    [("encryption_required", "encrypted calls (SRTP) only"), ("encryption_refused", "none of the encryption")],
)
def test_a_phone_that_breaks_the_rule_of_encryption_is_told_so(reason: str, words: str):
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.LegRefused(call=call, reason=reason))
    refused = bench.last(c.RefuseCall)
    assert (refused.status, refused.why) == (488, reason)
    assert words in refused.reason


def test_an_engine_that_does_not_answer_is_503():
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.passes(10)
    assert c.RefuseCall(call=call, status=503, why="no_answer") in bench.fresh


def test_a_full_server_is_503_and_a_full_conference_486():
    bench = Bench(calls_max=2, participants_max=1).engine()
    made = bench.creates()
    bench.calls_in(made.id)
    assert c.RefuseCall(call=bench.calls_in(made.id), status=486) in bench.commands
    bench.calls_in(bench.creates().id)
    assert c.RefuseCall(call=bench.calls_in(made.id), status=503) in bench.commands


def test_a_late_offer_works():
    """RFC 3261 section 13.2.1: no offer in the INVITE, ours in the 200, the phone's answer in the ACK."""
    bench = Bench()
    made = bench.creates()
    call = bench.calls_in(made.id, sdp=None)
    assert bench.fresh == [c.OpenLeg(call=call, sdp=None, conference=made.id)]
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    assert bench.fresh == [c.AnswerCall(call=call, sdp="our offer")]
    bench.does(e.CallAcked(call=call, sdp="phone's answer"))
    assert bench.fresh == [c.ApplySdp(call=call, kind="answer", sdp="phone's answer")]
    bench.does(e.LegApplied(call=call, direction="sendrecv"))
    assert bench.fresh == [c.JoinRoom(call=call, conference=made.id)]


def test_a_late_offer_that_is_not_answered_ends_the_call():
    bench = Bench()
    call = bench.calls_in(bench.creates().id, sdp=None)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    bench.does(e.CallAcked(call=call, sdp=None))
    assert bench.all(c.HangUp, call=call)
    assert bench[call].hangup_reason == "failed"


def test_play_before_the_answer_is_early_media_and_entering_the_room_answers(bench: Bench):
    """183 with our SDP (RFC 3960)."""
    made = bench.creates(pre_actions=[action("play", stream_urls=["http://a/b.wav"]), action("beep")])
    call = bench.calls_in(made.id)
    signalling = [x for x in bench.commands if isinstance(x, c.ProgressCall | c.Play | c.AnswerCall | c.JoinRoom)]
    assert [type(x) for x in signalling] == [c.ProgressCall, c.Play, c.Play, c.AnswerCall, c.JoinRoom]
    assert bench.entries(made.id).index("call_ringing") < bench.entries(made.id).index("call_progressing")
    assert bench[call].tm_ringing <= bench[call].tm_progressing


def test_play_on_a_late_offer_answers_since_early_media_would_need_its_answer(bench: Bench):
    made = bench.creates(pre_actions=[action("play", stream_urls=["http://a/b.wav"])])
    bench.calls_in(made.id, sdp=None)
    assert not bench.all(c.ProgressCall)
    assert len(bench.all(c.Play)) == len(bench.all(c.JoinRoom)) == 1


def test_a_sound_that_is_ready_before_the_media_waits_for_them():
    bench = Bench()
    call = bench.calls_in(bench.creates(pre_actions=[WELCOME]).id, sdp=None)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    bench.does(e.PromptReady(request=bench.last(c.PreparePrompt).request, prompt="hash", duration_ms=100))
    assert not bench.all(c.Play)
    bench.does(e.CallAcked(call=call, sdp="phone's answer"))
    bench.does(e.LegApplied(call=call, direction="sendrecv"))
    assert [type(command) for command in bench.fresh] == [c.Play]


@pytest.mark.parametrize(
    ("reason", "status"),
    [("normal", 603), ("busy", 486), ("failed", 500), ("timeout", 408), ("noanswer", 480), ("cancel", 480)],
)
def test_hangup_before_the_answer_refuses_with_a_fitting_status(bench: Bench, reason: str, status: int):
    call = bench.calls_in(bench.creates(pre_actions=[action("hangup", reason=reason)]).id)
    assert bench.last(c.RefuseCall) == c.RefuseCall(call=call, status=status)
    assert (bench[call].hangup_by, bench[call].hangup_reason) == ("local", reason)
    assert bench.participant_of(call).status == "leaved"


def test_a_caller_who_cancels_leaves_nothing_behind():
    bench = Bench()
    call = bench.calls_in(bench.creates().id)
    bench.does(e.CallEnded(call=call, reason="cancel"))
    assert bench.fresh == [c.CloseLeg(call=call)]
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    assert bench.fresh == []
    assert (bench[call].hangup_by, bench[call].hangup_reason) == ("remote", "cancel")


# --- Going out ---


def dial(bench: Bench, *actions, **fields) -> str:
    fields.setdefault("destinations", [Address(target="bob@phone")])
    made = bench.asks_for(e.CreateCalls, source=US, actions=list(actions), **fields)
    assert [call.status for call in made] == ["dialing"] * len(made)
    return made[0].id


def test_an_outgoing_call_is_placed_with_our_offer_and_runs_its_actions_once_answered():
    bench = Bench()
    made = bench.creates()
    call = dial(bench, action("conference_join", conference_id=made.id))
    assert bench.all(c.OpenLeg) == [c.OpenLeg(call=call, sdp=None)]
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    assert bench.fresh == [
        c.PlaceCall(call=call, target="sip:bob@phone", source="sip:4000@server", source_name="Us", sdp="our offer")
    ]
    bench.does(e.CallRinging(call=call))
    assert bench[call].status == "ringing"
    bench.does(e.CallAnswered(call=call, sdp="phone's answer"))
    assert bench.fresh == [c.ApplySdp(call=call, kind="answer", sdp="phone's answer")]
    bench.does(e.LegApplied(call=call, direction="sendrecv"))
    assert bench.fresh == [c.JoinRoom(call=call, conference=made.id)]
    assert bench[call].conference_id == made.id
    bench.does(e.LegJoined(call=call, conference=made.id))
    assert bench[made.id].conferencecall_ids == [bench.participant_of(call).id]


def test_several_destinations_make_several_calls(bench: Bench):
    made = bench.asks_for(e.CreateCalls, source=US, destinations=[Address(target=f"p{n}@h") for n in range(3)])
    assert [call.destination.target for call in made] == ["p0@h", "p1@h", "p2@h"]
    assert all(bench[call.id].status == "hangup" for call in made), "no actions: nothing to do once answered"


@pytest.mark.parametrize(
    ("status", "reason"), [(486, "busy"), (600, "busy"), (408, "noanswer"), (480, "noanswer"), (603, "noanswer"),
                           (404, "failed"), (503, "failed")],
)  # fmt: skip
def test_a_phone_that_refuses_gives_the_reason(status: int, reason: str):
    bench = Bench()
    call = dial(bench)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    bench.does(e.CallRefused(call=call, status=status))
    assert bench.fresh == [c.CloseLeg(call=call)]
    assert (bench[call].hangup_by, bench[call].hangup_reason) == ("remote", reason)


def test_nobody_answers_within_the_dial_timeout():
    bench = Bench()
    call = dial(bench)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    bench.passes(59.9)
    assert bench[call].status == "dialing"
    assert bench.passes(0.1) == [c.HangUp(call=call, reason="dialout"), c.CloseLeg(call=call)]
    assert bench[call].hangup_reason == "dialout"
    assert bench.entries()[-2:] == ["call_canceling", "call_hangup"]


def test_an_outgoing_call_can_be_cancelled_through_the_api():
    bench = Bench()
    call = dial(bench)
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    made = bench.asks_for(e.HangUpCall, call=call)
    assert (made.status, made.hangup_by, made.hangup_reason) == ("hangup", "local", "cancel")
    assert bench.asks_for(e.HangUpCall, call=call, stored=made) == made


def test_calls_are_refused_while_the_engine_is_away_or_the_server_is_full():
    away = Bench(ready=False).asks_for(e.CreateCalls, source=US, destinations=[US])
    full = Bench(calls_max=1).asks_for(e.CreateCalls, source=US, destinations=[US, US])
    assert isinstance(away, Unavailable)
    assert isinstance(full, LimitReached)


BAD = [
    ({"destinations": []}, "/destinations"),
    ({"destinations": [US] * 51}, "/destinations"),
    ({"destinations": [US, Address(type="tel", target="+4912345")]}, "/destinations/1/type"),
    ({"destinations": [Address(type="fax")]}, "/destinations/0/type"),
    ({"destinations": [Address(target="bob")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@host\r\nX: y")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@host>;tag=x")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@host?Replaces=1")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@...")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@a..b")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@" + "a" * 64)]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@" + "a." * 127 + "aa")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@host:0")]}, "/destinations/0/target"),
    ({"destinations": [Address(target="bob@host:65536")]}, "/destinations/0/target"),
    ({"source": Address(target='"x" <sip:a@b>')}, "/source/target"),
    ({"source": Address(target_name="x\r\ny")}, "/source/target_name"),
    ({"actions": [action("talk")]}, "/actions/0/option/text"),
]


@pytest.mark.parametrize(("fields", "path"), BAD, ids=[path for _, path in BAD])
def test_a_bad_request_for_calls_is_400_with_the_path(bench: Bench, fields: dict, path: str):
    refused = bench.asks_for(e.CreateCalls, **{"source": US, "destinations": [US], **fields})
    assert isinstance(refused, Invalid)
    assert refused.path == path


def test_who_wants_a_number_called_is_told_how(bench: Bench):
    """With a trunk or without one."""
    refused = bench.asks_for(e.CreateCalls, source=US, destinations=[Address(type="tel", target="+4912345")])
    assert "call it as a sip address, number@host, where host is the trunk" in str(refused)


# --- Hold and resume (RFC 3264 section 8.4, RFC 3261 section 14) ---


def test_hold_and_resume_never_drop_the_call(bench: Bench):
    call = inside(bench)
    for direction, held in (("recvonly", True), ("inactive", True), ("sendrecv", False), ("sendonly", False)):
        bench.does(e.SdpOffered(call=call, sdp=direction))
        assert bench.fresh == [c.ApplySdp(call=call, kind="offer", sdp=direction)]
        bench.does(e.LegAnswered(call=call, sdp="answer", direction=direction))
        assert bench.fresh == [c.AnswerOffer(call=call, sdp="answer")]
        assert bench[call].on_hold is held
    assert bench.participant_of(call).status == "joined"


def test_an_offer_that_cannot_be_met_is_refused_and_the_session_goes_on(bench: Bench):
    call = inside(bench)
    bench.does(e.SdpOffered(call=call, sdp="opus only"))
    bench.does(e.LegRefused(call=call, reason="no_common_codec"))
    assert bench.fresh == [c.RefuseOffer(call=call, status=488, why="no_common_codec")]
    assert bench.participant_of(call).status == "joined"


def test_an_offerless_re_invite_gets_our_offer_and_its_answer_comes_with_the_ack(bench: Bench):
    call = inside(bench)
    bench.does(e.SdpOffered(call=call, sdp=None))
    assert bench.fresh == [c.OfferLeg(call=call)]
    bench.does(e.LegOffered(call=call, sdp="our offer"))
    assert bench.fresh == [c.AnswerOffer(call=call, sdp="our offer")]
    bench.does(e.CallAcked(call=call, sdp="hold"))
    assert bench.fresh == [c.ApplySdp(call=call, kind="answer", sdp="hold")]
    bench.does(e.LegApplied(call=call, direction="recvonly"))
    assert bench[call].on_hold
    assert bench.participant_of(call).status == "joined"


def test_offers_in_a_row_are_handled_in_order_and_more_than_one_waiting_is_refused(bench: Bench):
    call = inside(bench)
    for sdp in ("first", "second", "third"):
        bench.does(e.SdpOffered(call=call, sdp=sdp))
    assert bench.fresh == [c.RefuseOffer(call=call, status=491)]
    bench.does(e.LegAnswered(call=call, sdp="to first", direction="sendrecv"))
    assert bench.fresh == [
        c.AnswerOffer(call=call, sdp="to first"),
        c.ApplySdp(call=call, kind="offer", sdp="second"),
    ]


def test_silence_lets_the_call_go_unless_it_is_on_hold(bench: Bench):
    call = inside(bench)
    bench.does(e.SdpOffered(call=call, sdp="hold"))
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="recvonly"))
    bench.does(e.LegInactive(call=call, silent_ms=30_000))
    assert bench[call].status == "progressing"
    bench.does(e.SdpOffered(call=call, sdp="resume"))
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    bench.does(e.LegInactive(call=call, silent_ms=30_000))
    assert bench[call].hangup_reason == "media_lost"
    assert bench.participant_of(call).reason == "media_lost"
    assert bench.fresh == [c.HangUp(call=call, reason="media_lost"), c.CloseLeg(call=call)]


# --- How it ends ---


def test_no_call_lasts_longer_than_a_day(bench: Bench):
    call = bench.calls_in(bench.creates().id)
    bench.passes(86_399)
    assert bench[call].status == "progressing"
    bench.passes(1)
    assert bench[call].hangup_reason == "timeout"


def test_a_hang_up_cleans_up_everything(bench: Bench):
    bench.model.prompts_fail = False
    made = bench.creates(pre_actions=[action("answer"), action("recording_start"), WELCOME])
    bench.automatic = False
    call = bench.calls_in(made.id)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    request = bench.last(c.PreparePrompt).request
    recording = bench[call].recording_id
    bench.does(e.CallEnded(call=call, reason="bye"))
    assert bench.fresh == [
        c.CloseLeg(call=call), c.DropPrompt(request=request), c.StopRecording(recording=recording)
    ]  # fmt: skip
    assert bench.participant_of(call).reason == "hangup"
    bench.does(e.RecordingEnded(recording=recording, reason="stopped", duration_ms=5))
    assert bench[recording].end_reason == "call_ended"
    assert [row.resource.id for row in bench.rows.values() if row.live] == [made.id]


def test_the_servers_end_lets_every_call_go_and_keeps_the_conferences(bench: Bench):
    made = bench.creates(post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    bench.does(e.ServerStopping())
    assert bench[call].status == "hangup"
    assert bench.participant_of(call).reason == "server_stopped"
    assert bench.spoken() == []
    assert bench[made.id].status == "progressing"
    assert c.RefuseCall(call=bench.calls_in(made.id), status=503) in bench.fresh
    assert isinstance(bench.asks_for(e.CreateCalls, source=US, destinations=[US]), Unavailable)
