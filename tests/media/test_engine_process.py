"""The engine is found, started, watched and replaced. A fake one stands in, in a real process."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from plenary.media.client import EngineConnection, EngineLink
from plenary.media.errors import EngineFailed, MediaError
from plenary.media.process import EngineProcess, EngineSettings
from plenary.testing.engine import has_native_engine

SERVE = """
import asyncio, sys, uuid
from pathlib import Path
from plenary.media.fake import FakeEngine
from plenary.media.fake_socket import serve

async def main():
    engine = FakeEngine(uuid.uuid4().hex, orphan_timeout_s=5)
    async with serve(engine, Path(sys.argv[1])):
        while engine.running:
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


def fake_engine(socket: Path, settings: EngineSettings) -> list[str]:
    del settings
    return [sys.executable, "-c", SERVE, str(socket)]


def process(data: Path, settings: EngineSettings | None = None, version: str = "1") -> EngineProcess:
    return EngineProcess(data, settings or EngineSettings(), version, command=fake_engine)


@contextlib.asynccontextmanager
async def running(engine: EngineProcess) -> AsyncGenerator[asyncio.Queue[int | None]]:
    """Keeps the engine running; gives the process ids that it had, None for each death."""
    changes: asyncio.Queue[int | None] = asyncio.Queue()
    engine.on_change = lambda: changes.put_nowait(engine.pid)
    task = asyncio.create_task(engine.run())
    try:
        yield changes
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_engine_that_is_killed_is_started_again(tmp_path: Path):
    engine = process(tmp_path)
    async with running(engine) as changes:
        first = await changes.get()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await changes.get() is None
        assert engine.ended == "signal 9 (SIGKILL)"
        second = await changes.get()
        assert second not in (None, first)
    await engine.stop()
    assert not Path(f"/proc/{second}").exists()


async def test_a_new_server_finds_the_engine_of_the_old_one_and_says_what_differs(tmp_path: Path):
    old = process(tmp_path, EngineSettings(rtp_ports=(20_000, 20_099)))
    async with running(old) as changes:
        pid = await changes.get()
    new = process(tmp_path, EngineSettings(rtp_ports=(30_000, 30_099)))
    async with running(new) as changes:
        assert await changes.get() == pid
        (difference,) = new.differences
        assert "rtp_ports (20000, 20099)" in difference
        assert "(30000, 30099)" in difference
    await new.stop()
    await old.stop()


async def test_an_engine_of_another_version_is_replaced(tmp_path: Path):
    old = process(tmp_path, version="1")
    async with running(old) as changes:
        pid = await changes.get()
    new = process(tmp_path, version="2")
    async with running(new) as changes:
        assert await changes.get() not in (None, pid)
    await new.stop()
    await old.stop()


async def test_an_engine_that_never_lives_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plenary.media.process.RETRY_S", 0.001)
    engine = process(tmp_path)
    engine.command = lambda socket, settings: ["/bin/sh", "-c", "echo no such luck >&2; exit 1"]  # noqa: ARG005
    with pytest.raises(EngineFailed, match="no such luck"):
        await engine.run()
    assert engine.ended == "status 1"


@pytest.mark.skipif(not has_native_engine(), reason="the native engine is not built")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (EngineSettings(rtp_address="203.0.113.9"), "the RTP address 203.0.113.9 can't be used"),
        (EngineSettings(rtp_ports=(20_001, 20_002)), "20001-20002 holds no even port"),
        (EngineSettings(threads=0), "the number of threads"),
    ],
    ids=["address", "ports", "threads"],
)
async def test_settings_that_cannot_be_used_are_named_at_the_first_start(
    tmp_path: Path, settings: EngineSettings, named: str
):
    engine = EngineProcess(tmp_path, settings, "1")
    with pytest.raises(EngineFailed, match=named) as failed:
        await engine.run()
    assert engine.started == 1
    assert str(failed.value).count("\n") == 0


@pytest.mark.skipif(not has_native_engine(), reason="the native engine is not built")
async def test_a_port_for_browsers_that_is_taken_is_named_with_what_to_do(tmp_path: Path):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        engine = EngineProcess(tmp_path, EngineSettings(rtp_address="127.0.0.1", webrtc_port=port), "1")
        with pytest.raises(EngineFailed, match=rf"the WebRTC port {port} .*take another port: --webrtc-port"):
            await engine.run()


async def test_the_link_comes_back_when_the_engine_does(tmp_path: Path):
    engine = process(tmp_path)
    link = EngineLink(lambda recording, part: f"{recording}-{part}")
    heard: asyncio.Queue[str] = asyncio.Queue()
    errors: list[MediaError] = []

    def on_change() -> None:
        for event in link.events():
            heard.put_nowait(type(event).__name__)

    connecting = asyncio.create_task(EngineConnection(engine.socket, link, on_change, errors.append).run())
    async with running(engine) as changes:
        pid = await changes.get()
        assert pid is not None
        assert await heard.get() == "EngineReady"
        os.kill(pid, signal.SIGKILL)
        assert [await heard.get(), await heard.get()] == ["EngineLost", "EngineReady"]
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
    await engine.stop()
    assert errors == []
