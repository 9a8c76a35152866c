"""A conference.

    starting ──▶ progressing ──▶ terminating ──▶ terminated
        └───────────────────────────▲

`starting` until the engine is there to open its room. Being emptied takes no time: a participant is out at the moment
that he is put out, and what his phone hears after that (`post_actions`) is no longer the conference's. So `terminating`
and `terminated` happen in one turn, and `conference_deleted` is said once, there.

It stays at work, beyond its end, for as long as one of its calls or recordings does: only to number their log entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .commands import CloseRoom, OpenRoom
from .conferencecall import ConferencecallMachine, never_joined
from .errors import LimitReached, Unavailable, WrongState
from .events import CreateConference, StartConferenceRecording, UpdateConference
from .ids import NEVER, ZERO_ID
from .limits import RECORDINGS_KEPT_MAX
from .recording import RecordingMachine, RecordingState
from .resources import Conference, ConferenceStatus, ConferenceType
from .world import World

if TYPE_CHECKING:
    from .call import CallMachine

TRANSITIONS: dict[ConferenceStatus, frozenset[ConferenceStatus]] = {
    ConferenceStatus.STARTING: frozenset({ConferenceStatus.PROGRESSING, ConferenceStatus.TERMINATING}),
    ConferenceStatus.PROGRESSING: frozenset({ConferenceStatus.TERMINATING}),
    ConferenceStatus.TERMINATING: frozenset({ConferenceStatus.TERMINATED}),
    ConferenceStatus.TERMINATED: frozenset(),
}

OPEN = frozenset({ConferenceStatus.STARTING, ConferenceStatus.PROGRESSING})
"""Statuses in which it takes joiners."""

PARTIES = 2
"""Who fits into a `connect` conference."""


class ConferenceState(msgspec.Struct, kw_only=True):
    created: float
    parties: list[str] = []
    """`connect` only: conferencecalls at the door or in the room, in the order in which they came."""
    connected: bool = False
    """`connect` only: both have been put through."""


class ConferenceMachine:
    def __init__(self, world: World, resource: Conference, state: ConferenceState) -> None:
        self._world = world
        self.resource = resource
        self.state = state
        self.members: dict[str, None] = {}
        """Its conferencecalls that have not left, in the order in which they came (an index of `World`)."""
        self._attached: set[str] = set()
        """Calls and recordings whose log entries are numbered here (an index of `World`)."""

    @classmethod
    def create(cls, world: World, request: CreateConference) -> ConferenceMachine:
        resource = Conference(
            id=world.new_id(),
            customer_id=request.customer,
            type=request.type,
            status=ConferenceStatus.PROGRESSING if world.engine_ready else ConferenceStatus.STARTING,
            name=request.name,
            detail=request.detail,
            data=request.data,
            timeout=request.timeout,
            pre_actions=request.pre_actions,
            post_actions=request.post_actions,
            tm_create=world.stamp,
            settings=request.settings,
        )
        machine = cls(world, resource, ConferenceState(created=world.now))
        world.conferences[machine.id] = machine
        world.routes.replace(machine.id, [], request.settings.aliases)
        world.touch(machine)
        if world.engine_ready:
            world.do(OpenRoom(conference=machine.id))
        world.log("conference_created", resource, machine.id, "created through the API")
        return machine

    # --- As every machine ----------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def over(self) -> bool:
        return self.resource.status is ConferenceStatus.TERMINATED

    @property
    def live(self) -> bool:
        return not self.over or bool(self._attached)

    @property
    def busy(self) -> bool:
        """Calls or recordings of it go on."""
        return bool(self._attached)

    @property
    def takes_joiners(self) -> bool:
        return self.resource.status in OPEN

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.state) if self.live else b""

    def deadline(self) -> float | None:
        if self.resource.timeout and self.takes_joiners:
            return self.state.created + self.resource.timeout
        return None

    def fire(self) -> None:
        self.terminate("conference_timeout", f"its timeout of {self.resource.timeout} s is over")

    def attach(self, id_: str) -> None:
        self._attached.add(id_)

    def detach(self, id_: str) -> None:
        self._attached.discard(id_)
        if not self.live:
            self._world.touch(self)

    # --- Its life ------------------------------------------------------------------------------------------------

    def engine_back(self, *, held: bool) -> None:
        """The engine is there; `held`: it has the room already."""
        if self.takes_joiners and not held:
            self._world.do(OpenRoom(conference=self.id))
        if self.resource.status is ConferenceStatus.STARTING:
            self._to(ConferenceStatus.PROGRESSING)
            self._updated("the media engine is ready")

    def update(self, request: UpdateConference) -> None:
        """Replaces all that can be changed. Who is inside keeps the actions he came in with."""
        if not self.takes_joiners:
            raise over(self.resource)
        self._world.routes.check_free(request.settings.aliases, self.id, "/settings/aliases")
        self._world.routes.replace(self.id, self.resource.settings.aliases, request.settings.aliases)
        self.resource = msgspec.structs.replace(
            self.resource,
            name=request.name,
            detail=request.detail,
            data=request.data,
            timeout=request.timeout,
            pre_actions=request.pre_actions,
            post_actions=request.post_actions,
            settings=request.settings,
        )
        self._updated("changed through the API")
        deadline = self.deadline()
        if deadline is not None and deadline <= self._world.now:
            self.fire()

    def terminate(self, reason: str, cause: str) -> None:
        """Everybody out, and over. `reason` is what each conferencecall is left with."""
        if not self.takes_joiners:
            return
        self._to(ConferenceStatus.TERMINATING)
        self._updated(cause)
        for id_ in list(self.members):
            self._put_out(id_, reason, cause)
        recording = self._world.recordings.get(self.resource.recording_id)
        if recording is not None:
            recording.stop("conference_ended", cause)
        self._to(ConferenceStatus.TERMINATED)
        stamp = self._world.stamp
        self.resource = msgspec.structs.replace(
            self.resource, conferencecall_ids=[], tm_end=stamp, tm_delete=stamp, tm_update=stamp
        )
        self._world.touch(self)
        self._world.log("conference_deleted", self.resource, self.id, cause)
        self._world.do(CloseRoom(conference=self.id))
        self._world.routes.end(self.id, self.resource.customer_id, self.resource.settings.aliases)

    # --- Participants --------------------------------------------------------------------------------------------

    def admit(self, call: CallMachine) -> ConferencecallMachine | tuple[str, str]:
        """A new participant, on his way in; or the reason and a sentence why not, which leaves its trail."""
        refusal: tuple[str, str] | None = None
        if not self.takes_joiners:
            refusal = "conference_closed", "the conference is over"
        elif len(self.members) >= self._world.settings.participants_max:
            refusal = "failed", "the conference is full"
        if refusal is not None:
            never_joined(self._world, self.resource.customer_id, self.id, call.id, *refusal)
            return refusal
        member = ConferencecallMachine.create(
            self._world, self.resource.customer_id, self.id, call.id, "is joining", **call.shown
        )
        self.members[member.id] = None
        return member

    def at_door(self, member: ConferencecallMachine) -> bool:
        """The participant has come to the room. False: there is no place for him in it."""
        if self.resource.type is ConferenceType.CONFERENCE:
            self._let_in(member.id)
            return True
        parties = self.state.parties
        if self.state.connected or len(parties) >= PARTIES:
            return False
        self.state.parties = [*parties, member.id]
        self._world.touch(self)
        if len(self.state.parties) == PARTIES:
            self.state.connected = True
            for party in self.state.parties:
                self._let_in(party)
        else:
            self._call_of(member.id).ring_for_peer()
        return True

    def joined(self, id_: str) -> None:
        """The engine has the participant in the room's mix."""
        member = self._world.conferencecalls[id_]
        member.joined()
        self.resource = msgspec.structs.replace(
            self.resource, conferencecall_ids=[*self.resource.conferencecall_ids, id_]
        )
        self._updated("a participant joined")

    def kick(self, id_: str, cause: str) -> None:
        self._put_out(id_, "kicked", cause)
        self._gone(id_, cause)

    def left(self, id_: str, reason: str, cause: str) -> None:
        """The participant goes by himself; what his call does next is its own affair."""
        if id_ in self.members:
            del self.members[id_]
            self._world.conferencecalls[id_].leave(reason, cause, asked=False)
            self._gone(id_, cause)

    def _gone(self, id_: str, cause: str) -> None:
        if id_ in self.resource.conferencecall_ids:
            ids = [other for other in self.resource.conferencecall_ids if other != id_]
            self.resource = msgspec.structs.replace(self.resource, conferencecall_ids=ids)
            self._updated("a participant left")
        if id_ in self.state.parties:
            self.state.parties = [party for party in self.state.parties if party != id_]
            self._world.touch(self)
            if self.state.connected:
                self.terminate("peer_left", f"one of the two parties left: {cause}")

    def _put_out(self, id_: str, reason: str, cause: str) -> None:
        if id_ not in self.members:
            return
        del self.members[id_]
        member = self._world.conferencecalls[id_]
        call = self._call_of(id_)
        member.leave(reason, cause, asked=True)
        call.leave_room(id_)
        self._world.later(lambda: call.go_on_after(id_))

    def _let_in(self, id_: str) -> None:
        self._call_of(id_).go_in(self.id)

    def _call_of(self, id_: str) -> CallMachine:
        return self._world.calls[self._world.conferencecalls[id_].resource.reference_id]

    # --- Recording -----------------------------------------------------------------------------------------------

    def start_recording(self, request: StartConferenceRecording) -> None:
        if self.resource.status is not ConferenceStatus.PROGRESSING:
            raise over(self.resource)
        if self.resource.recording_id != ZERO_ID:
            raise WrongState("recording_already_active", "The conference is being recorded already.")
        if len(self.resource.recording_ids) >= RECORDINGS_KEPT_MAX:
            raise LimitReached("too_many_recordings", f"A conference has at most {RECORDINGS_KEPT_MAX} recordings.")
        if not self._world.engine_ready:
            raise Unavailable("engine_away", "The media engine is being started again. Try once more in a moment.")
        state = RecordingState(
            conference=self.id,
            duration_ms=request.duration * 1000,
            end_of_silence_ms=request.end_of_silence * 1000,
        )
        recording = RecordingMachine.create(
            self._world,
            customer=self.resource.customer_id,
            reference_type="conference",
            reference=self.id,
            state=state,
            cause="started through the API",
        )
        self.resource = msgspec.structs.replace(
            self.resource,
            recording_id=recording.id,
            recording_ids=[*self.resource.recording_ids, recording.id],
        )
        self._updated("its recording started")

    def stop_recording(self) -> None:
        if self.resource.status is not ConferenceStatus.PROGRESSING:
            raise over(self.resource)
        recording = self._world.recordings.get(self.resource.recording_id)
        if recording is None:
            raise WrongState("recording_not_active", "The conference is not being recorded.")
        recording.stop("stopped", "stopped through the API")

    def recording_over(self, id_: str) -> None:
        if self.resource.recording_id == id_:
            self.resource = msgspec.structs.replace(self.resource, recording_id=ZERO_ID)
            self._updated("its recording is over")

    # --- Inside --------------------------------------------------------------------------------------------------

    def _to(self, status: ConferenceStatus) -> None:
        assert status in TRANSITIONS[self.resource.status], (self.resource.status, status)
        self.resource = msgspec.structs.replace(self.resource, status=status)

    def _updated(self, cause: str) -> None:
        self.resource = msgspec.structs.replace(self.resource, tm_update=self._world.stamp)
        self._world.touch(self)
        self._world.log("conference_updated", self.resource, self.id, cause)


def over(resource: Conference, remedy: str = "Create a new one.") -> WrongState:
    """The refusal of what only an open conference can do."""
    if resource.status is ConferenceStatus.STARTING:
        return WrongState("conference_not_ready", "The conference is starting. Try once more in a moment.")
    if resource.tm_delete != NEVER:
        return WrongState("conference_terminated", f"The conference is over. {remedy}")
    return WrongState("conference_terminating", f"The conference is ending. {remedy}")
