"""A media engine to test against, and a client that speaks its messages as they are."""

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeVar

from ..media import messages as wire
from ..media.process import EngineProcess, EngineSettings

PATIENCE_S = 3.0
"""What takes longer than this on one machine does not come."""

RETRY_S = 0.01

E = TypeVar("E", bound=wire.EngineEvent)


def has_native_engine() -> bool:
    """Whether the compiled engine is installed and can be started."""
    return all(importlib.util.find_spec(f"plenary.media.{name}") is not None for name in ("_media", "__main__"))


@contextlib.asynccontextmanager
async def native_engine(
    data: Path, rtp_ports: tuple[int, int], orphan_timeout_s: int = 10, threads: int = 1, webrtc_port: int = 0
) -> AsyncGenerator[EngineProcess]:
    """The compiled engine on loopback while the block runs; `process.socket` is where it listens."""
    settings = EngineSettings(
        rtp_address="127.0.0.1",
        rtp_ports=rtp_ports,
        orphan_timeout_s=orphan_timeout_s,
        threads=threads,
        webrtc_port=webrtc_port,
    )
    changed = asyncio.Event()
    process = EngineProcess(data, settings, version="test", on_change=changed.set)
    running = asyncio.create_task(process.run())
    try:
        waiting = asyncio.create_task(changed.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()
        yield process
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await process.stop()


class EngineClient:
    """Sends commands and collects events. `welcome` is what the engine said first."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = wire.Frames()
        self._arrived = asyncio.Event()
        self.welcome: wire.Welcome | None = None
        self.events: list[wire.EngineEvent] = []
        """All events that came, oldest first, except those that `expect` took."""
        self.last_seq = 0
        self.closed = False

    @property
    def engine(self) -> str:
        assert self.welcome is not None
        return self.welcome.engine

    def send(self, *commands: wire.Message) -> None:
        """One frame: the engine applies all of `commands` at one tick."""
        self._writer.write(wire.frame(commands))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def expect(self, kind: type[E], timeout_s: float = PATIENCE_S, **fields: object) -> E:
        """The first event of `kind` with these fields, which came already or comes in time. Raises AssertionError."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for event in self.events:
                        if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
                            self.events.remove(event)
                            return event
                    assert not self.closed, f"the engine closed the connection; no {kind.__name__} {fields}"
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} with {fields} among {self.events}") from None

    async def caught_up(self) -> None:
        """Everything sent so far is applied, and what it brought about has come."""
        self.send(wire.GetStats(request="caught-up"))
        await self.expect(wire.Stats, request="caught-up")

    async def read(self) -> None:
        """Collects events until the connection ends."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(1 << 16):
                for body in self._frames.receive(data):
                    for message in wire.decode_up(body):
                        self._take(message)
        self.closed = True
        self._arrived.set()

    def _take(self, message: wire.Up) -> None:
        if isinstance(message, wire.Welcome):
            self.welcome = message
        else:
            self.events.append(message)
            self.last_seq = message.seq
        self._arrived.set()

    async def greeted(self) -> None:
        while self.welcome is None:
            assert not self.closed, "the engine closed the connection without a welcome"
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), PATIENCE_S)


@contextlib.asynccontextmanager
async def engine_client(path: Path, engine: str = "", acked: int = 0) -> AsyncGenerator[EngineClient]:
    """Connects as a server that knows `engine` and has acknowledged its events up to `acked`."""
    reader, writer = await _connected(path)
    client = EngineClient(reader, writer)
    reading = asyncio.create_task(client.read())
    try:
        client.send(wire.Hello(version=wire.PROTOCOL_VERSION, engine=engine, acked=acked))
        await client.greeted()
        yield client
    finally:
        writer.close()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An engine that is just starting has its socket a moment before it listens."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await asyncio.open_unix_connection(str(path))
            except ConnectionRefusedError:
                await asyncio.sleep(RETRY_S)
