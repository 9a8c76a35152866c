"""Bad input of every kind, while two phones talk: a clear error, nothing left behind, and they notice nothing."""

import asyncio
import contextlib
import random
import runpy
import socket
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hearing import Listening, hear_each_other, humming, into_room
from serving import POLL_S, UNTIL_S, Serving, talk

from plenary.testing import g711
from plenary.testing.phone import Phone
from plenary.testing.rtp import FRAME_SAMPLES, RtpSender
from plenary.testing.tones import tone, tones_in

FIGURES = ("plenary_calls", "plenary_conferences", "plenary_engine_legs", "plenary_engine_rooms")
TORTURE = Path(__file__).parents[1] / "sip" / "torture" / "cases.py"
MESSAGES_OF_THE_RFC = Path(__file__).parents[3] / "shared" / "data" / "rfc4475"
STRANGER_HZ = 1500
SPRAYED = 2000
UNKNOWN = "00000000-0000-4000-8000-000000000404"


@contextlib.asynccontextmanager
async def undisturbed(server: Serving) -> AsyncGenerator[list[Phone]]:
    """Two phones that talk with each other before, meanwhile and after; and nothing more is there after than before."""
    async with humming("ann", "bob") as phones:
        room = (await server.create())["id"]
        await into_room(server, room, phones)
        await hear_each_other(*phones)
        before = await settled_figures(server)
        listening = Listening(*phones)
        yield phones
        await hear_each_other(*phones)
        listening.assert_no_gap()
        assert len((await server.conference(room))["conferencecall_ids"]) == 2
        try:
            async with asyncio.timeout(UNTIL_S):
                while (now := await figures(server)) != before:
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"left behind: {before} before, {now} after") from None
        await server.rest.delete(f"/conferences/{room}")
        await asyncio.gather(*(phone.ended for phone in phones))


async def figures(server: Serving) -> dict[str, float]:
    return {name: await server.metric(name) for name in FIGURES}


async def settled_figures(server: Serving) -> dict[str, float]:
    """The engine's come every other second: waits until they tell of all that the server knows."""
    async with asyncio.timeout(UNTIL_S):
        while True:
            found = await figures(server)
            calls, conferences, legs, rooms = found.values()
            if (legs, rooms) == (calls, conferences):
                return found
            await asyncio.sleep(POLL_S)


async def throw(address: tuple[str, int], datagrams: Iterable[bytes], pause_s: float = 0.0005) -> None:
    """Sends them from a port of a stranger, in a thread of its own."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            for datagram in datagrams:
                stranger.sendto(datagram, address)
                time.sleep(pause_s)

    await asyncio.to_thread(send)


def address_of(server: Serving) -> tuple[str, int]:
    host, _, port = server.sip.partition(":")
    return host, int(port)


async def test_malformed_signalling(server: Serving):
    """RFC 4475, and what is no SIP at all."""
    rng = random.Random(4475)
    own = [case.data for case in runpy.run_path(str(TORTURE), run_name="torture")["CASES"]]
    datagrams = own + [path.read_bytes() for path in sorted(MESSAGES_OF_THE_RFC.glob("*.dat"))]
    whole = own[0]
    datagrams += [whole[: rng.randrange(len(whole))] for _ in range(100)]
    datagrams += [damaged(rng, message) for message in own for _ in range(5)]
    datagrams += [rng.randbytes(rng.randrange(1, 1500)) for _ in range(300)]
    datagrams += [b"", b"\r\n\r\n", b"\0" * 1000, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n"]
    datagrams += [rng.randbytes(65_000) for _ in range(20)]
    datagrams += [b"INVITE sip:x@y SIP/2.0\r\n" + b"Via: SIP/2.0/UDP a;branch=z9hG4bKq\r\n" * 1800 for _ in range(5)]
    datagrams += [b"OPTIONS sip:" + b"a" * 64_000 + b" SIP/2.0\r\n\r\n", b"a:" * 32_000, b"(" * 65_000]
    rng.shuffle(datagrams)
    async with undisturbed(server):
        await throw(address_of(server), datagrams)
    assert await server.metric("plenary_engine_starts") == 1


async def test_large_bodies_from_many_at_once(server: Serving):
    """All of them in one turn of the server: more than it can tell the engine in one frame."""

    def invite(number: int) -> bytes:
        head = (
            f"INVITE sip:{UNKNOWN if number % 2 else room}@{server.sip} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKlarge{number}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:x@127.0.0.1>;tag={number}\r\nTo: <sip:{room}@127.0.0.1>\r\nCall-ID: large{number}\r\n"
            "CSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.1:9>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    body = b"\xff" * 16_384
    room = (await server.create())["id"]
    async with undisturbed(server):
        await throw(address_of(server), map(invite, range(1500)), pause_s=0.0)
    assert await server.metric("plenary_engine_starts") == 1


def damaged(rng: random.Random, message: bytes) -> bytes:
    copy = bytearray(message)
    for _ in range(rng.randrange(1, 8)):
        copy[rng.randrange(len(copy))] = rng.randrange(256)
    return bytes(copy)


async def test_sound_of_strangers(server: Serving):
    """Well-formed RTP and RTCP of a stranger is counted and not mixed, and takes nobody's call over."""
    async with undisturbed(server) as (ann, bob):
        sound = tone(STRANGER_HZ, 1.0, level_dbfs=-3.0)
        sender = RtpSender(ssrc=0xBAD)
        packets: list[bytes] = []
        for number in range(SPRAYED):
            at = number * FRAME_SAMPLES % (len(sound) - FRAME_SAMPLES)
            packets.append(sender.packet(0, g711.encode("PCMU", sound[at : at + FRAME_SAMPLES])))
            sender.advance()
        (host, port), (_, other) = ann.voice.peer_address, bob.voice.peer_address
        goodbye = bytes.fromhex("81cb0001") + sender.ssrc.to_bytes(4, "big")
        start = len(ann.heard().pcm)
        await asyncio.gather(
            throw((host, port), packets),
            throw((host, other), packets),
            throw((host, port + 1), [goodbye, *(random.Random(1).randbytes(60) for _ in range(200))]),
        )
        assert tones_in(ann.heard().pcm[start:][-8000:], [650, STRANGER_HZ]) == {650}
        assert tones_in(bob.heard().last(1.0), [440, STRANGER_HZ]) == {440}
        async with asyncio.timeout(UNTIL_S):
            while await server.metric("plenary_rtp_packets_from_strangers") < SPRAYED:
                await asyncio.sleep(POLL_S)


async def test_malformed_sound_of_a_phone_of_ours(server: Serving):
    """From the right address: what is no RTP, and RTP that lies about itself. The phone's own voice goes on."""
    rng = random.Random(3550)
    sender = RtpSender(ssrc=0xBAD)
    good = sender.packet(0, bytes(160))
    packets = [b"", b"\x80", good[:11], b"\x00" * 172, b"\xff" * 172, b"\xbf" + good[1:], b"\x90" + good[1:14]]
    packets += [b"\xa0" + good[1:-1] + b"\xff", b"\x8f" + good[1:20], good + bytes(1400), good[:12]]
    packets += [sender.packet(101, payload) for payload in (b"", b"\xff", b"\xff\xff\xff\xff", bytes(400))]
    packets += [sender.packet(kind, bytes(160)) for kind in range(1, 72)]
    packets += [rng.randbytes(rng.randrange(1, 400)) for _ in range(300)]
    packets += [bytes.fromhex("80c9ffff") + rng.randbytes(60), bytes.fromhex("81cb0001") + rng.randbytes(4)]
    async with undisturbed(server) as (ann, _):
        for packet in packets:
            ann.voice.send_raw(packet)
            if rng.random() < 0.2:
                await asyncio.sleep(0.005)


def conference(**fields: Any) -> dict[str, Any]:
    return {"type": "conference"} | fields


def action(**fields: Any) -> dict[str, Any]:
    return conference(pre_actions=[fields])


def nested(depth: int) -> Any:
    return [] if depth == 0 else [nested(depth - 1)]


BAD_BODIES: list[tuple[str, Any, int]] = [
    ("/conferences", [], 400),
    ("/conferences", "conference", 400),
    ("/conferences", {}, 400),
    ("/conferences", {"type": "party"}, 400),
    ("/conferences", conference(timeout=-1), 400),
    ("/conferences", conference(timeout="soon"), 400),
    ("/conferences", conference(timeout=1e300), 400),
    ("/conferences", conference(colour="blue"), 400),
    ("/conferences", conference(name=7), 400),
    ("/conferences", conference(name="x" * 100_000), 400),
    ("/conferences", conference(detail="x" * 100_000), 400),
    ("/conferences", conference(data=[1]), 400),
    ("/conferences", conference(data={"deep": nested(200)}), 400),
    ("/conferences", conference(pre_actions={}), 400),
    ("/conferences", action(), 400),
    ("/conferences", action(type="dance"), 400),
    ("/conferences", action(type="enter_room", option={"conference_id": UNKNOWN}), 400),
    ("/conferences", action(type="talk"), 400),
    ("/conferences", conference(pre_actions=[talk("x" * 100_000)]), 400),
    ("/conferences", action(type="talk", option={"text": "x", "volume": 11}), 400),
    ("/conferences", action(type="play", option={"stream_urls": ["file:///etc/passwd"]}), 400),
    ("/conferences", action(type="sleep", option={"duration": -1}), 400),
    ("/conferences", action(type="sleep", id="here"), 400),
    ("/conferences", conference(pre_actions=[{"type": "answer"}] * 1000), 400),
    ("/conferences", conference(settings={"aliases": ["a b"]}), 400),
    ("/conferences", conference(settings={"aliases": ["x" * 1000]}), 400),
    ("/calls", {}, 400),
    ("/calls", {"source": {"target": "a@b"}, "destinations": [], "actions": []}, 400),
    ("/calls", {"source": {"target": "a@b"}, "destinations": [{"target": "no address"}], "actions": []}, 400),
    ("/calls", {"source": {"target": "a@b"}, "destinations": [{"target": "x\r\nVia: y@z"}], "actions": []}, 400),
    (f"/conferences/{UNKNOWN}/recording_start", {}, 404),
    ("/conferences/nonsense/recording_start", {}, 400),
]

BAD_REQUESTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/conferences/nonsense", {}, 400),
    ("GET", f"/conferences/{UNKNOWN}", {}, 404),
    ("GET", f"/calls/{UNKNOWN}", {}, 404),
    ("DELETE", f"/conferencecalls/{UNKNOWN}", {}, 404),
    ("DELETE", f"/calls/{UNKNOWN}", {}, 404),
    ("GET", f"/recordingfiles/{UNKNOWN}", {}, 404),
    ("GET", "/recordingfiles/..%2f..%2fplenary.sqlite3", {}, 404),
    ("GET", "/nothing", {}, 404),
    ("PATCH", "/conferences", {}, 405),
    ("GET", "/conferences?page_size=0", {}, 400),
    ("GET", "/conferences?page_size=many", {}, 400),
    ("GET", "/conferences?page_token=nonsense", {}, 400),
    ("GET", "/conferences?colour=blue", {}, 400),
    ("GET", "/events?after=-1", {}, 400),
    ("GET", "/events?limit=1000000000", {}, 400),
    ("POST", "/conferences", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/conferences", {"content": b'{"type": "\xff"}', "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/conferences", {"content": b"type=conference"}, 415),
    ("POST", "/conferences", {"content": b"x" * 10_000_000, "headers": {"Content-Type": "application/json"}}, 413),
    ("POST", "/conferences", {"json": conference(), "headers": {"Authorization": "Bearer wrong"}}, 401),
    ("POST", "/conferences", {"json": conference(), "headers": {"Authorization": "Basic eDp5"}}, 401),
    ("GET", "/conferences", {"headers": {"Authorization": ""}}, 401),
    ("GET", "/conferences?accesskey=wrong", {"headers": {"Authorization": ""}}, 401),
]


async def test_requests_that_can_not_be_honoured(server: Serving):
    """RFC 9457: each error has a code, says what is wrong, and has changed nothing."""
    requests = [("POST", path, {"json": body}, status) for path, body, status in BAD_BODIES] + BAD_REQUESTS
    async with undisturbed(server):
        wrong: list[str] = []
        for method, path, arguments, status in requests:
            answer = await server.rest.request(method, path, **arguments)
            if said := complaint(answer, status):
                wrong.append(f"{method} {path} {str(arguments)[:80]}: {said}")
        assert wrong == []


def complaint(answer: httpx.Response, status: int) -> str:
    if answer.status_code != status or answer.headers["Content-Type"] != "application/problem+json":
        return f"{answer.status_code} instead of {status}: {answer.text[:300]}"
    problem = answer.json()
    told = problem["status"] == status and problem["code"] and problem["detail"] and problem["request_id"]
    return "" if told and "Traceback" not in answer.text and len(answer.content) < 2000 else answer.text[:300]


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "left open"])
async def test_requests_that_never_end(server: Serving, closed: bool):
    """Half a request on each of a hundred connections, and what is no HTTP: others are served as before."""
    host, _, port = server.http.partition(":")
    half = b"POST /v1.0/conferences HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    async with undisturbed(server):
        with contextlib.ExitStack() as connections:
            for number in range(100):
                one = connections.enter_context(socket.create_connection((host, int(port))))
                one.sendall(half if number % 2 else random.Random(number).randbytes(500))
                if closed:
                    one.close()
            assert (await server.rest.get("/conferences")).status_code == 200
