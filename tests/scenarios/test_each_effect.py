"""Each single effect of an ordinary day fails once, and the day goes on: the n-th commit, frame, datagram, for every n.

As SQLite is tested: make the n-th call fail, for n = 1, 2, 3, ... until the scenario passes without a failure.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plenary.core import events
from plenary.core.resources import Address, Conference, ConferenceType, Recording
from plenary.media import messages as wire

from .phones import Phone, PhoneCall
from .server_host import Crash
from .simulation import Simulation
from .story import GREETING, POST, action, caller, close, conference, heard, in_room, member, now

STRIDE = int(os.environ.get("SCENARIO_STRIDE", "3"))
"""One of so many of a kind is tried, each kind from another first: neighbours are much alike. Set it to 1 for all."""
AWAY_S = 0.4
"""How long a dead server stays away."""


def day(sim: Simulation) -> None:
    """Ann and Bob call, Eve is called; there is a hold, a key, a recording, a kick, a goodbye and an end."""
    greeting = [GREETING, action("digits_receive", duration=10_000, length=1)]
    sim.run_until(lambda: sim.server.link.ready)
    made = again(
        sim, events.CreateConference, type=ConferenceType.CONFERENCE, pre_actions=greeting, post_actions=[POST]
    )
    room: Conference = made
    ann, bob = call_in(sim, "ann", room), call_in(sim, "bob", room, late=True)
    for call in (ann, bob):
        press_until_in(sim, call)
    eve = call_up(sim, sim.phone("eve"), room)
    press_until_in(sim, eve)
    again(sim, events.StartConferenceRecording, conference=room.id)
    insist(sim, ann.phone.hold, ann, lambda: ann.held and sim.row_of(ann).on_hold)
    insist(sim, ann.phone.resume, ann, lambda: not ann.held and not sim.row_of(ann).on_hold)
    sim.run_until(lambda: all(in_room(sim, call) for call in (ann, bob, eve)))
    again(sim, events.KickConferencecall, conferencecall=member(sim, bob).id)
    sim.run_until(lambda: bob.over)
    eve.phone.hang_up(eve)
    sim.run_until(lambda: len(now(sim, room).conferencecall_ids) == 1)
    again(sim, events.DeleteConference, conference=room.id)
    sim.run_until(lambda: ann.over)
    close(sim)
    assert [member(sim, call).reason for call in (ann, bob, eve)] == ["conference_deleted", "kicked", "hangup"]
    said_farewell = [any(text.startswith("farewell") for text in heard(sim, call)) for call in (ann, bob, eve)]
    assert said_farewell == [True, True, False]


def again(sim: Simulation, kind: type[events.Request], **fields: object) -> Any:
    """A request, and once more if the server dies with it. What was asked twice may have been done twice."""
    while (result := sim.do(kind, **fields)) is None:
        sim.run(0.5)
    return result


def call_in(sim: Simulation, name: str, room: Conference, *, late: bool = False) -> PhoneCall:
    """Calls, and once more if he is sent away because the engine is being started again."""
    phone = sim.phone(name)
    for _ in range(5):
        call = phone.dial(room.id, late=late)
        sim.run_until(lambda call=call: call.up or call.over)
        if call.up:
            return call
        assert call.status == 503
        sim.run(1.0)
    raise AssertionError("\n".join(["not let in", *sim.story[-30:]]))


def call_up(sim: Simulation, phone: Phone, room: Conference) -> PhoneCall:
    """Has the phone called; if it is called twice because the server died with the reply, it takes the last call."""
    join = [action("conference_join", conference_id=room.id)]
    for attempt in range(3):
        end = Address(target=f"{phone.name}{attempt}@{phone.address[0]}")
        if sim.do(events.CreateCalls, source=Address(), destinations=[end], actions=join) is not None:
            break
        sim.run(0.5)
    sim.run_until(lambda: phone.ever and phone.ever[-1].up)
    for call in phone.ever[:-1]:
        phone.hang_up(call)
    return phone.ever[-1]


def insist(sim: Simulation, what: Callable[[PhoneCall], None], call: PhoneCall, done: Callable[[], bool]) -> None:
    """Does it once more every few seconds, as people do, until it has been done."""
    for _ in range(10):
        what(call)
        sim.run(3.0)
        if done():
            return
    raise AssertionError("\n".join(["to no avail", *sim.story[-30:]]))


def press_until_in(sim: Simulation, call: PhoneCall) -> None:
    """A key pressed while the engine or the server is away is not heard: people press once more."""
    for _ in range(20):
        sim.run(1.0)
        if in_room(sim, call):
            return
        call.phone.press(call, "5")
    raise AssertionError("\n".join(["never got in", *sim.story[-30:]]))


def keep_alive(sim: Simulation) -> None:
    """Whoever watches the server starts it again."""
    if not sim.server.up:
        sim.server.start()
    sim.agenda.at(sim.clock.now + AWAY_S, lambda: keep_alive(sim))


def prepared(folder: Path, what_fails: Callable[[Simulation], object]) -> Simulation:
    sim = Simulation(folder)
    keep_alive(sim)
    what_fails(sim)
    return sim


def lose_datagram(sim: Simulation, nth: int) -> None:
    sim.network.lost = lambda _: len(sim.network.sent) == nth


def die_at_commit(sim: Simulation, nth: int, where: Crash) -> None:
    commits = iter(range(1, 1_000_000))
    sim.server.crash_next = where
    sim.server.crash_if = lambda turn: bool(turn.record) and next(commits) == nth


def die_at_frame(sim: Simulation, nth: int) -> None:
    """The engine dies when it gets the n-th frame."""
    if sim.engine.frames < nth:
        sim.agenda.at(sim.clock.now + 0.001, lambda: die_at_frame(sim, nth))
    else:
        sim.engine.crash()


FAULTS: dict[str, Callable[[Simulation, int], object]] = {
    "a commit fails once": lambda sim, n: setattr(sim.server, "fail_commit", n),
    "a frame to the engine is lost with its connection": lambda sim, n: setattr(sim.engine, "lose_frame", n),
    "a datagram is lost": lose_datagram,
    "the server dies before a commit": lambda sim, n: die_at_commit(sim, n, Crash.BEFORE_COMMIT),
    "the server dies after a commit": lambda sim, n: die_at_commit(sim, n, Crash.AFTER_COMMIT),
    "the server dies after its datagrams": lambda sim, n: die_at_commit(sim, n, Crash.AFTER_DATAGRAMS),
    "the server dies after its frames": lambda sim, n: die_at_commit(sim, n, Crash.AFTER_FRAMES),
    "the engine dies": die_at_frame,
}


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Simulation:
    """A day without any trouble."""
    sim = Simulation(tmp_path_factory.mktemp("calm"))
    day(sim)
    return sim


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_once_the_day_goes_on(fault: str, calm: Simulation, tmp_path: Path):
    happens = {"datagram": len(calm.network.sent), "commit": calm.server.commits}
    times = happens["datagram"] if "datagram is" in fault else happens["commit"]
    times = calm.engine.frames if "engine" in fault else times
    assert times > 20
    for n in range(1 + list(FAULTS).index(fault) % STRIDE, times + 1, STRIDE):
        sim = prepared(tmp_path / str(n), lambda sim, n=n: FAULTS[fault](sim, n))
        try:
            day(sim)
        except AssertionError as error:
            raise AssertionError(f"{fault}, number {n}: {error}") from error


REFUSED = (wire.OpenLeg, wire.ApplySdp, wire.OfferLeg, wire.Play, wire.StartRecording, wire.LoadPrompt)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_engine_refuses_leaves_nothing_behind(kind: type[wire.Message], tmp_path: Path):
    """He whom it concerns may be let go; nobody else, and nothing stays."""
    for n in range(1, 6):
        sim = prepared(tmp_path / str(n), lambda sim, n=n: sim.engine.refuse(kind, n))
        room = conference(sim, pre=[GREETING], post=[POST])
        calls = [sim.phone(name).dial(room.id, late=name == "bob") for name in ("ann", "bob", "eve")]
        again(sim, events.StartConferenceRecording, conference=room.id)
        sim.run(20.0)
        assert sum(in_room(sim, call) for call in calls) >= 2
        again(sim, events.DeleteConference, conference=room.id)
        close(sim)


def test_a_prompt_that_cannot_be_made_is_left_out(tmp_path: Path):
    for n in range(1, 4):
        sim = prepared(tmp_path / str(n), lambda sim, n=n: setattr(sim.server, "fail_prompt", n))
        room = conference(sim, pre=[GREETING, action("talk", text="nice that you are here")], post=[POST])
        ann = caller(sim, "ann", room)
        again(sim, events.DeleteConference, conference=room.id)
        sim.run_until(lambda ann=ann: ann.over)
        assert len(heard(sim, ann)) == 2
        assert sum(entry.type == "action_failed" for entry in sim.judge.log) == 1
        close(sim)


def test_a_calm_day_is_told_without_a_word_too_many(calm: Simulation):
    kinds = [entry.type for entry in calm.judge.log]
    assert kinds.count("conferencecall_joined") == 3
    assert not {"action_failed", "media_lost", "server_recovered"} & set(kinds)
    (recording,) = [row for row in calm.judge.rows.values() if isinstance(row, Recording)]
    assert (recording.end_reason, recording.parts) == ("conference_ended", 1)
