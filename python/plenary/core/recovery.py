"""What becomes of the calls whose media ended with an engine: for the log of whoever runs the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .call import CallMachine
from .world import Machine


class Recovered(NamedTuple):
    """Calls that had media when their engine ended, once it is known of each what has become of it."""

    back: int
    lost: int
    """Ended without media: given up, or hung up meanwhile by whoever."""
    seconds: float
    """Since there was an engine again."""


class Recovery:
    """Counts them. Should the next engine end as well, what is under way goes on with the one after it."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._back: set[str] = set()
        self._lost = 0
        self._since = 0.0
        self._done: Recovered | None = None

    def begin(self, calls: Iterable[CallMachine], now: float) -> None:
        """There is a new engine, and none of these calls was told of it yet."""
        if not self._waiting:
            self._back, self._lost, self._since = set(), 0, now
        self._waiting |= {call.id for call in calls if call.live and call.has_media}
        self._back -= self._waiting

    def note(self, changed: Iterable[Machine], now: float) -> None:
        """Takes in what has changed in a turn."""
        if not self._waiting:
            return
        for machine in changed:
            if machine.id not in self._waiting or not isinstance(machine, CallMachine):
                continue
            if machine.live and not machine.has_media:
                continue
            self._waiting.remove(machine.id)
            if machine.live:
                self._back.add(machine.id)
            else:
                self._lost += 1
        if not self._waiting:
            self._done = Recovered(len(self._back), self._lost, now - self._since)

    def take(self) -> Recovered | None:
        """How it has ended. Drained."""
        done, self._done = self._done, None
        return done
