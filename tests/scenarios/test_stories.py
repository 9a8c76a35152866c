"""Stories of a server that meets its phones, its engine and its end: each is one thing that users count on."""

from plenary.core import events
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Address, Recording

from .server_host import Crash
from .simulation import Simulation
from .story import GREETING, POST, action, caller, close, conference, heard, in_room, member, now, said_to
from .swarm import Swarm

OPEN, WRONG = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


def test_greeting_room_and_farewell_when_the_conference_is_deleted(sim):
    room = conference(sim, pre=[GREETING], post=[POST])
    ann = caller(sim, "ann", room)
    assert heard(sim, ann) == ["welcome"]
    sim.do(events.DeleteConference, conference=room.id)
    sim.run_until(lambda: ann.over)
    assert heard(sim, ann)[1:] == [f"farewell to {sim.row_of(ann).id}"]
    assert member(sim, ann).reason == "conference_deleted"
    close(sim)


def test_who_hangs_up_hears_no_farewell(sim):
    room = conference(sim, post=[POST])
    ann = caller(sim, "ann", room)
    ann.phone.hang_up(ann)
    sim.run(10.0)
    assert heard(sim, ann) == []
    assert member(sim, ann).reason == "hangup"
    close(sim)


def test_two_are_put_through_and_part_together(sim):
    room = conference(sim, type_="connect")
    ann = sim.phone("ann").dial(room.id)
    sim.run(3.0)
    assert not ann.up
    assert any("180" in line for line in said_to(sim, ann))
    bob = caller(sim, "bob", room)
    sim.run_until(lambda: in_room(sim, ann))
    bob.phone.hang_up(bob)
    sim.run_until(lambda: ann.over)
    assert member(sim, ann).reason == "peer_left"
    assert now(sim, room).status == "terminated"
    close(sim)


def test_a_pin_is_taken_though_the_server_dies_between_two_digits(sim):
    pre = [
        action("talk", text="your pin"),
        action("digits_receive", duration=20_000, length=2),
        action("branch", target_ids={"42": OPEN}, default_target_id=WRONG),
        action("hangup", WRONG),
        action("talk", OPEN, text="correct"),
    ]
    room = conference(sim, pre=pre)
    ann = sim.phone("ann").dial(room.id)
    sim.run_until(lambda: heard(sim, ann))
    sim.run(2.0)
    ann.phone.press(ann, "4")
    sim.run(0.5)
    sim.server.restart()
    sim.run(1.0)
    ann.phone.press(ann, "2")
    sim.run_until(lambda: in_room(sim, ann))
    assert heard(sim, ann) == ["your pin", "correct"]
    close(sim)


def test_a_recording_goes_on_in_a_new_part_after_the_engine_died(sim):
    room = conference(sim)
    caller(sim, "ann", room)
    sim.do(events.StartConferenceRecording, conference=room.id)
    sim.run(5.0)
    sim.engine.crash()
    sim.run(15.0)
    (recording,) = [row for row in sim.judge.live.values() if isinstance(row, Recording)]
    assert (recording.status, recording.parts) == ("recording", 2)
    sim.do(events.StopConferenceRecording, conference=room.id)
    sim.run(1.0)
    ended = sim.judge.rows[recording.id]
    assert (ended.end_reason, ended.parts) == ("stopped", 2)
    close(sim)


def test_a_call_recording_that_is_stopped_while_the_engine_dies_has_ended(sim):
    """Found by seed 1651."""
    actions = [action("answer"), action("recording_start"), action("sleep", duration=1_000), action("recording_stop")]
    room = conference(sim, pre=actions)
    ann = sim.phone("ann").dial(room.id)
    sim.run_until(lambda: sim.engine.fake.recordings())
    sim.run_until(lambda: any(row.status == "stopping" for row in sim.judge.rows.values()), step_s=0.0005)
    sim.engine.crash()
    sim.run_until(lambda: in_room(sim, ann))
    (recording,) = [row for row in sim.judge.rows.values() if isinstance(row, Recording)]
    assert (recording.status, recording.end_reason) == ("ended", "stopped")
    close(sim)


def test_what_was_decided_before_an_engine_died_is_not_told_to_the_next_one(sim):
    """Found by seed 10196: one turn has the request, the end of the engine and the next engine."""
    room = conference(sim)
    caller(sim, "ann", room)
    sim.server.disk_full_until = sim.clock.now + 8.0
    sim.ask(events.UpdateConference, conference=room.id)
    sim.run(1.0)
    sim.ask(events.StartConferenceRecording, conference=room.id)
    sim.engine.crash()
    sim.run_until(lambda: sim.engine.alive and sim.clock.now > sim.server.disk_full_until)
    sim.run(20.0)
    (recording,) = [row for row in sim.judge.rows.values() if isinstance(row, Recording)]
    assert (recording.status, recording.end_reason) == ("recording", "")
    close(sim)


def test_a_dead_engine_costs_a_reinvite_and_no_call(sim):
    room = conference(sim)
    calls = [caller(sim, name, room) for name in ("ann", "bob", "eve")]
    sim.engine.crash()
    sim.run(15.0)
    assert all(in_room(sim, call) for call in calls)
    assert [call.offers_seen for call in calls] == [1, 1, 1]
    close(sim)


def test_a_restart_of_the_server_touches_nobody(sim):
    room = conference(sim)
    calls = [caller(sim, name, room) for name in ("ann", "bob")]
    since = sim.clock.now
    sim.server.crash()
    sim.run(10.0)
    sim.server.start()
    sim.run(10.0)
    assert all(in_room(sim, call) for call in calls)
    assert [said_to(sim, call, since) for call in calls] == [[], []]
    close(sim)


def test_a_hold_that_finds_the_server_dead_is_honoured_when_it_lives_again(sim):
    room = conference(sim)
    ann = caller(sim, "ann", room)
    sim.server.crash()
    ann.phone.hold(ann)
    sim.run(5.0)
    sim.server.start()
    sim.run_until(lambda: ann.held)
    assert sim.row_of(ann).on_hold
    ann.phone.resume(ann)
    sim.run_until(lambda: not sim.row_of(ann).on_hold)
    close(sim)


def test_a_phone_that_vanishes_is_let_go(sim):
    room = conference(sim)
    ann = caller(sim, "ann", room)
    sim.run(5.0)
    ann.phone.vanish()
    sim.run(20.0)
    assert sim.row_of(ann).hangup_reason == "media_lost"
    assert now(sim, room).conferencecall_ids == []
    close(sim)


def test_a_caller_on_hold_may_be_silent(sim):
    room = conference(sim)
    ann = caller(sim, "ann", room)
    ann.phone.hold(ann)
    sim.run(2.0)
    ann.up = False  # sends nothing
    sim.run(120.0)
    assert sim.row_of(ann).status == "progressing"
    ann.up = True
    close(sim)


def test_a_crash_between_commit_and_200_still_lets_the_caller_in(sim):
    room = conference(sim)
    sim.server.crash_next = Crash.AFTER_COMMIT
    sim.server.crash_if = lambda turn: any(b" 200 OK" in datagram.data[:20] for datagram in turn.datagrams)
    ann = sim.phone("ann").dial(room.id)
    sim.run_until(lambda: not sim.server.up)
    assert not ann.up
    assert sim.row_of(ann).status == "progressing"
    sim.server.start()
    sim.run_until(lambda: in_room(sim, ann))
    close(sim)


def test_a_full_disk_keeps_the_server_silent_and_nothing_is_lost(sim):
    room = conference(sim)
    sim.server.disk_full_until = sim.clock.now + 8.0
    since = sim.clock.now
    ann = sim.phone("ann").dial(room.id)
    sim.run(7.0)
    assert said_to(sim, ann, since) == []
    assert sim.row_of(ann) is None
    sim.run_until(lambda: in_room(sim, ann))
    close(sim)


def test_a_phone_that_rings_while_the_server_dies_is_still_the_one_that_was_called(sim):
    room = conference(sim)
    bob = sim.phone("bob")
    join = action("conference_join", conference_id=room.id)
    end = Address(target=f"bob@{bob.address[0]}")
    sim.do(events.CreateCalls, source=Address(target="4000"), destinations=[end], actions=[join])
    sim.run_until(lambda: bob.calls)
    sim.server.crash()
    sim.run(3.0)
    sim.server.start()
    sim.run_until(lambda: bob.ever and in_room(sim, bob.ever[0]))
    assert len(bob.ever) == 1
    close(sim)


def test_a_timeout_that_passes_while_the_server_is_dead_counts_when_it_lives(sim):
    room = conference(sim, timeout=30)
    ann = caller(sim, "ann", room)
    sim.server.crash()
    sim.run(60.0)
    assert now(sim, room).status == "progressing"
    sim.server.start()
    sim.run(1.0)
    assert now(sim, room).status == "terminated"
    assert member(sim, ann).reason == "conference_timeout"
    close(sim)


def test_a_timeout_is_kept_to_the_second_though_the_server_died_before_it(sim):
    room = conference(sim, timeout=30)
    sim.run(20.0)
    sim.server.restart()
    sim.run(9.0)
    assert now(sim, room).status == "progressing"
    sim.run(1.5)
    ended = now(sim, room)
    assert ended.status == "terminated"
    assert 0.0 <= sim.seconds(ended.tm_end) - sim.seconds(ended.tm_create) - 30.0 < 0.1
    close(sim)


def test_a_caller_without_an_offer_gets_ours(sim):
    room = conference(sim, pre=[GREETING])
    ann = caller(sim, "ann", room, late=True)
    assert heard(sim, ann) == ["welcome"]
    close(sim)


def test_kick_and_bye_work_the_same_after_a_restart(sim):
    room = conference(sim, post=[POST])
    ann, bob = caller(sim, "ann", room), caller(sim, "bob", room)
    sim.server.restart()
    sim.run(1.0)
    bob.phone.hang_up(bob)
    sim.do(events.KickConferencecall, conferencecall=member(sim, ann).id)
    sim.run_until(lambda: ann.over)
    assert [member(sim, ann).reason, member(sim, bob).reason] == ["kicked", "hangup"]
    assert len(heard(sim, ann)) == 1
    assert heard(sim, bob) == []
    close(sim)


def test_an_orderly_end_hangs_up_and_keeps_the_conference(sim):
    room = conference(sim, post=[POST])
    ann = caller(sim, "ann", room)
    sim.server.stop()
    sim.run(1.0)
    assert ann.over == "bye"
    sim.server.crash("after it has ended")
    sim.run(5.0)
    sim.server.start()
    sim.run(2.0)
    caller(sim, "bob", room)
    close(sim)


def test_a_server_away_for_longer_than_the_engine_waits_gets_its_calls_back(sim):
    room = conference(sim)
    ann = caller(sim, "ann", room)
    sim.do(events.StartConferenceRecording, conference=room.id)
    sim.run(5.0)
    sim.server.crash()
    sim.run(40.0)
    assert not sim.engine.alive
    sim.server.start()
    sim.run_until(lambda: in_room(sim, ann))
    assert ann.offers_seen == 1
    assert now(sim, room).recording_id != ZERO_ID
    close(sim)


def test_a_request_that_crosses_the_commit_of_an_end_sees_the_end(tmp_path):
    sim = Simulation(tmp_path, swarm=Swarm(commit_s=2.0))
    room = conference(sim)
    answers: list = []
    sim.ask(events.DeleteConference, answers.append, conference=room.id)
    sim.run(0.01)
    sim.ask(events.DeleteConference, answers.append, conference=room.id)
    sim.run(10.0)
    assert [one.status for one in answers] == ["terminated", "terminated"]


def test_a_thousand_are_put_out_in_a_few_turns(tmp_path):
    sim = Simulation(tmp_path)
    room = conference(sim, post=[POST])
    phone = sim.phone("hall")
    calls = []
    for _ in range(1_000):
        calls.append(phone.dial(room.id))
        sim.run(0.005)
    sim.run_until(lambda: len(now(sim, room).conferencecall_ids) == 1_000)
    turns, replied_at = sim.server.turns, list[int]()
    sim.ask(events.DeleteConference, lambda _: replied_at.append(sim.server.turns), conference=room.id)
    sim.run(0.001)
    assert replied_at == [turns + 1]
    assert now(sim, room).conferencecall_ids == []
    sim.run(30.0)
    assert all(call.over == "bye" for call in calls)
    assert len(sim.engine.played) == 1_000
    sim.run(92.0)
    sim.judge.nothing_is_left()
