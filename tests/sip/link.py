"""Endpoints and the wire between them, on a clock that only this object moves.

Each `Node` is an endpoint with the server around it: it drains what the endpoint has to say by the rule of use (events,
then snapshots made durable, then datagrams), and can crash in between.
"""

import heapq
import itertools
import random
from collections.abc import Callable

from plenary.sip.config import Datagram, EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.sip.events import SipEvent
from plenary.sip.parser import parse

SECRET = b"a secret of the tests"


class Node:
    """One endpoint at an address. `decide` is the server: it takes an event and may call verbs."""

    def __init__(self, name: str, address: tuple[str, int], *, decide: Callable | None = None, **settings) -> None:
        self.name = name
        self.address = address
        self.config = EndpointConfig(listeners=(Listener(*address),), **settings)
        self.decide = decide
        self.events: list[SipEvent] = []
        self.saved: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self.endpoint = Endpoint(self.config, self._id, SECRET)

    def _id(self) -> str:
        return f"{self.name}{next(self._numbers)}"

    def turn(self, now: float) -> list[Datagram]:
        """Handles what happened, commits, and returns what may now leave."""
        while events := self.endpoint.events():
            for event in events:
                self.events.append(event)
                if self.decide is not None:
                    self.decide(self, event, now)
        for handle, data in self.endpoint.changed().items():
            if data is None:
                self.saved.pop(handle, None)
            else:
                self.saved[handle] = data
        return self.endpoint.datagrams()

    def crash(self, now: float) -> None:
        """A new process takes the place of this one, with nothing but what was committed."""
        self.endpoint = Endpoint(self.config, self._id, SECRET)
        self.endpoint.restore(self.saved.items(), now)

    def said(self, kind: type) -> list:
        """The events of this kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def story(self) -> list[str]:
        """The names of the events, in their order."""
        return [type(event).__name__ for event in self.events]


class Link:
    """The wire. `lost(datagram)` decides what gets lost; by default `loss` of all, by the seed."""

    def __init__(
        self,
        *nodes: Node,
        seed: int = 0,
        delay: float = 0.01,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        lost: Callable[[bytes], bool] | None = None,
        crashes: float = 0.0,
    ) -> None:
        self.nodes = {node.address: node for node in nodes}
        self.random = random.Random(seed)
        self.delay, self.jitter, self.loss, self.duplication, self.crashes = delay, jitter, loss, duplication, crashes
        self.lost = lost
        self.now = 0.0
        self.sent: list[tuple[float, str, str]] = []  # when, by whom, start line and CSeq method
        self._wire: list[tuple[float, int, tuple[str, int], Datagram]] = []
        self._plans: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = itertools.count()

    def at(self, when: float, what: Callable[[float], None]) -> None:
        """Plans an act of a user: `what(now)`."""
        heapq.heappush(self._plans, (when, next(self._count), what))

    def run_until(self, end: float) -> None:
        """Moves the clock; delivers, fires and acts in the order of time."""
        self.collect()
        while (now := self._next()) is not None and now <= end:
            self.now = max(now, self.now)
            if self._plans and self._plans[0][0] <= self.now:
                heapq.heappop(self._plans)[2](self.now)
            elif self._wire and self._wire[0][0] <= self.now:
                _, _, source, datagram = heapq.heappop(self._wire)
                node = self.nodes.get(datagram.destination)
                if node is not None:
                    node.endpoint.receive(datagram.data, source, self.now)
            else:
                for node in self.nodes.values():
                    node.endpoint.fire(self.now)
            self.collect()
        self.now = end

    def collect(self) -> None:
        """Lets every node take its turn, and puts what it sends on the wire."""
        for node in self.nodes.values():
            datagrams = node.turn(self.now)
            if datagrams and self.crashes and self.random.random() < self.crashes:
                node.crash(self.now)  # committed, and not sent
                datagrams = node.turn(self.now)
            for datagram in datagrams:
                self._put(node, datagram)

    def _put(self, node: Node, datagram: Datagram) -> None:
        message = parse(datagram.data)
        first = datagram.data.split(b"\r\n", 1)[0].decode("utf-8", "replace")
        self.sent.append((self.now, node.name, f"{first} [{message.cseq.method}]"))
        if self.lost(datagram.data) if self.lost else self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.duplication else 1):
            at = self.now + self.delay + self.random.random() * self.jitter
            heapq.heappush(self._wire, (at, next(self._count), node.address, datagram))

    def _next(self) -> float | None:
        times = [node.endpoint.timeout() for node in self.nodes.values()]
        times += [self._wire[0][0] if self._wire else None, self._plans[0][0] if self._plans else None]
        return min((at for at in times if at is not None), default=None)
