"""Recordings of conferences and of calls."""

import pytest
from harness import Bench, action

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.errors import Invalid, NotFound, Unavailable, WrongState
from plenary.core.ids import NEVER, ZERO_ID


@pytest.fixture
def bench() -> Bench:
    return Bench()


def starts(bench: Bench, conference: str, **fields):
    return bench.asks_for(e.StartConferenceRecording, conference=conference, **fields)


def test_it_can_start_in_an_empty_room_and_begins_with_the_first_sound(bench: Bench):
    """Recording can start in an empty room and begins with the first sound."""
    made = bench.creates()
    made = starts(bench, made.id, duration=60, end_of_silence=5)
    recording = bench[made.recording_id]
    assert made.recording_ids == [recording.id]
    assert bench.fresh[0] == c.StartRecording(
        recording=recording.id, part=1, conference=made.id, duration_ms=60_000, end_of_silence_ms=5_000
    )
    assert (recording.status, recording.tm_start) == ("initiating", NEVER)
    bench.passes(3)
    bench.does(e.RecordingStarted(recording=recording.id))
    assert bench[recording.id].status == "recording"
    assert bench[recording.id].tm_start.endswith("23.000000")


@pytest.mark.parametrize(
    ("engine", "reason"), [("duration", "duration"), ("silence", "silence"), ("disk_error", "disk_error")]
)
def test_one_that_ends_by_itself_clears_recording_id(bench: Bench, engine: str, reason: str):
    """A recording that ends by itself clears `recording_id`."""
    made = starts(bench, bench.creates().id)
    bench.does(e.RecordingEnded(recording=made.recording_id, reason=engine, duration_ms=1_234))
    ended = bench[made.recording_id]
    assert (ended.status, ended.end_reason, ended.duration_ms) == ("ended", reason, 1_234)
    assert bench[made.id].recording_id == ZERO_ID
    assert bench[made.id].recording_ids == [ended.id]
    assert bench.entries()[-2:] == ["conference_updated", "recording_finished"]
    assert starts(bench, made.id).recording_id != ended.id


def test_a_stop_clears_recording_id_at_once_and_the_recording_ends_when_the_engine_says_so(bench: Bench):
    made = starts(bench, bench.creates().id)
    stopped = bench.asks_for(e.StopConferenceRecording, conference=made.id)
    assert stopped.recording_id == ZERO_ID
    assert bench[made.recording_id].status == "stopping"
    assert bench.fresh[0] == c.StopRecording(recording=made.recording_id)
    bench.does(e.RecordingEnded(recording=made.recording_id, reason="stopped", duration_ms=9))
    assert (bench[made.recording_id].status, bench[made.recording_id].end_reason) == ("ended", "stopped")


def test_it_is_refused_when_it_cannot_be_done(bench: Bench):
    """409, with a code."""
    made = bench.creates()
    refused = bench.asks_for(e.StopConferenceRecording, conference=made.id)
    assert (refused.status, refused.code) == (409, "recording_not_active")
    starts(bench, made.id)
    assert starts(bench, made.id).code == "recording_already_active"
    gone = bench.deletes(made.id)
    assert isinstance(starts(bench, made.id, stored=gone), WrongState)
    bad = [{"format": "mp3"}, {"duration": -1}, {"end_of_silence": 86_401}]
    other = bench.creates()
    for fields in bad:
        refused = starts(bench, other.id, **fields)
        assert isinstance(refused, Invalid)
        assert refused.path == f"/{next(iter(fields))}"
    bench.does(e.EngineLost())
    assert isinstance(starts(bench, other.id), Unavailable)
    assert isinstance(starts(Bench(ready=False), "none"), NotFound)


def test_a_starting_conference_cannot_be_recorded():
    bench = Bench(ready=False)
    assert starts(bench, bench.creates().id).code == "conference_not_ready"


def test_the_conferences_end_ends_it(bench: Bench):
    made = starts(bench, bench.creates().id)
    bench.deletes(made.id)
    commands = [type(command) for command in bench.fresh]
    assert commands.index(c.StopRecording) < commands.index(c.CloseRoom)
    bench.does(e.RecordingEnded(recording=made.recording_id, reason="room_closed", duration_ms=9))
    assert bench[made.recording_id].end_reason == "conference_ended"
    finished = bench.log[-1]
    assert (finished.type, finished.number > 0) == ("recording_finished", True)
    assert not any(row.live for row in bench.rows.values())


def test_what_a_lost_engine_has_recorded_counts(bench: Bench):
    """It could not say how much that was: the disk does."""
    made = starts(bench, bench.creates().id, duration=60)
    bench.does(e.RecordingStarted(recording=made.recording_id))
    bench.does(e.EngineLost())
    bench.does(e.EngineReady(restarted=True, recorded_ms={made.recording_id: 20_000}))
    assert bench.fresh[-1] == c.StartRecording(
        recording=made.recording_id, part=2, conference=made.id, duration_ms=40_000
    )
    assert bench[made.recording_id].duration_ms == 20_000


def test_a_new_engine_goes_on_in_a_new_part(bench: Bench):
    """The recording goes on in a new part, with what is left of its time."""
    made = starts(bench, bench.creates().id, duration=60)
    bench.does(e.RecordingStarted(recording=made.recording_id))
    bench.does(e.RecordingEnded(recording=made.recording_id, reason="engine_lost", duration_ms=20_000))
    assert bench[made.recording_id].status == "recording"
    assert bench.log[-1].type == "recording_updated"
    assert bench.log[-1].data.duration_ms == 20_000
    bench.does(e.EngineLost())
    bench.does(e.EngineReady(restarted=True))
    assert bench.fresh[-1] == c.StartRecording(
        recording=made.recording_id, part=2, conference=made.id, duration_ms=40_000
    )
    bench.does(e.RecordingEnded(recording=made.recording_id, reason="duration", duration_ms=40_000))
    ended = bench[made.recording_id]
    assert (ended.duration_ms, ended.parts, ended.end_reason) == (60_000, 2, "duration")


def test_delete_ends_it_and_removes_its_files_once(bench: Bench):
    made = starts(bench, bench.creates().id)
    gone = bench.asks_for(e.DeleteRecording, recording=made.recording_id)
    assert (gone.status, gone.tm_delete != NEVER) == ("ended", True)
    assert [type(command) for command in bench.fresh[:2]] == [c.StopRecording, c.RemoveRecordingFiles]
    assert bench[made.id].recording_id == ZERO_ID
    assert bench.asks_for(e.DeleteRecording, recording=made.recording_id, stored=gone) == gone
    assert bench.entries().count("recording_deleted") == bench.entries().count("recording_finished") == 1


def test_one_that_ended_long_ago_is_deleted_with_what_the_store_has(bench: Bench):
    made = starts(bench, bench.creates().id)
    bench.does(e.RecordingEnded(recording=made.recording_id, reason="duration", duration_ms=9))
    bench.restart()
    gone = bench.asks_for(e.DeleteRecording, recording=made.recording_id, stored=bench[made.recording_id])
    assert gone.tm_delete != NEVER
    assert bench.rows[gone.id].resource == gone
    assert bench.all(c.RemoveRecordingFiles) == [c.RemoveRecordingFiles(recording=gone.id)]


def recorded_call(bench: Bench, **option) -> tuple[str, str]:
    bench.engine()
    actions = [action("answer"), action("recording_start", **option)]
    call = bench.calls_in(bench.creates(pre_actions=actions).id)
    return call, bench[call].recording_id


@pytest.mark.parametrize(("key", "ends"), [("any", True), ("#", True), ("*", False), ("none", False)])
def test_a_key_ends_the_recording_of_a_call(bench: Bench, key: str, ends: bool):
    call, recording = recorded_call(bench, end_of_key=key)
    assert bench.last(c.StartRecording).call == call
    bench.does(e.DigitPressed(call=call, digit="#"))
    assert (bench[recording].end_reason == "key") is ends
    assert (bench[call].recording_id == ZERO_ID) is ends


def test_recording_start_can_beep_first_and_records_an_answered_call_only(bench: Bench):
    recorded_call(bench, beep_start=True)
    kinds = [type(x) for x in bench.commands if isinstance(x, c.Play | c.StartRecording)]
    assert kinds == [c.Play, c.StartRecording]
    bench.calls_in(bench.creates(pre_actions=[action("recording_start")]).id)
    assert len(bench.all(c.StartRecording)) == 1
    assert bench.entries().count("action_failed") == 1


def test_recording_stop_ends_the_recording_of_the_call(bench: Bench):
    bench.engine()
    actions = [action("answer"), action("recording_start"), action("recording_stop"), action("recording_stop")]
    call = bench.calls_in(bench.creates(pre_actions=actions).id)
    assert bench[bench[call].recording_ids[0]].end_reason == "stopped"
    assert bench.entries().count("action_failed") == 1
