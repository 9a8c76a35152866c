"""HTTP clients that take their time, and many of them."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from serving import serving_in_here

from plenary import patience

HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "
HALF_BODY = b"POST /v1.0/conferences HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"


@contextlib.contextmanager
def connected(where: str, number: int, sent: bytes) -> Generator[list[socket.socket]]:
    host, _, port = where.partition(":")
    with contextlib.ExitStack() as closing:
        found: list[socket.socket] = []
        for _ in range(number):
            one = closing.enter_context(socket.create_connection((host, int(port)), timeout=5))
            one.sendall(sent)
            found.append(one)
        yield found


async def test_half_a_request_holds_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither a head nor a body that never ends; who is between two requests, or waits for an answer, is left alone."""
    monkeypatch.setattr(patience, "REQUEST_S", 0.5)
    async with serving_in_here(tmp_path / "data") as (_, server):
        await server.create()
        poll = asyncio.create_task(server.get("/events?after=1000000&wait_s=2"))
        with (
            connected(server.http, 3, HALF) as heads,
            connected(server.http, 3, HALF_BODY) as bodies,
            connected(server.http, 1, HALF[:-5] + b"\r\n") as whole,
        ):
            await asyncio.sleep(1.5)
            for one in heads + bodies:
                with contextlib.suppress(ConnectionResetError):
                    while one.recv(4000):  # raises TimeoutError if it is still open
                        pass
            assert whole[0].recv(100).startswith(b"HTTP/1.1 200")
            whole[0].sendall(HALF[:-5] + b"\r\n")
            assert (await asyncio.to_thread(whole[0].recv, 4000)) != b""
        assert (await poll)["result"] == []


async def test_four_hundred_half_requests_shut_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """More than connections are allowed: those that have been waited for longest give way."""
    monkeypatch.setattr(patience, "CONNECTIONS_MAX", 100)
    patience.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1000
    async with serving_in_here(tmp_path / "data") as (_, server):
        poll = asyncio.create_task(server.get("/events?after=1000000&wait_s=1"))
        await asyncio.sleep(0.1)

        def crowd() -> None:
            with connected(server.http, 400, HALF):
                over.wait_for_it()

        class Over:
            def __init__(self) -> None:
                self.read, self.write = socket.socketpair()

            def wait_for_it(self) -> None:
                self.read.recv(1)

        over = Over()
        crowded = asyncio.create_task(asyncio.to_thread(crowd))
        await asyncio.sleep(0.7)
        assert (await server.create())["id"]
        assert (await poll)["result"] == []
        over.write.send(b"x")
        await crowded
