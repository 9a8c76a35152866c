"""A network that loses, delays, repeats and reorders datagrams, by a seed: sans-I/O, moved by a `Clock`.

A node is anything with `receive(data, source, now)` and `datagrams()`, such as `plenary.sip.endpoint.Endpoint`:

    clock, network = Clock(), Network(seed=7, path=Path(loss=0.2))
    network.join(clock)
    network.attach(("10.0.0.1", 5060), server)
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .clock import Clock, Timed

Address = tuple[str, int]
IN_FLIGHT_MAX = 100_000
"""More than this under way at once is a loop between two nodes."""


class Datagram(Protocol):
    """What a node wants to send."""

    @property
    def data(self) -> bytes: ...

    @property
    def destination(self) -> Address: ...


class Node(Timed, Protocol):
    def receive(self, data: bytes, source: Address, now: float, /) -> object: ...

    def datagrams(self) -> Iterable[Datagram]: ...


@dataclass(frozen=True)
class Path:
    """How datagrams fare, each direction alike. Shares are 0 to 1."""

    loss: float = 0.0
    delay_s: float = 0.01
    jitter_s: float = 0.0
    """Added to the delay, evenly from 0 to this: more than the distance of two datagrams reorders them."""
    duplicated: float = 0.0
    reordered: float = 0.0
    """Share that is held back by `held_back_s`."""
    held_back_s: float = 0.05


class Carried(NamedTuple):
    """A datagram that was sent, arrived or not."""

    at: float
    source: Address
    destination: Address
    data: bytes


class Network:
    """`lost` can pick datagrams to lose, besides those that chance takes."""

    def __init__(
        self,
        seed: int,
        path: Path = Path(),
        lost: Callable[[Carried], bool] | None = None,
    ) -> None:
        self.path = path
        self.lost = lost
        self.sent: list[Carried] = []
        """Every datagram, in the order of sending."""
        self.undeliverable = 0
        self._random = random.Random(seed)
        self._nodes: dict[Address, Node] = {}
        self._in_flight: list[tuple[float, int, Carried]] = []

    def join(self, clock: Clock) -> None:
        """Is moved by `clock` from now on."""
        clock.add(self)
        clock.after_each_step.append(self.collect)
        self._clock = clock

    def attach(self, address: Address, node: Node) -> None:
        """`node` is at `address` from now on; one that was there is gone."""
        self.detach(address)
        self._nodes[address] = node
        self._clock.add(node)

    def detach(self, address: Address) -> None:
        node = self._nodes.pop(address, None)
        if node is not None:
            self._clock.remove(node)

    def send(self, data: bytes, source: Address, destination: Address, now: float) -> None:
        """A datagram sets out."""
        carried = Carried(now, source, destination, data)
        self.sent.append(carried)
        copies = 1 + (self._random.random() < self.path.duplicated)
        for _ in range(copies):
            lost = self._random.random() < self.path.loss
            delay = self.path.delay_s + self._random.random() * self.path.jitter_s
            delay += self.path.held_back_s if self._random.random() < self.path.reordered else 0.0
            if not lost and not (self.lost is not None and self.lost(carried)):
                assert len(self._in_flight) < IN_FLIGHT_MAX, "nodes talk without end"
                heapq.heappush(self._in_flight, (now + delay, len(self.sent), carried))

    def collect(self, now: float) -> None:
        """Takes what the nodes want to send."""
        for address, node in list(self._nodes.items()):
            for datagram in node.datagrams():
                self.send(datagram.data, address, datagram.destination, now)

    def timeout(self) -> float | None:
        return self._in_flight[0][0] if self._in_flight else None

    def fire(self, now: float) -> None:
        while self._in_flight and self._in_flight[0][0] <= now:
            carried = heapq.heappop(self._in_flight)[2]
            node = self._nodes.get(carried.destination)
            if node is None:
                self.undeliverable += 1
            else:
                node.receive(carried.data, carried.source, now)
