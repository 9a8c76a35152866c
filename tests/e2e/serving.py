"""`plenary serve` as its users start it: a process with its own data folder and ports."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import IO, Any

import httpx
import msgspec

from plenary.config import Config, Settings
from plenary.running import RunningServer, running
from ports import free_port, free_ports

KEY = "pk_for_the_tests_only"
START_S = 40.0
UNTIL_S = 12.0
POLL_S = 0.03
RTP_PORTS = 98


class Serving:
    """A server process; `rest` speaks to its API with the key of the default customer."""

    def __init__(self, data: Path, *options: str, orphan_timeout_s: float = 10.0) -> None:
        self.data = data
        self.options = ("--orphan-timeout", str(orphan_timeout_s), *options)
        self.http = f"127.0.0.1:{free_port()}"
        self.sip = f"127.0.0.1:{free_port()}"
        first = free_ports(RTP_PORTS + 1)
        self.rtp_ports = f"{first}-{first + RTP_PORTS - 1}"
        self.webrtc_port = first + RTP_PORTS
        self.connect()

    def connect(self) -> None:
        """A new client: one belongs to the event loop that it was first used in."""
        self.rest = httpx.AsyncClient(
            base_url=f"http://{self.http}/v1.0", headers={"Authorization": f"Bearer {KEY}"}, timeout=20.0
        )

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "plenary", "serve", "--data", str(self.data), "--http", self.http, "--sip", self.sip,
            "--rtp-ports", self.rtp_ports, "--webrtc-port", str(self.webrtc_port), "--media-threads", "1",
            "--recording-rate", "8000", *self.options,
        ]  # fmt: skip

    async def start(self, log: IO[bytes] | None = None) -> None:
        """Returns when calls can be taken. `log`: what it says goes there, and not into a file beside the data."""
        # In a thread, as is whatever else takes its time: the phones in this process must not falter.
        self.process = await asyncio.to_thread(
            subprocess.Popen,
            self.command(),
            env=os.environ | {"PLENARY_ACCESS_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log or self.data.with_suffix(".log").open("ab"),
        )
        async with asyncio.timeout(START_S):
            while True:
                assert self.process.poll() is None, self.data.with_suffix(".log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    if (await self.rest.get(f"http://{self.http}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """kill -9: no farewell of any kind. The media engine lives on."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 15)

    async def end(self) -> None:
        """Whatever has happened: nothing of it is left after this."""
        if self.process.poll() is None:
            await self.terminate()
        with contextlib.suppress(OSError):
            os.kill(self.engine_pid(), signal.SIGTERM)

    def engine_pid(self) -> int:
        return msgspec.json.decode((self.data / "engine.json").read_bytes())["pid"]

    # --- REST

    async def create(self, **body: Any) -> dict[str, Any]:
        answer = await self.rest.post("/conferences", json={"type": "conference"} | body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.rest.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def metric(self, name: str) -> float:
        text = (await self.rest.get(f"http://{self.http}/metrics")).text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def conference(self, id: str) -> dict[str, Any]:
        return (await self.rest.get(f"/conferences/{id}")).json()

    async def events(self, id: str) -> list[dict[str, Any]]:
        return (await self.rest.get("/events", params={"after": 0, "limit": 1000, "conference_id": id})).json()[
            "result"
        ]

    async def until(self, id: str, **fields: Any) -> dict[str, Any]:
        """The conference, once these fields have these values; a function as value says whether it is content."""
        return await self.until_is(f"/conferences/{id}", **fields)

    async def until_is(self, path: str, **fields: Any) -> dict[str, Any]:
        """The same for anything that can be read."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(UNTIL_S):
                while True:
                    found = await self.get(path)
                    if all(_is(found[name], want) for name, want in fields.items()):
                        return found
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"{path} has not become {fields}: {found}") from None

    async def until_inside(self, id: str, number: int) -> list[str]:
        return (await self.until(id, conferencecall_ids=lambda ids: len(ids) == number))["conferencecall_ids"]

    async def until_recording_ended(self, id: str) -> dict[str, Any]:
        return await self.until_is(f"/recordings/{id}", status="ended")


@contextlib.asynccontextmanager
async def serving(data: Path, *options: str, orphan_timeout_s: float = 10.0) -> AsyncGenerator[Serving]:
    """A server that is ready, and ended with all that belongs to it after the block."""
    server = Serving(data, *options, orphan_timeout_s=orphan_timeout_s)
    try:
        await server.start()
        yield server
    finally:
        await server.end()
        await server.rest.aclose()


@contextlib.asynccontextmanager
async def serving_in_here(data: Path) -> AsyncGenerator[tuple[RunningServer, Serving]]:
    """The same in this process, where its parts can be looked into and broken."""
    where = Serving(data)
    settings = Settings(
        http=where.http,
        sip=(where.sip,),
        data=data,
        rtp_ports=where.rtp_ports,
        webrtc_port=where.webrtc_port,
        media_threads=1,
        recording_rate=8000,
        access_key=KEY,
    )
    async with where.rest, running(Config.from_settings(settings)) as server:
        yield server, where


def _is(value: Any, want: Any) -> bool:
    return bool(want(value)) if callable(want) else value == want


async def until(true: Callable[[], Any], what: str, timeout_s: float = UNTIL_S) -> None:
    """Returns when `true()` is."""
    try:
        async with asyncio.timeout(timeout_s):
            while not true():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s} s: {what}") from None


def is_running(pid: int) -> bool:
    """A zombie is none: who should reap it may be gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def talk(text: str) -> dict[str, Any]:
    return {"type": "talk", "option": {"text": text, "gender": "female", "language": "en-US"}}
