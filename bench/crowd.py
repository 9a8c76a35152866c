"""Many phones in one process: `crowd.py HOST:PORT LEGS CONFERENCE...` calls, talks and listens until stdin ends.

Legs are dealt to the conferences in turn; the first three of each conference talk, the others send silence. All share
one SIP endpoint and one RTP socket; a leg is known by the server's port. Prints a line of JSON once everybody is in,
and one for each line read: `reset` counts anew, `report` says what was heard since. Counted as heard is a packet that
is not digital silence, so everyone should hear one every 20 ms.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import sys
import time

import uvloop

from plenary.sip import events as sip
from plenary.sip.config import EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.testing import g711, sdp
from plenary.testing.sdp import Media
from plenary.testing.tones import tone
from plenary.testing.voice import Packets

TALKERS = 3
CALLS_PER_S = 100
SET_UP_S = 20.0
FRAME = 160
STEPS = 10
"""Parts of 20 ms in which packets leave."""
RECEIVE_BUFFER = 4 * 1024 * 1024
SILENCE = b"\xff" * FRAME
TONES_HZ = (400, 650, 950)


class Leg:
    def __init__(self, number: int, seat: int) -> None:
        self.number = number
        self.sound = (
            g711.encode("PCMU", tone(TONES_HZ[seat], 0.02)) if seat < TALKERS and seat < len(TONES_HZ) else SILENCE
        )
        self.server: tuple[str, int] | None = None
        self.sent = 0
        self.last: float | None = None
        self.longest_s = 0.0
        self.packets = 0

    def packet(self) -> bytes:
        self.sent += 1
        head = b"\x80\x00" + (self.sent & 0xFFFF).to_bytes(2, "big") + (self.sent * FRAME).to_bytes(4, "big")
        return head + (self.number + 1).to_bytes(4, "big") + self.sound

    def heard(self, now: float) -> None:
        if self.last is not None:
            self.longest_s = max(self.longest_s, now - self.last)
        self.last = now
        self.packets += 1


class Crowd:
    def __init__(self, server: str, legs: int, conferences: list[str]) -> None:
        self.server = server
        self.legs = {f"leg{number}": Leg(number, number // len(conferences)) for number in range(legs)}
        self.conferences = conferences
        self.by_port: dict[int, Leg] = {}
        self.ended = 0
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.rtp.bind(("127.0.0.1", 0))
        self.rtp.setblocking(False)
        self.timer: asyncio.TimerHandle | None = None

    async def enter(self) -> None:
        """Returns when everybody is in. Raises TimeoutError."""
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.rtp, self.listen)
        self.udp, _ = await self.loop.create_datagram_endpoint(
            lambda: Packets(self.receive), local_addr=("127.0.0.1", 0)
        )
        port = self.udp.get_extra_info("sockname")[1]
        config = EndpointConfig(listeners=(Listener("127.0.0.1", port),), server_name="plenary-bench")
        self.endpoint = Endpoint(config, secrets.token_hex, secrets.token_bytes(16))
        self.talking = asyncio.create_task(self.talk())
        for name, leg in self.legs.items():
            to = f"sip:{self.conferences[leg.number % len(self.conferences)]}@{self.server}"
            self.endpoint.invite(name, to, self.describe(1), name, self.loop.time(), source=f"sip:{name}@127.0.0.1")
            self.pump()
            await asyncio.sleep(1 / CALLS_PER_S)
        async with asyncio.timeout(SET_UP_S):
            while not all(leg.packets for leg in self.legs.values()):
                await asyncio.sleep(0.02)

    def describe(self, version: int) -> str:
        return Media("127.0.0.1", self.rtp.getsockname()[1], ("PCMU",)).write(version)

    async def talk(self) -> None:
        step, due = 0, self.loop.time()
        everybody = list(self.legs.values())
        while True:
            for leg in everybody[step % STEPS :: STEPS]:
                if leg.server is not None:
                    with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                        self.rtp.sendto(leg.packet(), leg.server)
            step += 1
            due += 0.02 / STEPS
            await asyncio.sleep(max(0.0, due - self.loop.time()))

    def listen(self) -> None:
        now = time.monotonic()
        for _ in range(500):
            try:
                packet, source = self.rtp.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                return
            leg = self.by_port.get(source[1])
            if leg is not None and len(packet) == 12 + FRAME and packet[12:] != SILENCE:
                leg.heard(now)

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        self.endpoint.receive(data, source, self.loop.time())
        self.pump()

    def fire(self) -> None:
        self.endpoint.fire(self.loop.time())
        self.pump()

    def pump(self) -> None:
        while events := self.endpoint.events():
            for event in events:
                self.handle(event)
        self.endpoint.changed()
        for datagram in self.endpoint.datagrams():
            self.udp.sendto(datagram.data, datagram.destination)
        if self.timer is not None:
            self.timer.cancel()
        due = self.endpoint.timeout()
        self.timer = None if due is None else self.loop.call_at(due, self.fire)

    def handle(self, event: sip.SipEvent) -> None:
        match event:
            case sip.Progressed() | sip.Answered() | sip.Acked() if event.sdp:
                self.use(event.call, event.sdp)
            case sip.Offered():
                if event.sdp:
                    self.use(event.call, event.sdp)
                self.endpoint.answer_offer(event.call, self.describe(2), self.loop.time())
            case sip.Ended() | sip.Refused():
                self.ended += 1
            case _:
                pass

    def use(self, call: str, description: str) -> None:
        leg, peer = self.legs[call], sdp.read(description)
        leg.server = (peer.host, peer.port)
        self.by_port[peer.port] = leg

    def answer(self, question: str) -> dict[str, object]:
        now = time.monotonic()
        legs = self.legs.values()
        if question == "reset":
            for leg in legs:
                leg.longest_s, leg.packets = 0.0, 0
            return {}
        gaps = sorted(max(leg.longest_s, now - (leg.last or 0.0)) for leg in legs)
        return {
            "legs": len(self.legs),
            "ended": self.ended,
            "longest_gap_ms": 1000 * gaps[-1],
            "silent_now": sum(now - (leg.last or 0.0) > 0.1 for leg in legs),
            "packets": sum(leg.packets for leg in legs),
        }


async def main() -> None:
    server, legs, *conferences = sys.argv[1:]
    crowd = Crowd(server, int(legs), conferences)
    await crowd.enter()
    say(crowd.answer("report"))
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(crowd.answer(line.strip()))
    for name in crowd.legs:
        crowd.endpoint.hang_up(name, crowd.loop.time())
    crowd.pump()
    await asyncio.sleep(0.2)


def say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
