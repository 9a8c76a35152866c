"""All times at which an endpoint wants to be called again: one table.

A timer is named by its owner (a transaction, a call) and by what it is. Setting it again moves it.
"""

from __future__ import annotations

import heapq
from enum import StrEnum
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
_SLACK = 64
"""Stale entries that the heap may hold beyond as many as there are live ones, before it is built anew."""


class Timer(StrEnum):
    """A to M are those of RFC 3261 section 17 and RFC 6026; the others belong to calls."""

    A = "A: repeat the INVITE"
    B = "B: give up the INVITE"
    D = "D: acknowledge repeated refusals until then"
    E = "E: repeat the request"
    F = "F: give up the request"
    G = "G: repeat the refusal"
    H = "H: no longer wait for the ACK of a refusal"
    I = "I: absorb repeated ACKs until then"  # noqa: E741
    J = "J: answer repeated requests until then"
    K = "K: absorb repeated responses until then"
    L = "L: absorb repeated INVITEs until then"
    M = "M: take further 2xx until then"
    TRYING = "say 100 Trying"
    PROVISIONAL = "repeat the provisional response"
    REPEAT_2XX = "repeat the 2xx"
    ACK_WAIT = "no longer wait for the ACK of a 2xx"
    ANSWER_WAIT = "no longer wait for our answer to an offer in a request"
    ACKNOWLEDGE_WAIT = "no longer wait for our answer to an offer in a 2xx"
    OFFER_RETRY = "make our offer again"
    OFFER_WAIT = "no longer wait for the final response to our re-INVITE"
    CANCEL_WAIT = "no longer wait for the final response after CANCEL"
    SESSION = "the session was not refreshed"


class Timers(Generic[Owner]):
    """Timers of all owners. Owners are compared by identity and must be hashable."""

    def __init__(self) -> None:
        self._at: dict[Owner, dict[Timer, float]] = {}
        self._heap: list[tuple[float, int, Owner, Timer]] = []
        self._count = 0
        self._live = 0

    def set(self, owner: Owner, timer: Timer, at: float) -> None:
        """Lets the timer fire at this time, wherever it stood before."""
        mine = self._at.setdefault(owner, {})
        if timer not in mine:
            self._live += 1
        mine[timer] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, owner, timer))
        self._shrink()

    def stop(self, owner: Owner, timer: Timer) -> None:
        """Takes the timer away, if it runs."""
        mine = self._at.get(owner)
        if mine is not None and mine.pop(timer, None) is not None:
            self._live -= 1
            if not mine:
                del self._at[owner]
            self._shrink()

    def stop_all(self, owner: Owner) -> None:
        """Takes all timers of the owner away."""
        self._live -= len(self._at.pop(owner, ()))
        self._shrink()

    def runs(self, owner: Owner, timer: Timer) -> bool:
        """Whether the timer is set."""
        mine = self._at.get(owner)
        return mine is not None and timer in mine

    def next(self) -> float | None:
        """When the first one fires; None when there is none."""
        while self._heap:
            at, _, owner, timer = self._heap[0]
            if self._is_live(at, owner, timer):
                return at
            heapq.heappop(self._heap)
        return None

    def expired(self, now: float) -> tuple[Owner, Timer] | None:
        """Takes out and returns the first timer that is due, in the order of their times."""
        due = self.next()
        if due is None or due > now:
            return None
        _, _, owner, timer = heapq.heappop(self._heap)
        mine = self._at[owner]
        del mine[timer]
        self._live -= 1
        if not mine:
            del self._at[owner]
        return owner, timer

    def __len__(self) -> int:
        return self._live

    def _is_live(self, at: float, owner: Owner, timer: Timer) -> bool:
        mine = self._at.get(owner)
        return mine is not None and mine.get(timer) == at

    def _shrink(self) -> None:
        if len(self._heap) > 2 * self._live + _SLACK:
            self._heap = [entry for entry in self._heap if self._is_live(entry[0], entry[2], entry[3])]
            heapq.heapify(self._heap)
