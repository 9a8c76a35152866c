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

from typing import Any

import msgspec

from .actions import AnyRunning
from .callstate import (
    ENDED_REASONS,
    HANGUP_REASONS,
    MEDIA_WORDS,
    REFUSAL_OTHERWISE,
    REFUSALS,
    TRANSITIONS,
    CallState,
)
from .commands import AnswerCall, AnswerOffer, Command, HangUp, PlaceCall, ProgressCall, RefuseCall, RingCall
from .errors import LimitReached, WrongState
from .events import (
    CallAcked,
    CallAnswered,
    CallEnded,
    CallRefused,
    CallRinging,
    DigitPressed,
    Event,
    JoinFailed,
    LegAnswered,
    LegApplied,
    LegClosed,
    LegConnected,
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
from .ids import ZERO_ID
from .limits import RECORDINGS_KEPT_MAX
from .recording import RecordingMachine, RecordingState
from .resources import Action, Call, CallDirection, CallStatus
from .runner import Runner
from .session import MEDIA_REFUSALS, Session
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

    def begin(self, conference: str, cause: str) -> None:
        """From now on there is this call. It has no leg yet."""
        self.world.calls[self.id] = self
        self._sit()
        self.dwell(conference)
        self.world.touch(self)
        self.log("call_created", cause)

    # --- As every machine ----------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def live(self) -> bool:
        return self.resource.status is not CallStatus.HANGUP

    @property
    def target(self) -> str:
        """Whom a call is placed to."""
        return f"sip:{self.resource.destination.target}"

    @property
    def has_media(self) -> bool:
        """Sound can flow."""
        return self.state.session.negotiated

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
        self._sit()
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
            case LegConnected():
                if self.state.web:
                    self._connected()
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
                held = self.session.on_hold and not self.state.web
                if self.state.answered and not held and self.state.session.negotiated:
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

    # --- What pages want -----------------------------------------------------------------------------------------

    def comes_back(self, offer: str) -> None:
        """The page has another session in place of the one it had, or another path for it."""
        self.world.touch(self)
        self.session.renewed(offer)

    def leaves(self) -> None:
        """The page hangs up."""
        self._over("remote", "normal", "left by the page", "hangup")

    def mute(self, cause: str, *, muted: bool, himself: bool = False) -> None:
        """Raises WrongState for a listener who would be heard, and where another would open the microphone that he
        has closed `himself`. He opens it whoever closed it."""
        state, web = self.state, self.state.web
        if not muted and web is not None and not web.speaks:
            raise WrongState("is_listener", "He was let in to listen: nobody can hear him.")
        if not muted and state.muted_himself and not himself:
            raise WrongState("muted_himself", "He has muted himself: only he can unmute himself, on his page.")
        if himself and state.muted_himself != muted:
            state.muted_himself = muted
            self.world.touch(self)
        if muted == self.state.session.muted or not self.live:
            return
        self.session.mute(muted=muted)
        self._change(cause, mute_direction="in" if muted else "")
        member = self.world.conferencecalls.get(self._in_conference())
        if member is not None:
            member.shows(cause, muted=muted)
            member.talks(self.state.talking and not muted)

    def process(self, *, noise_suppression: bool, normaliser: bool, voice_activity: bool, limiter: bool) -> None:
        switches = {
            "noise_suppression": noise_suppression,
            "normaliser": normaliser,
            "voice_activity": voice_activity,
            "limiter": limiter,
        }
        if switches.items() <= self.shown.items():
            return
        self.world.touch(self)
        self.session.process(**switches)
        member = self.world.conferencecalls.get(self._in_conference())
        if member is not None:
            member.shows("what is done to his sound was changed", **switches)

    @property
    def shown(self) -> dict[str, Any]:
        """What a conferencecall says of its call."""
        resource, web, session = self.resource, self.state.web, self.state.session
        other = resource.destination if self._outgoing else resource.source
        return {
            "name": other.target_name or ("" if web else other.name or other.target.partition("@")[0]),
            "kind": "phone" if web is None else "web",
            "role": "" if web is None else web.role,
            "muted": session.muted,
            "noise_suppression": session.noise_suppression,
            "normaliser": session.normaliser,
            "voice_activity": session.voice_activity,
            "limiter": session.limiter,
        }

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

    def media_awaited(self) -> None:
        self._talks(talking=False)
        self._change("its media are lost: its page may come back", media_lost=True)

    def media_ready(self) -> None:
        if self.state.web is not None:
            # The page can make a connection only once it has the answer: so it gets that now, before any action.
            if self.state.answered:
                self.do(AnswerOffer(call=self.id, sdp=self.state.session.local))
                if self.resource.media_lost:
                    self._change("its page came back", media_lost=False)
            self.answer()
        elif self._outgoing or not self.state.started:
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
            why = "nobody came back to the seat" if reason == "lost" and self.state.web else why
            self.log("media_lost", f"its media cannot be set up again: {why}")
            self.let_go("media_lost", f"media lost: {why}", "media_lost")
        else:
            status = MEDIA_REFUSALS.get(reason, 500)
            self._over("local", "failed", f"no media: {why}", "failed", status=status, media=reason)

    # --- Inside --------------------------------------------------------------------------------------------------

    @property
    def _outgoing(self) -> bool:
        return self.resource.direction is CallDirection.OUTGOING

    def log(self, type_: str, cause: str) -> None:
        self.world.log(type_, self.resource, self.state.home, cause)

    def let_go(self, reason: str, cause: str, member: str, status: int = 0) -> None:
        """Ends it from our side. `member` is the reason that its conferencecalls are left with."""
        self._over("local", reason, cause, member, status or REFUSALS.get(reason, REFUSAL_OTHERWISE))

    def _over(self, by: str, reason: str, cause: str, member: str, status: int = 0, media: str = "") -> None:
        if not self.live:
            return
        world, state = self.world, self.state
        if state.web is not None:
            world.seats.pop(state.web, None)
        if by == "local":
            if state.answered:
                self.do(HangUp(call=self.id, reason=reason))
            elif not self._outgoing:
                self.do(RefuseCall(call=self.id, status=status, reason=MEDIA_WORDS.get(media, ""), why=media))
            elif state.placed:
                self.do(HangUp(call=self.id, reason=reason))
            canceling = self._outgoing and not state.answered
            self._to(CallStatus.CANCELING if canceling else CallStatus.TERMINATING, cause)
        elif state.web is not None:
            self.do(HangUp(call=self.id, reason=reason))  # its door has not heard of it from a peer
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
                target=self.target,
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

    def _connected(self) -> None:
        """The browser hears us."""
        if self.state.answered and not self.state.acked:
            self.state.acked = True
            self._set_up()

    def _sit(self) -> None:
        """An index of the world: who comes back to his seat finds this call."""
        if self.state.web is not None and self.live:
            self.world.seats[self.state.web] = self.id

    def _in_conference(self) -> str:
        """The conferencecall of the conference whose actions it runs or whose room it is in, or empty."""
        return next(reversed(self._runner.conferencecalls()), "")

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
            # Who has talked all through the greeting begins no more.
            member.talks(self.state.talking and not self.state.session.muted)

    def _talks(self, talking: bool) -> None:
        if talking != self.state.talking:
            self.state.talking = talking
            self.world.touch(self)
        member = self.world.conferencecalls.get(self._in_room())
        if member is not None:
            member.talks(talking and not self.state.session.muted)

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
