"""A call: one phone's signalling, its media session, and the actions that run on it.

    dialing ──▶ ringing ──▶ progressing ──▶ terminating ──▶ hangup
       │           │             └───────────────────────────▲
       ├───────────┼──▶ terminating / canceling ─────────────┤
       └───────────┴─────────────────────────────────────────┘

Who calls us is answered when an action or the room asks for it; whom we call runs his actions once he has answered.
Being let go takes no time here: the signalling sees a BYE through by itself, so `terminating` (or `canceling`) and
`hangup` happen in one turn, and nothing can leave a call hanging.
"""

from __future__ import annotations

import msgspec

from .actions import AnyRunning
from .callstate import (
    ENDED_REASONS,
    HANGUP_REASONS,
    MEDIA_REFUSALS,
    REFUSAL_OTHERWISE,
    REFUSALS,
    TRANSITIONS,
    CallState,
    call_variables,
)
from .commands import AnswerCall, Command, HangUp, PlaceCall, ProgressCall, RefuseCall, RingCall
from .errors import LimitReached, WrongState
from .events import (
    CallAcked,
    CallAnswered,
    CallEnded,
    CallOffered,
    CallRefused,
    CallRinging,
    DigitPressed,
    Event,
    JoinFailed,
    LegAnswered,
    LegApplied,
    LegClosed,
    LegInactive,
    LegJoined,
    LegOffered,
    LegRefused,
    LegSnapshot,
    PlayEnded,
    PromptFailed,
    PromptReady,
    SdpAnswered,
    SdpOffered,
    SdpRefused,
    TalkingChanged,
)
from .flow import FlowState, Frame
from .ids import ZERO_ID
from .limits import RECORDINGS_KEPT_MAX
from .recording import RecordingMachine, RecordingState
from .resources import Action, Address, Call, CallDirection, CallStatus
from .runner import Runner, RunnerState
from .session import Session, SessionState
from .world import World

_encoder = msgspec.msgpack.Encoder()
decode_state = msgspec.msgpack.Decoder(CallState).decode


class CallMachine:
    def __init__(self, world: World, resource: Call, state: CallState) -> None:
        self.world = world
        self.resource = resource
        self.state = state
        self.session = Session(self, state.session)
        self._runner = Runner(self, state.runner)

    @classmethod
    def create_incoming(cls, world: World, event: CallOffered, customer: str, conference: str) -> CallMachine:
        """A phone calls a conference. It has no leg yet (`accept`)."""
        action = Action(type="conference_join", option={"conference_id": conference})
        resource = Call(
            id=event.call,
            customer_id=customer,
            type="conference",
            source=event.source,
            destination=event.destination,
            status=CallStatus.DIALING,
            direction=CallDirection.INCOMING,
            tm_create=world.stamp,
        )
        return cls._create(world, resource, [action], conference, f"a call to {event.user} came in")

    @classmethod
    def create_outgoing(
        cls, world: World, customer: str, source: Address, destination: Address, actions: list[Action]
    ) -> CallMachine:
        resource = Call(
            id=world.new_id(),
            customer_id=customer,
            source=source,
            destination=destination,
            status=CallStatus.DIALING,
            direction=CallDirection.OUTGOING,
            tm_create=world.stamp,
        )
        call = cls._create(world, resource, actions, "", "dialled through the API")
        call.state.dial_deadline = world.now + world.settings.dial_timeout_s
        call.session.open(None)
        return call

    @classmethod
    def _create(cls, world: World, resource: Call, actions: list[Action], home: str, cause: str) -> CallMachine:
        state = CallState(
            session=SessionState(),
            runner=RunnerState(flow=FlowState(frames=[Frame(actions=actions)], variables=call_variables(resource))),
            max_deadline=world.now + world.settings.call_max_s,
        )
        call = cls(world, resource, state)
        world.calls[call.id] = call
        call.dwell(home)
        world.touch(call)
        call.log("call_created", cause)
        return call

    # --- As every machine ----------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def live(self) -> bool:
        return self.resource.status is not CallStatus.HANGUP

    def dump(self) -> bytes:
        return _encoder.encode(self.state) if self.live else b""

    def deadline(self) -> float | None:
        state = self.state
        if not self.live:
            return None
        times = (state.dial_deadline, state.session.deadline, self._runner.deadline())
        return min(state.max_deadline, *(time for time in times if time)) if any(times) else state.max_deadline

    def fire(self) -> None:
        state, now = self.state, self.now
        if state.max_deadline <= now:
            self.let_go("timeout", "it has lasted for too long", "failed")
        elif 0 < state.dial_deadline <= now:
            self.let_go("dialout", "nobody answered in time", "failed")
        else:
            if 0 < state.session.deadline <= now:
                self.session.fire()
            if self.live:
                self._runner.fire()

    def restored(self) -> None:
        """After a restart: puts the indexes of the world right."""
        self.dwell(self.state.home)
        running: AnyRunning | None = self.state.runner.running
        if running is not None and running.waits_for():
            self.world.waiting[running.waits_for()] = self.id

    # --- Events --------------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """What does not fit the state of the call is late or repeated, and ignored."""
        if not self.live:
            return
        if isinstance(event, TalkingChanged):
            self._talks(event.talking)
            return
        self.world.touch(self)
        match event:
            case LegAnswered() | LegOffered() | LegApplied() | LegRefused():
                self.session.handle(event)
            case LegJoined():
                self._joined(event.conference)
            case JoinFailed():
                # Without media it is joined once they are there.
                if self.state.session.negotiated:
                    self._runner.handle(event)
            case LegClosed():
                self.session.leg_lost()
                if self.live:
                    self._runner.resume(restarted=True)
            case LegInactive():
                if self.state.answered and not self.session.on_hold and self.state.session.negotiated:
                    cause = f"nothing was heard of the phone for {event.silent_ms / 1000:g} s"
                    self.let_go("media_lost", cause, "media_lost")
            case PlayEnded():
                self.session.play_ended(event.play)
                self._runner.handle(event)
            case PromptReady() | PromptFailed():
                self._runner.handle(event)
            case DigitPressed():
                self._key_ends_recording(event.digit)
                self._runner.handle(event)
            case SdpOffered():
                self.session.offered(event.sdp)
            case SdpAnswered():
                self.session.answered(event.sdp)
            case SdpRefused():
                self.session.refused(event.status)
            case CallAcked():
                self._acked(event.sdp)
            case CallRinging():
                if self._outgoing and self.resource.status is CallStatus.DIALING:
                    self._to(CallStatus.RINGING, "the phone rings", tm_ringing=True)
            case CallAnswered():
                self._picked_up(event.sdp)
            case CallRefused():
                reason = HANGUP_REASONS.get(event.status, "failed")
                cause = f"refused: {event.status} {event.reason}".rstrip()
                self._over("remote", reason, cause, "failed")
            case CallEnded():
                reason, member = ENDED_REASONS.get(event.reason, ("failed", "failed"))
                self._over("remote", reason, f"ended by the phone: {event.reason}", member)
            case _:
                raise AssertionError(f"no event of a call: {event}")

    def accept(self, offer: str | None, conference: str | None) -> None:
        """Sets up the media of an incoming call; its actions start when they are there."""
        self.session.open(offer, conference)

    def engine_back(self, leg: LegSnapshot | None, *, restarted: bool) -> None:
        self.world.touch(self)
        if restarted:
            self._talks(talking=False)
        self.session.reconcile(leg)
        if self.live:
            self._runner.resume(restarted=leg is None)

    def hang_up(self, cause: str) -> None:
        """At the wish of the API's user."""
        canceling = self._outgoing and not self.state.answered
        self.let_go("cancel" if canceling else "normal", cause, "hangup")

    # --- What conferences want -----------------------------------------------------------------------------------

    def go_in(self, conference: str) -> None:
        """Into the room: answered, if it is not yet."""
        self.world.touch(self)
        self._runner.let_in()
        self.answer()
        self.session.join(conference)

    def ring_for_peer(self) -> None:
        self._runner.ring_for_peer()

    def leave_room(self, conferencecall: str) -> None:
        """Out of the room, if it was this participant who is in it."""
        if self.state.session.room and self._in_room() == conferencecall:
            self.world.touch(self)
            self.session.leave()

    def go_on_after(self, conferencecall: str) -> None:
        if self.live:
            self.world.touch(self)
            self._runner.go_on_after(conferencecall)

    # --- What its actions want -----------------------------------------------------------------------------------

    def answer(self) -> None:
        state = self.state
        if self._outgoing or state.answered:
            return
        if not state.session.local:
            state.answer_wanted = True
            return
        state.answered, state.answer_wanted = True, False
        self.do(AnswerCall(call=self.id, sdp=state.session.local))
        self._to(CallStatus.PROGRESSING, "answered", tm_progressing=True)

    def be_heard(self) -> None:
        state = self.state
        if self._outgoing or state.answered or state.early:
            return
        if not state.session.negotiated:
            # A late offer: early media would need its answer, which comes with the ACK.
            self.answer()
            return
        state.early = True
        self.do(ProgressCall(call=self.id, sdp=state.session.local))
        self._rings("hears us before it is answered")

    def ring(self) -> None:
        if not self._outgoing and not self.state.answered:
            self.do(RingCall(call=self.id))
            self._rings("waits for the other party")

    def runs(self, action: Action) -> None:
        """This action is the current one now."""
        conference = self._runner.conference()
        self.dwell(conference)
        self.resource = msgspec.structs.replace(
            self.resource, action=action, conference_id=conference or ZERO_ID, tm_update=self.world.stamp
        )
        self.world.touch(self)

    def flow_ended(self, reason: str, cause: str) -> None:
        """Its actions are over, and so is the call."""
        self.let_go(reason, cause, "failed" if reason == "failed" else "flow_ended")

    def start_recording(self, duration_ms: int, end_of_silence_ms: int, end_of_key: str) -> None:
        if self.resource.recording_id != ZERO_ID:
            raise WrongState("recording_already_active", "The call is being recorded already.")
        if len(self.resource.recording_ids) >= RECORDINGS_KEPT_MAX:
            raise LimitReached("too_many_recordings", f"A call has at most {RECORDINGS_KEPT_MAX} recordings.")
        recording = RecordingMachine.create(
            self.world,
            customer=self.resource.customer_id,
            reference_type="call",
            reference=self.id,
            state=RecordingState(
                conference=self.state.home,
                duration_ms=duration_ms,
                end_of_silence_ms=end_of_silence_ms,
                end_of_key=end_of_key,
            ),
            cause="recording_start action",
        )
        self._change(
            "its recording started",
            recording_id=recording.id,
            recording_ids=[*self.resource.recording_ids, recording.id],
        )

    def stop_recording(self, reason: str, cause: str) -> bool:
        recording = self.world.recordings.get(self.resource.recording_id)
        if recording is None:
            return False
        recording.stop(reason, cause)
        return True

    def recording_over(self, id_: str) -> None:
        if self.resource.recording_id == id_:
            self._change("its recording is over", recording_id=ZERO_ID)

    # --- What its session wants (`session.Owner`) ----------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.world.now

    @property
    def engine_wait_s(self) -> float:
        return self.world.settings.engine_wait_s

    @property
    def engine_ready(self) -> bool:
        return self.world.engine_ready

    @property
    def confirmed(self) -> bool:
        return self.state.acked

    @property
    def told(self) -> bool:
        return self.state.placed if self._outgoing else self.state.answered

    def do(self, command: Command) -> None:
        self.world.do(command)

    def offer_made(self) -> None:
        if self._outgoing:
            if not self.state.placed:
                self._place()
        else:
            self._set_up()

    def media_ready(self) -> None:
        if self._outgoing or not self.state.started:
            self._set_up()
        elif self.state.answer_wanted:
            self.answer()
        recording = self.world.recordings.get(self.resource.recording_id)
        if recording is not None and not recording.state.running:
            recording.begin()

    def direction_changed(self) -> None:
        if self.resource.on_hold != self.session.on_hold:
            held = self.session.on_hold
            self._change("put on hold by the phone" if held else "resumed by the phone", on_hold=held)

    def media_failed(self, reason: str, detail: str) -> None:
        why = f"{reason} ({detail})" if detail else reason
        if self.state.session.recoveries:
            self.log("media_lost", f"its media cannot be set up again: {why}")
            self.let_go("media_lost", f"media lost: {why}", "media_lost")
        else:
            self._over("local", "failed", f"no media: {why}", "failed", status=MEDIA_REFUSALS.get(reason, 500))

    # --- Inside --------------------------------------------------------------------------------------------------

    @property
    def _outgoing(self) -> bool:
        return self.resource.direction is CallDirection.OUTGOING

    def log(self, type_: str, cause: str) -> None:
        self.world.log(type_, self.resource, self.state.home, cause)

    def let_go(self, reason: str, cause: str, member: str, status: int = 0) -> None:
        """Ends it from our side. `member` is the reason that its conferencecalls are left with."""
        self._over("local", reason, cause, member, status or REFUSALS.get(reason, REFUSAL_OTHERWISE))

    def _over(self, by: str, reason: str, cause: str, member: str, status: int = 0) -> None:
        if not self.live:
            return
        world, state = self.world, self.state
        if by == "local":
            if state.answered:
                self.do(HangUp(call=self.id, reason=reason))
            elif not self._outgoing:
                self.do(RefuseCall(call=self.id, status=status, reason=""))
            elif state.placed:
                self.do(HangUp(call=self.id, reason=reason))
            canceling = self._outgoing and not state.answered
            self._to(CallStatus.CANCELING if canceling else CallStatus.TERMINATING, cause)
        self.session.close()
        for frame in self._runner.abort():
            conference = world.conferences.get(frame.conference)
            if frame.conferencecall and conference is not None:
                conference.left(frame.conferencecall, member, cause)
        self.stop_recording("call_ended", cause)
        self.resource = msgspec.structs.replace(
            self.resource, action=None, conference_id=ZERO_ID, hangup_by=by, hangup_reason=reason, tm_hangup=world.stamp
        )
        self._to(CallStatus.HANGUP, cause)
        home = world.conferences.get(state.home)
        if home is not None:
            world.later(lambda: home.detach(self.id))

    def _place(self) -> None:
        source = self.resource.source
        self.state.placed = True
        self.do(
            PlaceCall(
                call=self.id,
                target=f"sip:{self.resource.destination.target}",
                source=f"sip:{source.target}" if source.target else "",
                source_name=source.target_name,
                sdp=self.state.session.local,
            )
        )

    def _set_up(self) -> None:
        """There are media, or our offer for them: now its actions can run."""
        if self.state.started:
            if self.state.answer_wanted:
                self.answer()
            return
        self.state.started = True
        self._runner.begin()

    def _picked_up(self, sdp: str | None) -> None:
        if not self._outgoing or not self.state.placed or self.state.answered:
            return
        self.state.answered = self.state.acked = True
        self.state.dial_deadline = 0.0
        self._to(CallStatus.PROGRESSING, "the phone was picked up", tm_progressing=True)
        self.session.confirmed(sdp)

    def _acked(self, sdp: str | None) -> None:
        if self.state.answered:
            self.state.acked = True
            self.session.confirmed(sdp)

    def _in_room(self) -> str:
        """The conferencecall whose step into the room is the current action, or empty."""
        frames = self.state.runner.flow.frames
        return frames[-1].conferencecall if frames and frames[-1].index == frames[-1].room >= 0 else ""

    def _joined(self, conference: str) -> None:
        id_ = self._in_room()
        member = self.world.conferencecalls.get(id_)
        if self.state.session.room == conference and member is not None and member.resource.status == "joining":
            self._runner.is_in()
            self.world.conferences[conference].joined(id_)

    def _talks(self, talking: bool) -> None:
        member = self.world.conferencecalls.get(self._in_room())
        if member is not None:
            member.talks(talking)

    def _key_ends_recording(self, digit: str) -> None:
        recording = self.world.recordings.get(self.resource.recording_id)
        if recording is not None and recording.state.end_of_key in ("any", digit):
            recording.stop("key", f"ended by key {digit}")

    def _rings(self, cause: str) -> None:
        if self.resource.status is CallStatus.DIALING:
            self._to(CallStatus.RINGING, cause, tm_ringing=True)

    def _to(self, status: CallStatus, cause: str, *, tm_ringing: bool = False, tm_progressing: bool = False) -> None:
        assert status in TRANSITIONS[self.resource.status], (self.resource.status, status)
        stamp = self.world.stamp
        self.resource = msgspec.structs.replace(
            self.resource,
            status=status,
            tm_update=stamp,
            tm_ringing=stamp if tm_ringing else self.resource.tm_ringing,
            tm_progressing=stamp if tm_progressing else self.resource.tm_progressing,
        )
        self.world.touch(self)
        self.log(f"call_{status}", cause)

    def _change(self, cause: str, **fields: object) -> None:
        self.resource = msgspec.structs.replace(self.resource, tm_update=self.world.stamp, **fields)
        self.world.touch(self)
        self.log("call_updated", cause)

    def dwell(self, conference: str) -> None:
        """From now on its entries are numbered in this conference's log. Empty: in the last one's."""
        conferences, state = self.world.conferences, self.state
        if conference and conference != state.home:
            if state.home in conferences:
                conferences[state.home].detach(self.id)
            state.home = conference
        if state.home in conferences:
            conferences[state.home].attach(self.id)
