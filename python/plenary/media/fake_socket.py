"""A fake engine at a Unix socket, in real time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from .errors import MediaError
from .fake import FakeEngine


@contextlib.asynccontextmanager
async def serve(engine: FakeEngine, path: Path) -> AsyncGenerator[None]:
    """`engine` listens at `path` while the block runs, in real time, like the native one."""
    loop = asyncio.get_running_loop()
    current: list[asyncio.StreamWriter] = []
    wake = asyncio.Event()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for old in current:
            old.transport.abort()
        current[:] = [writer]
        engine.connected()
        with contextlib.suppress(OSError, MediaError):
            while current == [writer] and (data := await reader.read(1 << 16)):
                engine.receive(data, loop.time())
                wake.set()
        writer.close()
        if current == [writer]:
            current.clear()
            engine.disconnected(loop.time())
            wake.set()

    async def keep_time(server: asyncio.Server) -> None:
        while engine.running:
            data = engine.to_send()
            for writer in current:
                writer.write(data)
            timeout = engine.timeout()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), None if timeout is None else max(0.0, timeout - loop.time()))
            wake.clear()
            engine.fire(loop.time())
        server.close()
        for writer in current:
            writer.write(engine.to_send())
            writer.close()

    server = await asyncio.start_unix_server(attend, str(path))
    engine.disconnected(loop.time())
    keeper = asyncio.create_task(keep_time(server))
    try:
        yield
    finally:
        keeper.cancel()
        for writer in current:
            writer.transport.abort()
        server.close()
