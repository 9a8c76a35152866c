"""What all machines of a switch share: who there is, what time it is, and what is to be done about it.

A machine changes only its own state. What follows from that for others it hands to `later`, which runs when the
machine is done: so no machine is ever entered twice, and a conference of a thousand is emptied without recursion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .commands import Command
from .ids import ZERO_ID, Ids, stamp
from .limits import CASCADE_MAX, SwitchSettings
from .resources import EVENT_TYPES, LogEntry, Resource
from .routing import Routes

if TYPE_CHECKING:
    from .call import CallMachine
    from .callstate import WebSeat
    from .conference import ConferenceMachine
    from .conferencecall import ConferencecallMachine
    from .recording import RecordingMachine


class Machine(Protocol):
    """One resource at work."""

    @property
    def id(self) -> str: ...

    @property
    def resource(self) -> Resource: ...

    @property
    def live(self) -> bool:
        """False once nothing is left to do, ever."""
        ...

    def dump(self) -> bytes:
        """The state beyond the resource; `load` of the same class restores it exactly."""
        ...

    def deadline(self) -> float | None:
        """When `fire` wants to be called next."""
        ...

    def fire(self) -> None: ...


class World:
    """The shared board of one switch."""

    def __init__(self, ids: Ids, settings: SwitchSettings) -> None:
        self.new_id = ids
        self.settings = settings
        self.now = 0.0
        self.engine_ready = False
        self.routes = Routes()
        self.conferences: dict[str, ConferenceMachine] = {}
        self.conferencecalls: dict[str, ConferencecallMachine] = {}
        self.calls: dict[str, CallMachine] = {}
        self.recordings: dict[str, RecordingMachine] = {}
        self.seats: dict[WebSeat, str] = {}
        """Seat of a page -> its call."""
        self.tokens_ended: dict[str, None] = {}
        """Join tokens that were taken back, oldest first."""
        self.numbers: dict[str, int] = {}
        self.waiting: dict[str, str] = {}
        """Prompt request -> the call that waits for it."""
        self.commands: list[Command] = []
        self.entries: list[LogEntry] = []
        self.touched: dict[str, Machine] = {}
        """Changed since the last drain, in the order of the first change."""
        self.rescheduled: dict[str, Machine] = {}
        """Changed in this turn: their timers may have moved."""
        self._later: deque[Callable[[], None]] = deque()

    @property
    def stamp(self) -> str:
        return stamp(self.now)

    def do(self, command: Command) -> None:
        self.commands.append(command)

    def touch(self, machine: Machine) -> None:
        """The resource or the state of this machine has changed."""
        self.touched[machine.id] = machine
        self.rescheduled[machine.id] = machine

    def later(self, step: Callable[[], None]) -> None:
        """Runs `step` in this turn, once the machine that runs now is done."""
        self._later.append(step)

    def settle(self) -> None:
        """Runs all that was put off."""
        for _ in range(CASCADE_MAX):
            if not self._later:
                return
            self._later.popleft()()
        raise AssertionError("a turn that does not end")

    def log(self, type_: str, resource: Resource, conference: str, cause: str) -> None:
        assert type_ in EVENT_TYPES, type_
        number = 0
        if conference in self.conferences:
            number = self.numbers[conference] = self.numbers.get(conference, 0) + 1
        self.entries.append(
            LogEntry(
                id=self.new_id(),
                type=type_,
                customer_id=resource.customer_id,
                conference_id=conference or ZERO_ID,
                number=number,
                tm=self.stamp,
                cause=cause,
                data=resource,
            )
        )
