"""Anything can happen, in any order, at any time: what must hold all the same.

A seeded driver draws from all events. The engine, the prompts and the phones answer late, out of order with one
another, or not at all; the engine and the server die. A second switch, made anew from what was committed whenever the
driver likes, must decide the same as the first at every step.
"""

import itertools
import random
from collections import defaultdict, deque

import pytest
from harness import CUSTOMER, START, Model, action, talk

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.changes import Changes
from plenary.core.errors import Refusal
from plenary.core.ids import NEVER, ZERO_ID
from plenary.core.resources import (
    Address,
    Call,
    Conference,
    Conferencecall,
    ConferenceType,
    Recording,
    Settings,
)
from plenary.core.switch import Switch, SwitchSettings

ORDER = {
    Conference: ["starting", "progressing", "terminating", "terminated"],
    Conferencecall: ["joining", "joined", "leaving", "leaved"],
    Call: ["dialing", "ringing", "progressing", "terminating", "canceling", "hangup"],
    Recording: ["initiating", "recording", "stopping", "ended"],
}
LAST_WORDS = {
    Conference: "conference_deleted",
    Conferencecall: "conferencecall_leaved",
    Call: "call_hangup",
    Recording: "recording_finished",
}
A, B = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"


def plain(command: c.Command) -> object:
    """Commands compare as values, the refusals in them do not."""
    if isinstance(command, c.Reply) and isinstance(command.result, Refusal):
        return command.ask, command.result.code, command.result.path
    return command


class Ids:
    def __init__(self) -> None:
        self.next = 1

    def __call__(self) -> str:
        self.next += 1
        return f"00000000-0000-4000-8000-{self.next:012x}"


class Driver:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.settings = SwitchSettings(participants_max=4, calls_max=12, call_max_s=900)
        self.ids, self.shadow_ids = Ids(), Ids()
        self.switch, self.shadow = Switch(self.ids, self.settings), Switch(self.shadow_ids, self.settings)
        self.now = START
        self.rows: dict = {}
        self.log: list = []
        self.numbers: dict[str, int] = defaultdict(int)
        self.model = Model()
        self.engine = False
        self.answers: dict[str, deque] = defaultdict(deque)
        """What is on its way to the switch, in order for each subject."""
        self.calls: list[str] = []
        self.counter = itertools.count(1)
        self.asked: dict[int, int] = defaultdict(int)
        self.prompts: dict[str, str] = {}
        # Swarm testing: each run has its own idea of what is likely.
        self.lazy = self.random.choice([0.0, 0.2, 0.6])
        self.weights = [often * self.random.choice([0.2, 1, 1, 3]) for often in self.moves().values()]
        self.gain_engine()
        self.create()

    # --- One turn ---

    def turn(self, name: str, *args: object) -> None:
        commands = getattr(self.switch, name)(*args, self.now)
        changes = self.switch.changes()
        again = getattr(self.shadow, name)(*args, self.now)
        shadowed = self.shadow.changes()
        assert list(map(plain, again)) == list(map(plain, commands)), (
            "made anew from its rows, a switch decides the same"
        )
        assert {row.resource.id: row for row in shadowed.rows} == {row.resource.id: row for row in changes.rows}
        assert [entry.type for entry in shadowed.log] == [entry.type for entry in changes.log]
        self.keep(changes)
        for command in commands:
            if isinstance(command, c.Reply):
                self.asked[command.ask] -= 1
                assert isinstance(command.result, Refusal | list) or command.result.id in self.rows
            else:
                self.perform(command)
        self.check()

    def keep(self, changes: Changes) -> None:
        for row in changes.rows:
            old = self.rows.get(row.resource.id)
            order = ORDER[type(row.resource)]
            if old is not None:
                assert order.index(row.resource.status) >= order.index(old.resource.status), "forward only"
            self.rows[row.resource.id] = row
        for entry in changes.log:
            self.log.append(entry)
            if entry.number:
                self.numbers[entry.conference_id] += 1
                assert entry.number == self.numbers[entry.conference_id], "gapless"

    def perform(self, command: c.Command) -> None:
        if isinstance(command, c.PreparePrompt):
            self.prompts[command.request] = ""
        if isinstance(command, c.DropPrompt):
            self.prompts.pop(command.request, None)
        media = isinstance(
            command,
            c.OpenLeg | c.ApplySdp | c.OfferLeg | c.CloseLeg | c.OpenRoom | c.CloseRoom | c.JoinRoom | c.LeaveRoom
            | c.Play | c.StopPlay | c.StartRecording | c.StopRecording,
        )  # fmt: skip
        if media and not self.engine:
            return  # lost: EngineReady makes up for it
        if isinstance(command, c.Play | c.JoinRoom) and command.call not in self.model.legs:
            raise AssertionError(f"no leg for {command}")
        self.model.direction = self.random.choice(["sendrecv"] * 3 + ["recvonly", "inactive"])
        for event in self.model.answer(command):
            subject = getattr(event, "call", None) or getattr(event, "request", None) or getattr(event, "recording", "")
            if isinstance(event, e.CallRinging | e.CallAnswered | e.CallAcked | e.SdpAnswered):
                subject = f"sip {subject}"
            elif isinstance(event, e.PromptReady):
                subject = f"prompt {subject}"
            self.answers[subject].append(event)

    def ends_recording(self) -> None:
        """The engine ends one on its own: a limit, or the engine's own orderly end."""
        recording = self.some(Recording)
        if recording in self.model.recordings:
            self.model.recordings.discard(recording)
            self.answers[recording].clear()
            reason = self.random.choice(["duration", "silence", "shutdown"])
            self.turn("handle", e.RecordingEnded(recording=recording, reason=reason, duration_ms=9))

    def check(self) -> None:
        joined = defaultdict(list)
        for row in self.rows.values():
            resource = row.resource
            if isinstance(resource, Conferencecall) and resource.status == "joined":
                joined[resource.conference_id].append(resource.id)
        for row in self.rows.values():
            resource = row.resource
            if isinstance(resource, Conference):
                assert sorted(resource.conferencecall_ids) == sorted(joined[resource.id]), "who is joined is listed"
                assert (resource.tm_delete != NEVER) == (resource.status == "terminated")
                if resource.recording_id != ZERO_ID:
                    assert self.rows[resource.recording_id].resource.status in ("initiating", "recording")
            if isinstance(resource, Conferencecall):
                assert (resource.reason != "") == (resource.status == "leaved")
            if isinstance(resource, Call):
                assert (resource.hangup_reason != "") == (resource.status == "hangup")

    # --- What can happen ---

    def moves(self) -> dict:
        """What can be drawn, and how often at rest."""
        return {
            self.answer_one: 60, self.call_in: 8, self.dial: 3, self.create: 1, self.change: 2, self.delete: 0.5,
            self.kick: 2, self.record: 2, self.stop_record: 1, self.unrecord: 1, self.hang_up: 1, self.phone: 3,
            self.press: 5, self.talk: 4, self.ends_recording: 1, self.wait: 6, self.wait_long: 0.7,
            self.lose_engine: 0.5, self.gain_engine: 10, self.replace_shadow: 2, self.noise: 4,
        }  # fmt: skip

    def new_shadow(self) -> None:
        self.shadow = Switch(self.shadow_ids, self.settings)
        self.shadow.load([row for row in self.rows.values() if row.live], self.numbers)
        assert self.shadow.fire(self.now) == []
        recovered = self.shadow.changes()
        assert not recovered.rows
        assert {entry.type for entry in recovered.log} <= {"server_recovered"}
        self.shadow_ids.next = self.ids.next
        # What only memory knows: which ids were conferences once.
        self.shadow._world.routes._ended = dict(self.switch._world.routes._ended)

    def step(self) -> None:
        self.random.choices(list(self.moves()), self.weights)[0]()

    def some(self, kind: type, live: bool = True) -> str:
        ids = [i for i, row in self.rows.items() if isinstance(row.resource, kind) and (row.live or not live)]
        return self.random.choice(ids) if ids else ZERO_ID

    def ask(self, kind: type, **fields: object) -> None:
        ask = next(self.counter)
        self.asked[ask] += 1
        self.turn("handle", kind(ask=ask, customer=CUSTOMER, **fields))
        assert self.asked[ask] == 0, "one reply for each request"

    def answer_one(self) -> None:
        waiting = [subject for subject, events in self.answers.items() if events]
        if not waiting or self.random.random() < self.lazy:
            return
        subject = self.random.choice(waiting)
        event = self.answers[subject].popleft()
        if isinstance(event, e.PromptReady):
            if event.request not in self.prompts:
                return
            if self.random.random() < 0.2:
                event = e.PromptFailed(request=event.request, reason="no voice today")
        if isinstance(event, e.LegAnswered | e.LegApplied) and self.random.random() < 0.1:
            event = e.LegRefused(call=event.call, reason=self.random.choice(["no_common_codec", "malformed_sdp"]))
        if isinstance(event, e.CallAnswered) and self.random.random() < 0.3:
            event = e.CallRefused(call=event.call, status=self.random.choice([486, 480, 404, 500]))
        if isinstance(event, e.SdpAnswered) and self.random.random() < 0.2:
            event = e.SdpRefused(call=event.call, status=488)
        if isinstance(event, e.RecordingEnded) and self.random.random() < 0.3:
            event = e.RecordingEnded(recording=event.recording, reason="disk_error", duration_ms=5)
        self.turn("handle", event)

    def call_in(self) -> None:
        call = f"ca11ca11-0000-4000-8000-{next(self.counter):012x}"
        self.calls.append(call)
        user = self.random.choice([self.some(Conference)] * 8 + [self.some(Conference, live=False), "4000", "nobody"])
        sdp = self.random.choice(["offer", "offer", None])
        self.turn("handle", e.CallOffered(call=call, user=user, source=Address(), destination=Address(), sdp=sdp))

    def actions(self) -> list:
        r = self.random
        menu = [
            lambda: talk("hello", digits_handle=r.choice(["", "next"])),
            lambda: action("play", stream_urls=["http://a/1.wav", "http://a/2.wav"]),
            lambda: action("sleep", duration=r.choice([0, 500, 5_000])),
            lambda: action("digits_receive", duration=3_000, length=r.choice([0, 2]), key="#"),
            lambda: action("beep"),
            lambda: action("answer"),
            lambda: action("recording_start", end_of_key=r.choice(["none", "any", "*"]), beep_start=r.random() < 0.5),
            lambda: action("recording_stop"),
            lambda: action("hangup", reason=r.choice(["normal", "busy"])),
            lambda: action("goto", target_id=r.choice([A, B]), loop_count=r.choice([0, 1, 3]), id_=r.choice([A, B])),
            lambda: action("branch", default_target_id=r.choice([A, B]), id_=r.choice([ZERO_ID, A])),
            lambda: action("variable_set", key="name", value="${voipbin.call.digits}", id_=r.choice([ZERO_ID, B])),
            lambda: action("conference_join", conference_id=self.some(Conference, live=False), id_=r.choice([A, B])),
            lambda: talk("again", id_=A, next_id=r.choice([ZERO_ID, B])),
        ]
        if r.random() < 0.6:
            return r.choice([[], [talk("hello")], [talk("hello"), action("sleep", duration=2_000)]])
        made = [r.choice(menu)() for _ in range(r.choice([0, 1, 1, 2, 4]))]
        made = [one for one in made if one.option.get("conference_id") != ZERO_ID]
        there = {one.id for one in made}
        return made + [action("beep", id_=id_) for id_ in (A, B) if id_ not in there]

    def dial(self) -> None:
        destinations = [Address(target=f"phone{n}@host") for n in range(self.random.choice([1, 1, 2]))]
        self.ask(e.CreateCalls, source=Address(target="4000"), destinations=destinations, actions=self.actions())

    def create(self) -> None:
        self.ask(
            e.CreateConference,
            type=self.random.choice(list(ConferenceType)),
            timeout=self.random.choice([0, 0, 0, 30, 200]),
            pre_actions=self.actions(),
            post_actions=self.actions(),
            settings=Settings(aliases=self.random.choice([[], ["4000"]])),
        )

    def change(self) -> None:
        self.ask(
            e.UpdateConference,
            conference=self.some(Conference),
            timeout=self.random.choice([0, 0, 0, 1, 100]),
            pre_actions=self.actions(),
        )

    def delete(self) -> None:
        self.ask(e.DeleteConference, conference=self.some(Conference))

    def kick(self) -> None:
        self.ask(e.KickConferencecall, conferencecall=self.some(Conferencecall))

    def record(self) -> None:
        self.ask(e.StartConferenceRecording, conference=self.some(Conference), duration=self.random.choice([0, 60]))

    def stop_record(self) -> None:
        self.ask(e.StopConferenceRecording, conference=self.some(Conference))

    def unrecord(self) -> None:
        id_ = self.some(Recording, live=False)
        row = self.rows.get(id_)
        self.ask(e.DeleteRecording, recording=id_, stored=row.resource if row is not None and not row.live else None)

    def hang_up(self) -> None:
        self.ask(e.HangUpCall, call=self.some(Call))

    def phone(self) -> None:
        call = self.some(Call)
        r = self.random
        event = r.choice(
            [
                e.CallEnded(call=call, reason=r.choice(["bye", "cancel", "transport"])),
                e.SdpOffered(call=call, sdp="hold"),
                e.SdpOffered(call=call, sdp=None),
                e.SdpAnswered(call=call, sdp="phone's answer"),
                e.SdpAnswered(call=call, sdp=None),
                e.CallRinging(call=call),
            ]
        )
        self.turn("handle", event)

    def press(self) -> None:
        self.turn("handle", e.DigitPressed(call=self.some(Call), digit=self.random.choice("12#*")))

    def talk(self) -> None:
        self.turn("handle", e.TalkingChanged(call=self.some(Call), talking=self.random.random() < 0.5))

    def noise(self) -> None:
        """Events that fit nothing, or come twice."""
        call = self.some(Call, live=False)
        r = self.random
        self.turn("handle", r.choice([
            e.LegJoined(call=call, conference=self.some(Conference, live=False)),
            e.JoinFailed(call=call, reason="no such room"),
            e.LegClosed(call=call),
            e.LegRefused(call=call, reason="unknown_leg"),
            e.LegInactive(call=call, silent_ms=30_000),
            e.LegOffered(call=call, sdp="late"),
            e.PlayEnded(call=call, play="none", reason="finished"),
            e.PromptReady(request="none", prompt="p", duration_ms=1),
            e.RecordingStarted(recording=self.some(Recording, live=False)),
            e.CallAcked(call=call, sdp=None),
            e.CallAnswered(call=call, sdp=None),
            e.CallRefused(call=call, status=486),
        ]))  # fmt: skip

    def wait(self) -> None:
        self.pass_time(self.random.random() * 3)

    def wait_long(self) -> None:
        self.pass_time(self.random.choice([5, 12, 70]))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.switch.timeout()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.turn("fire")
        self.now = end

    def lose_engine(self) -> None:
        if self.engine:
            self.engine = False
            self.turn("handle", e.EngineLost())

    def gain_engine(self) -> None:
        if self.engine:
            return
        restarted = not self.model.rooms or self.random.random() < 0.5
        for subject, events in list(self.answers.items()):
            # Every event of the engine from before is handled first; a dead engine says nothing more.
            while events and not subject.startswith(("sip ", "prompt ")):
                event = events.popleft()
                if not restarted:
                    self.turn("handle", event)
        self.engine = True
        self.turn("handle", self.model.ready(restarted=restarted))

    def replace_shadow(self) -> None:
        """kill -9 of the server."""
        deadline = self.switch.timeout()
        if deadline is not None and deadline <= self.now:
            return
        if self.engine:
            # The server's connection to the engine goes with it.
            self.engine = False
            commands = self.switch.handle(e.EngineLost(), self.now)
            self.keep(self.switch.changes())
            for command in commands:
                self.perform(command)
        self.new_shadow()
        self.gain_engine()

    def check_engine(self) -> None:
        """Nothing is on its way: the engine is as the resources say."""
        live = {i: row.resource for i, row in self.rows.items() if row.live}
        calls = {i for i, resource in live.items() if isinstance(resource, Call)}
        assert set(self.model.legs) <= calls, "no leg without a call"
        rooms = {i for i, x in live.items() if isinstance(x, Conference) and x.status == "progressing"}
        assert self.model.rooms == rooms
        for resource in live.values():
            if isinstance(resource, Conferencecall) and resource.status == "joined":
                session = self.switch._world.calls[resource.reference_id].state.session
                assert session.room == resource.conference_id
                if session.negotiated:
                    assert self.model.legs[resource.reference_id]["room"] == resource.conference_id
        running = {
            i for i, x in live.items() if isinstance(x, Recording) and self.switch._world.recordings[i].state.running
        }
        assert self.model.recordings == running

    # --- The end ---

    def finish(self) -> None:
        """Everything is deleted: nothing may be left over."""
        self.lazy = 0.0
        if not self.engine:
            self.gain_engine()
        while any(self.answers.values()):
            self.answer_one()
        self.check_engine()
        for id_ in [i for i, row in self.rows.items() if isinstance(row.resource, Conference)]:
            if self.rows[id_].live:
                self.ask(e.DeleteConference, conference=id_)
        for _ in range(60):
            while any(self.answers.values()):
                self.answer_one()
            self.pass_time(30)
        for id_, row in self.rows.items():
            assert not row.live, row.resource
            assert row.state == b""
            words = LAST_WORDS[type(row.resource)]
            number = sum(1 for entry in self.log if entry.type == words and entry.data.id == id_)
            assert number == 1, f"{words} said {number} times of {row.resource}"
        assert not self.model.legs, "no leg left open"
        assert not self.model.rooms, "no room left open"
        assert not self.model.recordings, "no recording left running"
        assert self.switch.timeout() is None
        world = self.switch._world
        assert not world.calls
        assert not world.conferences
        assert not world.conferencecalls
        assert not world.recordings
        assert not world.waiting


@pytest.mark.parametrize("seed", range(120))
def test_whatever_happens_nothing_is_left_over(seed: int):
    driver = Driver(seed)
    for _ in range(300):
        driver.step()
    driver.finish()
