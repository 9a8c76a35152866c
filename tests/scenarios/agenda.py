"""What is to happen at some time: a part of the simulated clock."""

import heapq
import itertools
from collections.abc import Callable


class Agenda:
    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def at(self, when: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._entries, (when, next(self._order), what))

    def timeout(self) -> float | None:
        return self._entries[0][0] if self._entries else None

    def fire(self, now: float) -> None:
        while self._entries and self._entries[0][0] <= now:
            heapq.heappop(self._entries)[2]()
