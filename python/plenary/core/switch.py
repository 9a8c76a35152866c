"""The one door of the core: an event enters, `Switch` decides, commands leave.

    switch.load(rows, numbers)                     # once, with what the store kept
    commands = switch.handle(event, now)           # for each event
    commands = switch.fire(now)                    # when switch.timeout() is over
    changes = switch.changes()                     # what has changed since the last time

The server writes the changes in one transaction and only then performs the commands, in order. Each command may be
performed twice, or be lost with the server or the engine: `EngineReady` makes up for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

import msgspec

from . import newcall, pages
from .call import CallMachine, decode_state
from .changes import Changes, Row
from .checks import check_actions, check_calls, check_conference, check_recording
from .commands import CloseLeg, CloseRoom, Command, RefuseCall, Reply, StopRecording
from .conference import ConferenceMachine, ConferenceState, over
from .conferencecall import ConferencecallMachine
from .errors import LimitReached, NotFound, Refusal, Unavailable, WrongState
from .events import (
    CallOffered,
    CreateCalls,
    CreateConference,
    DeleteConference,
    DeleteRecording,
    EndToken,
    EngineLost,
    EngineReady,
    Event,
    HangUpCall,
    JoinConference,
    KickConferencecall,
    MuteConferencecall,
    PageRequest,
    ProcessConferencecall,
    PromptFailed,
    PromptReady,
    RecordingEnded,
    RecordingStarted,
    Request,
    ServerStopping,
    StartConferenceRecording,
    StopConferenceRecording,
    UpdateConference,
)
from .ids import NEVER, ZERO_ID, Ids
from .limits import SwitchSettings
from .recording import RecordingMachine, RecordingState, deleted
from .recovery import Recovered, Recovery
from .resources import Call, CallDirection, Conference, Conferencecall, Recording, RecordingStatus, Resource
from .world import Machine, World

__all__ = ["Switch", "SwitchSettings"]

TIMERS_SLACK = 1_000
"""Timers out of date that may lie around before they are cleared away."""

BEGINNINGS = CreateConference | CreateCalls | JoinConference | StartConferenceRecording
"""Requests that a server which is ending refuses."""

ParticipantRequest = KickConferencecall | MuteConferencecall | ProcessConferencecall

_decode_conference = msgspec.msgpack.Decoder(ConferenceState).decode
_decode_recording = msgspec.msgpack.Decoder(RecordingState).decode


class Switch:
    def __init__(self, ids: Ids, settings: SwitchSettings | None = None) -> None:
        self._world = World(ids, settings or SwitchSettings())
        self._timers: list[tuple[float, str]] = []
        self._armed: dict[str, float] = {}
        """Machine -> its deadline. An entry of `_timers` that differs from it is out of date."""
        self._stored: dict[str, Row] = {}
        """Rows of resources that are not at work: `stored` ones that were deleted."""
        self._recovering = False
        self._recovery = Recovery()
        self._stopping = False
        self._per_customer: dict[str, int] = {}
        """Customer -> its conferences that are at work."""

    # --- Persistence ---------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[Row], numbers: Mapping[str, int]) -> None:
        """Takes over where an earlier switch ended: its live rows, and the last log number of each conference."""
        world = self._world
        calls: list[CallMachine] = []
        for row in rows:
            match row.resource:
                case Conference() as resource:
                    conference = ConferenceMachine(world, resource, _decode_conference(row.state))
                    world.conferences[resource.id] = conference
                    world.numbers[resource.id] = numbers.get(resource.id, 0)
                    if conference.over:
                        world.routes.end(resource.id, resource.customer_id, [])
                    else:
                        world.routes.replace(resource.id, [], resource.settings.aliases)
                    self._count(resource.customer_id, 1)
                case Conferencecall() as resource:
                    world.conferencecalls[resource.id] = ConferencecallMachine(world, resource)
                case Call() as resource:
                    calls.append(CallMachine(world, resource, decode_state(row.state)))
                    world.calls[resource.id] = calls[-1]
                case Recording() as resource:
                    state = _decode_recording(row.state)
                    world.recordings[resource.id] = RecordingMachine(world, resource, state)
        for member in sorted(world.conferencecalls.values(), key=lambda member: member.resource.tm_create):
            world.conferences[member.resource.conference_id].members[member.id] = None
        for recording in world.recordings.values():
            if recording.state.conference in world.conferences:
                world.conferences[recording.state.conference].attach(recording.id)
        for call in calls:
            call.restored()
        for machine in (*world.conferences.values(), *calls):
            self._arm(machine)
        self._recovering = True

    def changes(self) -> Changes:
        """What has changed since the last call: one row for each resource, and every log entry."""
        world = self._world
        self._recovery.note(world.touched.values(), world.now)
        rows = [Row(resource=m.resource, state=m.dump(), live=m.live) for m in world.touched.values()]
        changes = Changes(rows=[*rows, *self._stored.values()], log=world.entries)
        for machine in world.touched.values():
            if not machine.live:
                self._forget(machine)
        world.touched, world.entries, self._stored = {}, [], {}
        return changes

    def holds(self, id_: str) -> bool:
        """Whether this resource is at work here. If not, requests need it as `stored`."""
        return self._find(id_) is not None

    def recovered(self) -> Recovered | None:
        """What has become of the calls that an engine left without media, once that is known of all. Drained."""
        return self._recovery.take()

    @property
    def engine_ready(self) -> bool:
        """There is an engine, and it was told all that it has to know."""
        return self._world.engine_ready

    @property
    def live_calls(self) -> int:
        """Calls that are up, coming up, or not quite gone."""
        return len(self._world.calls)

    @property
    def live_conferences(self) -> int:
        """Conferences that are not terminated."""
        return len(self._world.conferences)

    @property
    def live_recordings(self) -> int:
        """Recordings that have not ended."""
        return len(self._world.recordings)

    @property
    def recordings(self) -> list[str]:
        """Their ids."""
        return list(self._world.recordings)

    def target_of(self, call: str) -> str:
        """The URI that a call is placed to; empty for one that came in, or that there is not."""
        found = self._world.calls.get(call)
        return found.target if found is not None and found.resource.direction is CallDirection.OUTGOING else ""

    def conference_of(self, user: str) -> str:
        """Id of the conference that the user part of an address leads to, at work or not; the zero id if none can."""
        return self._world.routes.find(user)

    # --- Time ----------------------------------------------------------------------------------------------------

    def timeout(self) -> float | None:
        """When `fire` is to be called next, in seconds since the epoch; None: not before the next event."""
        while self._timers:
            deadline, id_ = self._timers[0]
            if self._armed.get(id_) == deadline:
                return deadline
            heapq.heappop(self._timers)
        return None

    def fire(self, now: float) -> list[Command]:
        """Time has come. Too early a call does nothing."""
        self._begin(now)
        due: list[str] = []
        while (deadline := self.timeout()) is not None and deadline <= now:
            due.append(heapq.heappop(self._timers)[1])
            del self._armed[due[-1]]
        for id_ in due:
            machine = self._find(id_)
            deadline = machine.deadline() if machine is not None else None
            if machine is not None and deadline is not None and deadline <= now:
                self._world.touch(machine)
                machine.fire()
            self._world.settle()
        return self._end()

    # --- Events --------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """What to do about `event`. `now` is in seconds since the epoch and never goes back."""
        self._begin(now)
        if isinstance(event, Request):
            try:
                result = self._request(event)
            except Refusal as refusal:
                result = refusal
            self._world.settle()
            self._world.do(Reply(ask=event.ask, result=result))
        else:
            self._event(event)
            self._world.settle()
        return self._end()

    def _event(self, event: Event) -> None:
        world = self._world
        match event:
            case CallOffered():
                self._call_offered(event)
            case EngineReady():
                self._engine_ready(event)
            case EngineLost():
                self._engine_lost()
            case ServerStopping():
                self._stop()
            case PromptReady() | PromptFailed():
                call = world.calls.get(world.waiting.pop(event.request, ""))
                if call is not None:
                    call.handle(event)
            case RecordingStarted() | RecordingEnded():
                recording = world.recordings.get(event.recording)
                if recording is not None and isinstance(event, RecordingEnded):
                    recording.ended(event)
                elif recording is not None:
                    recording.started()
            case _:
                call = world.calls.get(getattr(event, "call"))  # noqa: B009
                if call is not None:
                    call.handle(event)

    def _stop(self) -> None:
        """Lets every call go. Conferences stay, for the next server."""
        self._stopping = True
        for recording in list(self._world.recordings.values()):
            recording.stop("stopped", "the server was told to end")
        for call in list(self._world.calls.values()):
            call.let_go("normal", "the server was told to end", "server_stopped", status=503)

    def _call_offered(self, event: CallOffered) -> None:
        world = self._world
        if event.call in world.calls:
            return
        id_ = world.routes.find(event.user)
        conference = world.conferences.get(id_)
        customer = world.routes.customer_of_ended(id_)
        if conference is not None:
            customer = conference.resource.customer_id
        elif event.stored is not None:
            id_, customer = event.stored.id, event.stored.customer_id
            world.routes.end(id_, customer, [])
        if customer is None:
            world.do(RefuseCall(call=event.call, status=404, reason=""))
            return
        call = newcall.incoming(world, event, customer, id_)
        if self._stopping:
            call.let_go("failed", "the server was told to end", "failed", status=503)
        elif not world.engine_ready:
            call.let_go("failed", "the media engine is being started again", "failed", status=503)
        elif len(world.calls) > world.settings.calls_max:
            call.let_go("failed", "the server has too many calls", "failed", status=503)
        elif conference is not None and len(conference.members) >= world.settings.participants_max:
            call.let_go("busy", "the conference is full", "failed", status=486)
        else:
            call.accept(event.sdp, id_ if conference is not None and conference.takes_joiners else None)

    # --- The engine ----------------------------------------------------------------------------------------------

    def _engine_ready(self, event: EngineReady) -> None:
        """Brings the engine to what should be: what is missing is made, what is too much is removed."""
        world = self._world
        world.engine_ready = True
        held = set(event.recordings)
        if event.restarted:
            self._recovery.begin(world.calls.values(), world.now)
            for recording in world.recordings.values():
                recording.part_lost(written=True, recorded_ms=event.recorded_ms.get(recording.id, 0))
        rooms = set(event.conferences)
        for conference in world.conferences.values():
            conference.engine_back(held=conference.id in rooms)
        for id_ in event.conferences:
            if id_ not in world.conferences or not world.conferences[id_].takes_joiners:
                world.do(CloseRoom(conference=id_))
        legs = {leg.call: leg for leg in event.legs}
        for call in list(world.calls.values()):
            if call.live:
                call.engine_back(legs.pop(call.id, None), restarted=event.restarted)
        for id_ in legs:
            world.do(CloseLeg(call=id_))
        for recording in list(world.recordings.values()):
            if recording.live:
                held.discard(recording.id)
                self._reconcile_recording(recording, held=recording.id in event.recordings)
        for id_ in event.recordings:
            if id_ in held:
                world.do(StopRecording(recording=id_))

    def _reconcile_recording(self, recording: RecordingMachine, *, held: bool) -> None:
        call = self._world.calls.get(recording.resource.reference_id)
        wanted = recording.resource.status is not RecordingStatus.STOPPING
        if not held and wanted and call is not None and not call.state.session.negotiated:
            recording.part_lost(written=False)  # it goes on when the call's media are back
        else:
            recording.reconcile(held=held)

    def _engine_lost(self) -> None:
        world = self._world
        if not world.engine_ready:
            return
        world.engine_ready = False
        for conference in world.conferences.values():
            if conference.members:
                world.log("media_lost", conference.resource, conference.id, "the media engine is gone")
        for call in world.calls.values():
            if call.live:
                world.touch(call)
                call.session.engine_lost()

    # --- Requests ------------------------------------------------------------------------------------------------

    def _request(self, request: Request) -> Resource | list[Resource]:
        if self._stopping and isinstance(request, BEGINNINGS):
            raise Unavailable("server_ending", "The server is ending. Try again in a moment.")
        match request:
            case CreateConference():
                return self._create_conference(request)
            case UpdateConference():
                conference = self._conference(request.conference, request)
                check_conference(request)
                if not isinstance(conference, ConferenceMachine):
                    raise over(conference)
                conference.update(request)
                return conference.resource
            case DeleteConference():
                conference = self._conference(request.conference, request)
                if not isinstance(conference, ConferenceMachine):
                    return conference
                conference.terminate("conference_deleted", "deleted through the API")
                return conference.resource
            case StartConferenceRecording():
                conference = self._conference(request.conference, request)
                check_recording(request)
                if not isinstance(conference, ConferenceMachine):
                    raise over(conference)
                conference.start_recording(request)
                return conference.resource
            case StopConferenceRecording():
                conference = self._conference(request.conference, request)
                if not isinstance(conference, ConferenceMachine):
                    raise over(conference)
                conference.stop_recording()
                return conference.resource
            case KickConferencecall():
                return self._kick(request)
            case MuteConferencecall():
                return self._mute(request)
            case ProcessConferencecall():
                return self._process(request)
            case JoinConference():
                return pages.join(self._world, self._conference(request.conference, request), request)
            case EndToken():
                return pages.end_token(self._world, request)
            case PageRequest():
                return pages.ask(self._world, request)
            case DeleteRecording():
                return self._delete_recording(request)
            case CreateCalls():
                return self._create_calls(request)
            case HangUpCall():
                return self._hang_up(request)
            case _:
                raise AssertionError(f"no request: {request}")

    def _create_conference(self, request: CreateConference) -> Conference:
        world, settings = self._world, self._world.settings
        check_conference(request)
        world.routes.check_free(request.settings.aliases, "", "/settings/aliases")
        if self._per_customer.get(request.customer, 0) >= settings.conferences_per_customer_max:
            most = settings.conferences_per_customer_max
            raise LimitReached("too_many_conferences", f"You have {most} conferences. Delete one first.")
        if len(world.conferences) >= settings.conferences_max:
            raise LimitReached("too_many_conferences", "This server is full. Delete a conference, or try later.")
        self._count(request.customer, 1)
        return ConferenceMachine.create(world, request).resource

    def _kick(self, request: KickConferencecall) -> Conferencecall:
        member = self._member(request)
        if not isinstance(member, ConferencecallMachine):
            return member
        resource = member.resource
        self._world.conferences[resource.conference_id].kick(member.id, "kicked through the API")
        return member.resource

    def _mute(self, request: MuteConferencecall) -> Conferencecall:
        member = self._member(request)
        if not isinstance(member, ConferencecallMachine):
            raise WrongState("wrong_state", "He has left the conference.")
        cause = "muted through the API" if request.muted else "unmuted through the API"
        self._world.calls[member.resource.reference_id].mute(cause, muted=request.muted)
        return member.resource

    def _process(self, request: ProcessConferencecall) -> Conferencecall:
        member = self._member(request)
        if not isinstance(member, ConferencecallMachine):
            raise WrongState("wrong_state", "He has left the conference.")
        call = self._world.calls[member.resource.reference_id]
        call.process(
            noise_suppression=request.noise_suppression,
            normaliser=request.normaliser,
            voice_activity=request.voice_activity,
            limiter=request.limiter,
        )
        return member.resource

    def _member(self, request: ParticipantRequest) -> ConferencecallMachine | Conferencecall:
        """The participant who is here, or what the store has of one who was. Raises `NotFound`."""
        machine = self._world.conferencecalls.get(request.conferencecall)
        resource = machine.resource if machine is not None else request.stored
        if resource is None or resource.customer_id != request.customer:
            raise NotFound("conferencecall_not_found", "There is no such conferencecall.")
        return machine if machine is not None and machine.live else resource

    def _delete_recording(self, request: DeleteRecording) -> Recording:
        cause = "deleted through the API"
        machine = self._world.recordings.get(request.recording)
        row = self._stored.get(request.recording)
        resource = machine.resource if machine is not None else row.resource if row is not None else request.stored
        if not isinstance(resource, Recording) or resource.customer_id != request.customer:
            raise NotFound("recording_not_found", "There is no such recording.")
        if resource.tm_delete != NEVER:
            return resource
        if machine is not None:
            machine.delete(cause)
            return machine.resource
        conference = resource.reference_id if resource.reference_type == "conference" else ZERO_ID
        resource = deleted(self._world, resource, conference, cause)
        self._stored[resource.id] = Row(resource=resource, state=b"", live=False)
        return resource

    def _create_calls(self, request: CreateCalls) -> list[Resource]:
        world = self._world
        check_calls(request)
        check_actions(request.actions, "/actions")
        if not world.engine_ready:
            raise Unavailable("engine_away", "The media engine is being started again. Try once more in a moment.")
        if len(world.calls) + len(request.destinations) > world.settings.calls_max:
            raise LimitReached("too_many_calls", "The server has too many calls at the moment. Try later.")
        return [
            newcall.outgoing(world, request.customer, request.source, destination, request.actions).resource
            for destination in request.destinations
        ]

    def _hang_up(self, request: HangUpCall) -> Call:
        call = self._world.calls.get(request.call)
        resource = call.resource if call is not None else request.stored
        if resource is None or resource.customer_id != request.customer:
            raise NotFound("call_not_found", "There is no such call.")
        if call is None or not call.live:
            return resource
        call.hang_up("hung up through the API")
        return call.resource

    def _conference(self, id_: str, request: Request) -> ConferenceMachine | Conference:
        """The conference at work, or as the store has it. Raises `NotFound`, also for what is another customer's."""
        machine = self._world.conferences.get(id_)
        stored: Conference | None = getattr(request, "stored", None)
        resource = machine.resource if machine is not None else stored
        if resource is None or resource.customer_id != request.customer:
            raise NotFound("conference_not_found", "There is no such conference.")
        return resource if machine is None else machine

    # --- Turns ---------------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        world = self._world
        assert now >= world.now, "time never goes back"
        world.now = now
        if self._recovering:
            self._recovering = False
            for conference in world.conferences.values():
                if conference.busy:
                    world.log("server_recovered", conference.resource, conference.id, "the server was started again")

    def _end(self) -> list[Command]:
        world = self._world
        for machine in world.rescheduled.values():
            self._arm(machine)
        world.rescheduled = {}
        commands, world.commands = world.commands, []
        return commands

    def _arm(self, machine: Machine) -> None:
        deadline = machine.deadline()
        if deadline is None:
            self._armed.pop(machine.id, None)
        elif self._armed.get(machine.id) != deadline:
            self._armed[machine.id] = deadline
            heapq.heappush(self._timers, (deadline, machine.id))
            if len(self._timers) > 2 * len(self._armed) + TIMERS_SLACK:
                # Mostly out of date: a call that ends leaves its limit of a day behind.
                self._timers = [(deadline, id_) for id_, deadline in self._armed.items()]
                heapq.heapify(self._timers)

    def _find(self, id_: str) -> Machine | None:
        world = self._world
        return (
            world.calls.get(id_)
            or world.conferences.get(id_)
            or world.conferencecalls.get(id_)
            or world.recordings.get(id_)
        )

    def _forget(self, machine: Machine) -> None:
        world = self._world
        match machine.resource:
            case Conference() as resource:
                self._count(resource.customer_id, -1)
                world.conferences.pop(machine.id, None)
                world.numbers.pop(machine.id, None)
            case Conferencecall():
                world.conferencecalls.pop(machine.id, None)
            case Call():
                world.calls.pop(machine.id, None)
            case Recording():
                world.recordings.pop(machine.id, None)
        self._armed.pop(machine.id, None)

    def _count(self, customer: str, by: int) -> None:
        number = self._per_customer.get(customer, 0) + by
        if number:
            self._per_customer[customer] = number
        else:
            del self._per_customer[customer]
