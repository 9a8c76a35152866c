"""One turn of the server, without I/O: what came in goes through the pure parts, and what has to be done comes out.

A turn takes a batch of inputs, has `sip` and `media` make events of them, lets the switch decide, and applies its
commands to the endpoint and the engine link, which only queue. The caller then writes `Turn.record` in one transaction
and, only after that, lets the effects leave. So nothing is ever told to anyone that is not on disk.

`Server` runs this on sockets and SQLite; the scenario tests run it on a simulated clock, network and engine.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from .core import commands, events
from .core.changes import Changes
from .core.errors import Unavailable
from .core.ids import ZERO_ID
from .core.resources import Call, Conference, Conferencecall, Recording, Resource
from .core.switch import Switch
from .media.client import EngineLink, Position
from .sip import adapter as signalling
from .sip.config import Datagram
from .sip.endpoint import Endpoint
from .store.errors import StoreError
from .web.door import Answer, WebDoor

R = TypeVar("R", bound=Resource)


class Stored(Protocol):
    """Looks up a resource as it was last written; None if there never was one. Raises StoreError."""

    def __call__(self, kind: type[R], id: str, /) -> R | None: ...


class Arrived(msgspec.Struct, frozen=True):
    """A datagram came in on a socket of the signalling. `local` is the address of its listener."""

    data: bytes
    source: tuple[str, int]
    local: tuple[str, int]


class Unreachable(msgspec.Struct, frozen=True):
    """Nothing can be sent to a destination of the signalling."""

    destination: tuple[str, int]
    reason: str


class PromptMade(msgspec.Struct, frozen=True):
    """A text was spoken, or a sound fetched: mono, 16 bit little-endian."""

    request: str
    prompt: str
    pcm: bytes
    rate: int
    duration_ms: int


Input = Arrived | Unreachable | PromptMade | events.Event


class Record(msgspec.Struct, frozen=True):
    """What a turn has changed: one transaction."""

    changes: Changes
    dialogs: dict[str, bytes | None]
    """Signalling state of calls by id; None: gone."""
    position: Position | None
    """How far the engine's events are dealt with; None if nothing came of it."""

    def __bool__(self) -> bool:
        return bool(self.changes or self.dialogs or self.position)


class Turn(msgspec.Struct, frozen=True):
    """What to write, and what to do once it is written."""

    record: Record
    datagrams: list[Datagram]
    replies: list[commands.Reply]
    answers: list[Answer]
    """SDP for pages."""
    prepare: list[commands.PreparePrompt]
    drop: list[str]
    """Prompt requests that nobody waits for any more."""
    remove: list[str]
    """Recordings whose files are to be deleted."""


def _refusal(event: events.Event, error: StoreError) -> list[commands.Command]:
    """What is told who asked for something that the disk can't be asked about."""
    match event:
        case events.Request(ask=ask):
            return [commands.Reply(ask=ask, result=Unavailable("unavailable", str(error)))]
        case events.CallOffered(call=call):
            return [commands.RefuseCall(call=call, status=503)]
        case _:
            return []


class Node:
    """The pure parts, wired. State is in them, none is in here but what waits to be drained."""

    def __init__(
        self,
        switch: Switch,
        endpoint: Endpoint,
        link: EngineLink,
        door: WebDoor,
        stored: Stored,
        recorded_ms: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """`stored` is asked for what is over: the switch keeps only what is at work. `recorded_ms` is asked how much
        of a recording is on disk, 0 if that can't be known."""
        self._stored = stored
        self._recorded_ms = recorded_ms
        self._switch = switch
        self._endpoint = endpoint
        self._link = link
        self._door = door
        self._position = link.position
        self._for_engine: list[commands.Command] = []
        self._replies: list[commands.Reply] = []
        self._prepare: list[commands.PreparePrompt] = []
        self._drop: list[str] = []
        self._remove: list[str] = []

    def turn(self, inputs: Iterable[Input], now: float) -> Turn:
        """Deals with `inputs`, with what the engine said since the last turn, and with what is due at `now`."""
        for one in inputs:
            match one:
                case Arrived(data, source, local):
                    self._endpoint.receive(data, source, now, local)
                case Unreachable(destination, reason):
                    self._endpoint.unreachable(destination, reason, now)
                case PromptMade():
                    self._link.load_prompt(one.prompt, one.pcm, one.rate)
                    ready = events.PromptReady(request=one.request, prompt=one.prompt, duration_ms=one.duration_ms)
                    self._decide(ready, now)
                case events.Event():
                    self._decide(one, now)
            self._settle(now)
        self._endpoint.fire(now)
        self._perform(self._switch.fire(now), now)
        self._settle(now)
        self._link.perform(self._for_engine)
        self._for_engine = []
        return self._drained()

    def timeout(self) -> float | None:
        """When the next turn is due at the latest; None if only an input can bring anything about."""
        due = [at for at in (self._switch.timeout(), self._endpoint.timeout()) if at is not None]
        return min(due, default=None)

    def _settle(self, now: float) -> None:
        """Deals with what the parts have to say until they have said all. Ends: a decision of the switch makes the
        endpoint speak at most once, and the link speaks only of what the engine sent."""
        while heard := [*map(signalling.told, self._endpoint.events()), *self._link.events()]:
            for event in heard:
                self._decide(event, now)

    def _decide(self, event: events.Event, now: float) -> None:
        if isinstance(event, events.EngineReady):
            # Meant for the connection before: the switch is about to say all that this engine has to know.
            self._for_engine.clear()
        if isinstance(event, events.JoinConference | events.RestartSession):
            self._door.asked(event)
        try:
            whole = self._with_what_is_over(event)
        except StoreError as error:
            self._perform(_refusal(event, error), now)
            return
        self._perform(self._switch.handle(whole, now), now)

    def _with_what_is_over(self, event: events.Event) -> events.Event:
        """What is not at work any more the switch is handed as it was last written (see `events.Request`); of an
        engine that is no more, what it has left on disk.

        It is looked up here and not when the request comes in: only now is every earlier turn on disk.
        """
        match event:
            case events.CallOffered(user=user):
                kind, id = Conference, self._switch.conference_of(user)
            case (
                events.UpdateConference(conference=id)
                | events.DeleteConference(conference=id)
                | events.StartConferenceRecording(conference=id)
                | events.StopConferenceRecording(conference=id)
                | events.JoinConference(conference=id)
            ):
                kind = Conference
            case (
                events.KickConferencecall(conferencecall=id)
                | events.MuteConferencecall(conferencecall=id)
                | events.ProcessConferencecall(conferencecall=id)
            ):
                kind = Conferencecall
            case events.DeleteRecording(recording=id):
                kind = Recording
            case events.HangUpCall(call=id) | events.PageRequest(call=id):
                kind = Call
            case events.EngineReady(restarted=True):
                lengths = {recording: self._recorded_ms(recording) for recording in self._switch.recordings}
                return msgspec.structs.replace(event, recorded_ms=lengths)
            case _:
                return event
        if id == ZERO_ID or self._switch.holds(id):
            return event
        return msgspec.structs.replace(event, stored=self._stored(kind, id))

    def _perform(self, wanted: Iterable[commands.Command], now: float) -> None:
        for command in wanted:
            match command:
                case commands.Reply():
                    if (reply := self._door.replied(command)) is not None:
                        self._replies.append(reply)
                case commands.PreparePrompt():
                    self._prepare.append(command)
                case commands.DropPrompt():
                    self._drop.append(command.request)
                case commands.RemoveRecordingFiles():
                    self._remove.append(command.recording)
                case _ if isinstance(command, signalling.SignallingCommand):
                    if self._door.holds(command.call):
                        self._door.perform(command)
                    else:
                        signalling.perform(self._endpoint, command, now)
                case _:
                    self._for_engine.append(command)

    def _drained(self) -> Turn:
        position, self._position = self._position, self._link.position
        turn = Turn(
            record=Record(
                changes=self._switch.changes(),
                dialogs=self._endpoint.changed(),
                position=None if position == self._position else self._position,
            ),
            datagrams=self._endpoint.datagrams(),
            replies=[*self._replies, *self._door.refusals()],
            answers=self._door.answers(),
            prepare=self._prepare,
            drop=self._drop,
            remove=self._remove,
        )
        self._replies, self._prepare, self._drop, self._remove = [], [], [], []
        return turn
