"""Engines under test: the fake one, served in the test's own loop, and the native one, a process."""

import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from plenary.media.fake import FakeEngine, serve
from plenary.testing.coroutines import pytest_pyfunc_call
from plenary.testing.engine import has_native_engine, native_engine

__all__ = ["pytest_pyfunc_call"]

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


@pytest.fixture(params=["fake", "native"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both engines pass the same tests; without a build of the native one, its turn is skipped."""
    if request.param == "native" and not has_native_engine():
        pytest.skip("the native engine is not built")
    return fake if request.param == "fake" else native
