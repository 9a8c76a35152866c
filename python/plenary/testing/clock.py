"""A clock that only the test moves, for sans-I/O parts: hours pass in milliseconds, and always in the same way."""

from collections.abc import Callable
from typing import Protocol

STEPS_AT_ONCE_MAX = 10_000
"""Steps without time passing, after which somebody asks for a time that is past again and again."""


class Timed(Protocol):
    """Something that knows when it wants to be called."""

    def timeout(self) -> float | None: ...

    def fire(self, now: float, /) -> object: ...


class Clock:
    """Calls each part at the times that it asks for, in order; those at the same time in the order of `add`.

    `after_each_step` is called after every step, to carry what the parts want to say to each other.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        self.after_each_step: list[Callable[[float], object]] = []
        self._parts: list[Timed] = []

    def add(self, part: Timed) -> None:
        self._parts.append(part)

    def remove(self, part: Timed) -> None:
        self._parts.remove(part)

    def settle(self) -> None:
        """Carries what the test itself has just brought about, without moving time."""
        for carry in self.after_each_step:
            carry(self.now)

    def run(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def run_until(self, end: float) -> None:
        """Lets everything happen that is due by `end`; then it is `end`."""
        self.settle()
        steps = 0
        while (at := self.next()) is not None and at <= end:
            steps = 0 if at > self.now else steps + 1
            assert steps < STEPS_AT_ONCE_MAX, f"time stands still at {self.now}"
            self.now = max(self.now, at)
            for part in list(self._parts):
                timeout = part.timeout()
                if timeout is not None and timeout <= self.now:
                    part.fire(self.now)
            self.settle()
        self.now = max(self.now, end)

    def next(self) -> float | None:
        """When something is due."""
        return min((at for part in self._parts if (at := part.timeout()) is not None), default=None)
