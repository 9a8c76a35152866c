"""Engines under test: the fake one, served in the test's own loop, and the native one, a process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from plenary.media.fake import FakeEngine, serve
from plenary.testing.engine import native_engine

Engine = Callable[..., AbstractAsyncContextManager[Path]]
"""Runs an engine while a block runs; gives the socket it listens at."""

ports = itertools.count(31_000, 100)


@contextlib.asynccontextmanager
async def fake(data: Path, orphan_timeout_s: int = 10) -> AsyncGenerator[Path]:
    data.mkdir(exist_ok=True)
    async with serve(FakeEngine(orphan_timeout_s=orphan_timeout_s), data / "engine.sock"):
        yield data / "engine.sock"


@contextlib.asynccontextmanager
async def native(data: Path, orphan_timeout_s: int = 10) -> AsyncGenerator[Path]:
    first = next(ports)
    async with native_engine(data, (first, first + 99), orphan_timeout_s) as process:
        yield process.socket


def offer(port: int = 40_000, direction: str = "sendrecv", formats: str = "0 8 101") -> str:
    lines = [
        "v=0",
        "o=phone 1 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP {formats}",
        "a=rtpmap:101 telephone-event/8000",
        f"a={direction}",
    ]
    return "\r\n".join(lines) + "\r\n"
