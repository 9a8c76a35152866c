"""The contract's example, from the first request to the last hang-up."""

from harness import FAREWELL, WELCOME, Bench

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.ids import NEVER, ZERO_ID


def test_the_example_of_the_contract_works_to_the_letter():
    """A phone that calls it hears the welcome, then the others; deleted, it hears the farewell and is hung up."""
    bench = Bench()
    made = bench.creates(name="test conference", pre_actions=[WELCOME], post_actions=[FAREWELL])
    assert made.status == "progressing"
    assert made.pre_actions[0].id == made.pre_actions[0].next_id == ZERO_ID
    assert (made.conferencecall_ids, made.recording_ids, made.recording_id) == ([], [], ZERO_ID)
    assert made.tm_delete == NEVER

    call = bench.calls_in(made.id)
    assert isinstance(bench.last(c.OpenLeg), c.OpenLeg)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    assert bench.fresh[0] == c.AnswerCall(call=call, sdp="answer")
    prompt = bench.last(c.PreparePrompt)
    assert prompt.text == WELCOME.option["text"]
    assert (prompt.gender, prompt.language) == ("female", "en-US")
    bench.does(e.PromptReady(request=prompt.request, prompt="hash", duration_ms=2_000))
    bench.does(e.PlayEnded(call=call, play=bench.last(c.Play).play, reason="finished"))
    assert bench.fresh == [c.JoinRoom(call=call, conference=made.id)]
    bench.does(e.LegJoined(call=call, conference=made.id))
    member = bench.participant_of(call)
    assert bench[made.id].conferencecall_ids == [member.id]

    gone = bench.deletes(made.id)
    assert gone.status == "terminated"
    assert gone.conferencecall_ids == []
    assert bench.participant_of(call).reason == "conference_deleted"
    prompt = bench.last(c.PreparePrompt)
    assert prompt.text == FAREWELL.option["text"]
    bench.does(e.PromptReady(request=prompt.request, prompt="hash", duration_ms=2_000))
    bench.does(e.PlayEnded(call=call, play=bench.last(c.Play).play, reason="finished"))
    assert bench.fresh == [c.HangUp(call=call, reason="normal"), c.CloseLeg(call=call)]
    assert bench[call].status == "hangup"
    assert not any(row.live for row in bench.rows.values())
    assert [entry.number for entry in bench.log if entry.conference_id == made.id] == list(range(1, len(bench.log) + 1))
    assert bench.entries().count("conference_deleted") == 1


def test_who_hangs_up_runs_no_post_actions_and_the_event_says_why_he_left():
    bench = Bench().engine()
    made = bench.creates(pre_actions=[WELCOME], post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    bench.does(e.CallEnded(call=call, reason="bye"))
    assert bench.spoken() == [WELCOME.option["text"]]
    assert bench.participant_of(call).reason == "hangup"
    assert (bench[call].hangup_by, bench[call].hangup_reason) == ("remote", "normal")
    assert bench[made.id].status == "progressing"


def test_a_call_in_and_out_leaves_a_whole_trail():
    bench = Bench().engine()
    made = bench.creates()
    call = bench.calls_in(made.id)
    bench.does(e.CallEnded(call=call, reason="bye"))
    assert bench.entries() == [
        "conference_created", "call_created", "conferencecall_joining", "call_progressing", "conferencecall_joined",
        "conference_updated", "conferencecall_leaved", "conference_updated", "call_hangup",
    ]  # fmt: skip
