"""`plenary serve` as its users start it: a process with its own data folder and ports."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx

KEY = "pk_for_the_tests_only"
START_S = 15.0
rtp_ranges = itertools.count(40_000, 100)
phone_ports = itertools.count(18_000, 40)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """A server process; `rest` speaks to its API with the key of the default customer."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.options = options
        self.http = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        self.sip = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        first = next(rtp_ranges)
        self.rtp_ports = f"{first}-{first + 99}"
        self.rest = httpx.AsyncClient(
            base_url=f"http://{self.http}/v1.0", headers={"Authorization": f"Bearer {KEY}"}, timeout=20.0
        )

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "plenary", "serve", "--data", str(self.data), "--http", self.http, "--sip", self.sip,
            "--rtp-ports", self.rtp_ports, "--media-threads", "1", "--orphan-timeout", "10", *self.options,
        ]  # fmt: skip

    async def start(self) -> None:
        """Returns when calls can be taken."""
        self.process = subprocess.Popen(
            self.command(),
            env=os.environ | {"PLENARY_ACCESS_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.data.with_suffix(".log").open("ab"),
        )
        async with asyncio.timeout(START_S):
            while True:
                assert self.process.poll() is None, self.data.with_suffix(".log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await self.rest.get(f"http://{self.http}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """kill -9: no farewell of any kind. The media engine lives on."""
        self.process.kill()
        self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 15)

    def engine_pid(self) -> int:
        import msgspec

        return msgspec.json.decode((self.data / "engine.json").read_bytes())["pid"]

    # --- REST

    async def create(self, **body: Any) -> dict[str, Any]:
        answer = await self.rest.post("/conferences", json={"type": "conference"} | body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def conference(self, id: str) -> dict[str, Any]:
        return (await self.rest.get(f"/conferences/{id}")).json()

    async def events(self, id: str) -> list[dict[str, Any]]:
        return (await self.rest.get("/events", params={"after": 0, "limit": 1000, "conference_id": id})).json()[
            "result"
        ]

    async def until(self, id: str, **fields: Any) -> dict[str, Any]:
        """The conference, once these fields have these values; a function as value says whether it is content."""
        async with asyncio.timeout(15):
            while True:
                found = await self.conference(id)
                if all(want(found[name]) if callable(want) else found[name] == want for name, want in fields.items()):
                    return found
                await asyncio.sleep(0.03)

    async def until_inside(self, id: str, number: int) -> list[str]:
        return (await self.until(id, conferencecall_ids=lambda ids: len(ids) == number))["conferencecall_ids"]

    async def until_recording_ended(self, id: str) -> dict[str, Any]:
        async with asyncio.timeout(15):
            while (found := (await self.rest.get(f"/recordings/{id}")).json())["status"] != "ended":
                await asyncio.sleep(0.03)
        return found


@contextlib.asynccontextmanager
async def serving(data: Path, *options: str) -> AsyncGenerator[Serving]:
    """A server that is ready, and ended with all that belongs to it after the block."""
    server = Serving(data, *options)
    try:
        await server.start()
        yield server
    finally:
        if server.process.poll() is None:
            await server.terminate()
        with contextlib.suppress(OSError, KeyError):
            os.kill(server.engine_pid(), signal.SIGTERM)
        await server.rest.aclose()


def talk(text: str) -> dict[str, Any]:
    return {"type": "talk", "option": {"text": text, "gender": "female", "language": "en-US"}}
