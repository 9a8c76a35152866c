"""Engines under test: the fake one, served in the test's own loop, and the native one, a process."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from plenary.media import messages as wire
from plenary.media.fake import FakeEngine
from plenary.media.fake_socket import serve
from plenary.testing import tone
from plenary.testing.engine import EngineClient, native_engine
from plenary.testing.g711 import encode
from plenary.testing.rtp import FRAME_S, RtpSender
from ports import free_ports

Engine = Callable[..., AbstractAsyncContextManager[Path]]
"""Runs an engine while a block runs; gives the socket it listens at."""


@contextlib.asynccontextmanager
async def fake(data: Path, orphan_timeout_s: int = 10) -> AsyncGenerator[Path]:
    data.mkdir(exist_ok=True)
    async with serve(FakeEngine(orphan_timeout_s=orphan_timeout_s), data / "engine.sock"):
        yield data / "engine.sock"


@contextlib.asynccontextmanager
async def native(data: Path, orphan_timeout_s: int = 10) -> AsyncGenerator[Path]:
    first = free_ports(100)
    async with native_engine(data, (first, first + 97), orphan_timeout_s, webrtc_port=first + 98) as process:
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


def browser_offer(ufrag: str = "4ZcD", fingerprint: str = "AB") -> str:
    """As Chromium makes it, of one audio stream."""
    lines = [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        "a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZq",
        f"a=fingerprint:sha-256 {':'.join([fingerprint] * 32)}",
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:110 telephone-event/48000",
    ]
    return "\r\n".join(lines) + "\r\n"


def media_port(sdp: str) -> str:
    return next(line.split()[1] for line in sdp.splitlines() if line.startswith("m=audio"))


async def open_leg(client: EngineClient, leg: str, sdp: str | None = None, **fields: object) -> wire.LegAnswered:
    client.send(wire.OpenLeg(leg=leg, sdp=sdp or offer(), **fields))  # type: ignore[arg-type]
    return await client.expect(wire.LegAnswered, leg=leg)


@contextlib.asynccontextmanager
async def talking(client: EngineClient, leg: str) -> AsyncGenerator[None]:
    """Opens a leg whose peer says a tone while the block runs. The fake engine hears nothing, and needs nothing."""
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        answered = await open_leg(client, leg, offer(rtp.getsockname()[1]))
        talker = asyncio.create_task(talk(rtp, int(media_port(answered.sdp))))
        try:
            yield
        finally:
            talker.cancel()
            await asyncio.wait([talker])


async def talk(rtp: sockets.socket, port: int) -> None:
    sender, payload = RtpSender(ssrc=1), encode("PCMU", tone(400, FRAME_S))
    while True:
        with contextlib.suppress(OSError):  # nobody listens where the fake engine says that it does
            rtp.sendto(sender.packet(0, payload), ("127.0.0.1", port))
        sender.advance()
        await asyncio.sleep(FRAME_S)
