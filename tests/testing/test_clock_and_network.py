"""The simulated clock and network: the same seed, the same run."""

from dataclasses import dataclass, field

import pytest

from plenary.sip.config import Datagram, Flow
from plenary.testing import Clock, Network, Path

ALICE, BOB = ("10.0.0.1", 5060), ("10.0.0.2", 5060)


@dataclass
class Ticker:
    """Sends a numbered datagram every second."""

    to: tuple[str, int]
    count: int
    at: float = 0.0
    received: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    _out: list[Datagram] = field(default_factory=list[Datagram])
    _number: int = 0

    def timeout(self) -> float | None:
        return self.at if self._number < self.count else None

    def fire(self, now: float) -> None:
        self._out.append(Datagram(str(self._number).encode(), Flow(("", 0), self.to)))
        self._number += 1
        self.at = now + 1.0

    def receive(self, data: bytes, source: tuple[str, int], now: float) -> None:
        del source
        self.received.append((now, data))

    def datagrams(self) -> list[Datagram]:
        out, self._out = self._out, []
        return out


def run(seed: int, path: Path, count: int = 1000) -> tuple[Network, Ticker]:
    clock, network = Clock(), Network(seed, path)
    network.join(clock)
    alice, bob = Ticker(BOB, count), Ticker(ALICE, 0)
    network.attach(ALICE, alice)
    network.attach(BOB, bob)
    clock.run_until(count + 60.0)
    assert clock.now == count + 60.0
    return network, bob


def test_a_clean_path_delivers_everything_in_order_after_its_delay():
    _, bob = run(1, Path(delay_s=0.25), 3)
    assert bob.received == [(0.25, b"0"), (1.25, b"1"), (2.25, b"2")]


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    path = Path(loss=0.1, jitter_s=0.3, duplicated=0.1, reordered=0.1)
    assert run(1, path)[1].received == run(1, path)[1].received
    assert run(1, path)[1].received != run(2, path)[1].received


@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        (Path(loss=0.2), 740, 860),
        (Path(duplicated=0.2), 1140, 1260),
        (Path(reordered=0.2, held_back_s=3.0), 1000, 1000),
    ],
)
def test_shares_are_kept(path: Path, least: int, most: int):
    _, bob = run(3, path)
    assert least <= len(bob.received) <= most
    assert (sorted(int(data) for _, data in bob.received) != [int(data) for _, data in bob.received]) == bool(
        path.reordered
    )


def test_a_test_can_pick_what_is_lost():
    clock, network = Clock(), Network(1, lost=lambda carried: carried.data == b"1")
    network.join(clock)
    bob = Ticker(ALICE, 0)
    network.attach(ALICE, Ticker(BOB, 3))
    network.attach(BOB, bob)
    clock.run(5.0)
    assert [data for _, data in bob.received] == [b"0", b"2"]
    assert [carried.data for carried in network.sent] == [b"0", b"1", b"2"]


def test_a_part_that_asks_for_the_past_again_and_again_is_found_out():
    class Stuck:
        def timeout(self) -> float:
            return 0.0

        def fire(self, now: float) -> None: ...

    clock = Clock()
    clock.add(Stuck())
    with pytest.raises(AssertionError, match="stands still"):
        clock.run(1.0)
