"""The kit's phone and network with the SIP endpoint of the server."""

import asyncio
import itertools

import pytest

from plenary.sip import events as sip
from plenary.sip.config import EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.testing import CallRefused, Clock, Network, Path, Phone
from plenary.testing.sdp import Media
from plenary.testing.voice import Packets

ANN, BOB = ("10.0.0.1", 5060), ("10.0.0.2", 5060)
SDP = Media("10.0.0.1", 4000).write(1)


def endpoint(address: tuple[str, int]) -> Endpoint:
    numbers = itertools.count()
    config = EndpointConfig(listeners=(Listener(*address),))
    return Endpoint(config, lambda: f"{address[0]}-{next(numbers)}", b"secret")


@pytest.mark.parametrize("seed", range(20))
def test_a_call_is_set_up_and_ended_over_a_lossy_network(seed: int):
    """RFC 3261 section 17: retransmissions outlive what the network does."""
    clock, network = Clock(), Network(seed, Path(loss=0.3, jitter_s=0.2, duplicated=0.1))
    network.join(clock)
    ann, bob = endpoint(ANN), endpoint(BOB)
    network.attach(ANN, ann)
    network.attach(BOB, bob)
    ann.invite("call", f"sip:bob@{BOB[0]}", SDP, "Ann", clock.now)
    clock.run(10.0)
    (invited,) = bob.events()
    bob.answer(invited.call, SDP, clock.now)
    clock.run(20.0)
    assert isinstance(ann.events()[-1], sip.Answered)
    bob.hang_up(invited.call, clock.now)
    clock.run(60.0)
    assert ann.events() == [sip.Ended("call", "bye")]


async def challenging(password: str) -> str:
    """The user that a phone with this password proves to be, to an endpoint that wants proof."""
    loop, numbers = asyncio.get_running_loop(), itertools.count()
    proven: asyncio.Future[str] = loop.create_future()
    packets = Packets()
    transport, _ = await loop.create_datagram_endpoint(lambda: packets, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    config = EndpointConfig(listeners=(Listener("127.0.0.1", port),), users={"ann": "secret"}, anonymous=False)
    server = Endpoint(config, lambda: f"s{next(numbers)}", b"secret")

    def on_packet(data: bytes, source: tuple[str, int]) -> None:
        server.receive(data, source, loop.time())
        for event in server.events():
            if isinstance(event, sip.Invited):
                proven.set_result(event.username or "")
                server.refuse(event.call, 486, "", loop.time())
        for datagram in server.datagrams():
            transport.sendto(datagram.data, datagram.destination)

    packets.on_packet = on_packet
    async with Phone("ann", password=password) as ann:
        try:
            await ann.call(f"sip:meeting@127.0.0.1:{port}")
        except CallRefused as refused:
            return proven.result() if proven.done() else str(refused.status)
        finally:
            transport.close()
    raise AssertionError("the call was neither refused nor proven")


@pytest.mark.parametrize(("password", "outcome"), [("secret", "ann"), ("guess", "403"), ("", "401")])
async def test_a_phone_proves_who_it_is_with_its_password(password: str, outcome: str):
    """RFC 3261 section 22.2."""
    assert await challenging(password) == outcome
