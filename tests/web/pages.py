"""A whole server in this process, with an engine without sound in one of its own; and pages that ask it over HTTP."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import plenary.server
from plenary.config import Config, Settings
from plenary.core.ids import stamp
from plenary.media.process import EngineProcess, EngineSettings
from plenary.running import RunningServer, running
from plenary.web import tokens
from ports import free_port

POLL_S = 0.02
KEY = "pk_for_the_tests_only"
ENGINE = """
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
FINGERPRINTS = (":".join([f"{number:02X}"] * 32) for number in itertools.count(1))


def fake_engine(socket: Path, settings: EngineSettings) -> list[str]:
    del settings
    return [sys.executable, "-c", ENGINE, str(socket)]


def an_offer(direction: str = "sendrecv", codecs: str = "opus/48000/2") -> str:
    """As a browser makes it, of one audio stream. Each is of another certificate: a page that was loaded anew."""
    return "\r\n".join(
        (
            "v=0", "o=- 46117 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 126", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
            "a=ice-ufrag:4ZcD", "a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZq", f"a=fingerprint:sha-256 {next(FINGERPRINTS)}",
            "a=setup:actpass", "a=mid:0", f"a={direction}", "a=rtcp-mux", f"a=rtpmap:111 {codecs}",
            "a=rtpmap:126 telephone-event/8000", "",
        )
    )  # fmt: skip


class House:
    """A running server; `rest` asks with the access key."""

    def __init__(self, server: RunningServer, base: str) -> None:
        self.server = server
        self.base = base
        self.rest = httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {KEY}"}, timeout=20.0)

    async def conference(self, **fields: Any) -> str:
        answer = await self.rest.post("/v1.0/conferences", json={"type": "conference", **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    async def page(self, conference: str, **token: Any) -> "Page":
        answer = await self.rest.post(f"/v1.0/conferences/{conference}/tokens", json=token)
        assert answer.status_code == 201, answer.text
        return Page(self.base, conference, answer.json())

    async def expire(self, page: "Page") -> None:
        """The time of the page's token is up."""
        server = self.server.server
        found = server.store.join_token(page.token["id"])
        assert found is not None
        over = msgspec.structs.replace(found, tm_expire=stamp(1))
        await server.write(server.store.change_join_token, over)
        page.http.headers["authorization"] = f"Bearer {tokens.sign(over, 1, server.join_key)}"

    async def kill_engine(self) -> None:
        """Returns when another one is there."""
        engine, before = self.server.server.engine, self.server.server.engine.started
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        while engine.started == before:
            await asyncio.sleep(POLL_S)
        await self.server.ready()


class Page:
    """What a join page does, without sound."""

    def __init__(self, base: str, conference: str, token: dict[str, Any], seat: str = "a-random-seat") -> None:
        self.token = token
        self.conference = f"/v1.0/conferences/{conference}"
        self.seat = seat
        self.where = ""
        headers = {"authorization": f"Bearer {token['token']}"}
        self.http = httpx.AsyncClient(base_url=base, headers=headers, timeout=20.0)

    def at(self, where: str) -> "Page":
        """It has joined already."""
        self.where = where
        return self

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, path, **options)

    async def offer(self, method: str, path: str, sdp: str, **headers: str) -> httpx.Response:
        headers["content-type"] = "application/sdp"
        return await self.ask(method, path, content=sdp, headers=headers)

    async def join(self, sdp: str = "", name: str = "") -> httpx.Response:
        query = f"?name={name}" if name else ""
        answer = await self.offer("POST", f"{self.conference}/join{query}", sdp or an_offer(), Seat=self.seat)
        if answer.status_code == 201:
            self.where = answer.headers["location"]
        return answer

    async def restart(self) -> httpx.Response:
        return await self.offer("PATCH", self.where, an_offer())

    async def look(self, since: str = "", wait_s: int = 0) -> dict[str, Any]:
        query = {"call_id": self.where.rpartition("/")[2], "since": since, "wait_s": str(wait_s)}
        answer = await self.ask("GET", f"{self.conference}/participants", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, **you: Any) -> dict[str, Any]:
        """Watches, as pages do, until it stands so with it."""
        seen = await self.look()
        while any(seen["you"][name] != value for name, value in you.items()):
            seen = await self.look(seen["version"], 10)
        return seen


@contextlib.asynccontextmanager
async def a_house(data: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncGenerator[House]:
    monkeypatch.setattr(plenary.server, "EngineProcess", partial(EngineProcess, command=fake_engine))
    http, sip = free_port(), free_port()
    config = Config.from_settings(
        Settings(http=f"127.0.0.1:{http}", sip=(f"127.0.0.1:{sip}",), data=data, access_key=KEY, **settings)
    )
    async with running(config) as server:
        yield House(server, f"http://127.0.0.1:{http}")
