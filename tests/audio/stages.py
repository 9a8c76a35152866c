"""Runs scenarios side by side in one event loop, on one engine: real time passes once for all of them."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from lateness import Lateness
from plenary.media import messages as wire
from plenary.testing import Voice, sdp
from plenary.testing.engine import EngineClient, engine_client, native_engine
from ports import free_ports

SECONDS_MAX = 30.0
GAP_MS = 100.0


class Stage:
    """One scenario's part of the engine: a room and callers whose names nobody else has."""

    def __init__(self, client: EngineClient, name: str, folder: Path, exits: AsyncExitStack) -> None:
        self.client = client
        self.room = name[-64:]
        self.folder = folder
        self._exits = exits
        self._lateness = Lateness()
        exits.callback(self._lateness.stop)
        self._number = itertools.count(1)
        client.send(wire.OpenRoom(room=self.room))

    async def caller(self, codec: str = "PCMU", joins: bool = True) -> "Caller":
        """Somebody whose leg is open, and in the room unless `joins` is false."""
        voice = await Voice.open()
        self._exits.callback(voice.close)
        caller = Caller(self, f"{next(self._number)}-{self.room}"[:64], voice, codec)
        self.client.send(wire.OpenLeg(leg=caller.leg, sdp=voice.media((codec,)).write(1)))
        await caller.answered()
        if joins:
            self.client.send(wire.Join(leg=caller.leg, room=self.room))
            await self.client.expect(wire.LegJoined, leg=caller.leg)
        return caller

    async def callers(self, codecs: list[str]) -> "list[Caller]":
        return [await self.caller(codec) for codec in codecs]

    def assert_whole(self, caller: "Caller") -> None:
        """Every packet has come to him, once, and none too long after the one before."""
        reception = caller.voice.reception
        assert (reception.lost, reception.duplicates, reception.malformed) == (0, 0, 0), reception
        assert reception.longest_gap_ms <= GAP_MS + 1000 * self._lateness.most_s, reception


class Caller:
    """A leg of the engine and the voice at its other end."""

    def __init__(self, stage: Stage, leg: str, voice: Voice, codec: str) -> None:
        self.stage = stage
        self.leg = leg
        self.voice = voice
        self._codec = codec
        self._version = 1

    async def answered(self) -> None:
        answer = await self.stage.client.expect(wire.LegAnswered, leg=self.leg)
        peer = sdp.read(answer.sdp)
        self.voice.use(peer, peer.codecs[0])

    async def offer(self, direction: str) -> None:
        """Holds (`sendonly`) or resumes (`sendrecv`)."""
        self._version += 1
        offer = self.voice.media((self._codec,), direction).write(self._version)
        self.stage.client.send(wire.ApplySdp(leg=self.leg, kind="offer", sdp=offer))
        await self.answered()


Scenario = Callable[[Stage], Awaitable[None]]


def rtp_ports(count: int) -> tuple[int, int]:
    first = free_ports(count)
    return first, first + count - 1


@asynccontextmanager
async def stage(folder: Path, name: str) -> AsyncGenerator[Stage]:
    """An engine of its own, for one scenario."""
    async with (
        native_engine(folder, rtp_ports(100)) as process,
        engine_client(process.socket) as client,
        AsyncExitStack() as exits,
    ):
        yield Stage(client, name, folder, exits)


async def run_all(scenarios: dict[str, Scenario], folder: Path) -> dict[str, BaseException | None]:
    """What became of each scenario: None, or what it raised."""
    async with (
        native_engine(folder, rtp_ports(500)) as process,
        engine_client(process.socket) as client,
        AsyncExitStack() as exits,
    ):
        results = await asyncio.gather(
            *(
                asyncio.wait_for(run(Stage(client, name, folder, exits)), SECONDS_MAX)
                for name, run in scenarios.items()
            ),
            return_exceptions=True,
        )
    return dict(zip(scenarios, results, strict=True))
