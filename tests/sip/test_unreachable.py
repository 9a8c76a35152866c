"""What can't be sent at all ends at once, instead of after 32 seconds of silence (RFC 3261 section 8.1.3.1)."""

import asyncio

import pytest
import uvloop
from phone import OTHER_SDP, SDP, Bench, shown

from plenary.sip.adapter import SipUdp
from plenary.sip.config import Datagram, Flow
from plenary.sip.events import Ended, OfferRefused, Refused
from plenary.sip.uri import is_host

NOWHERE = ("nowhere.example", 5060)
WHY = "nowhere.example does not resolve"


def test_a_call_whose_host_does_not_resolve_is_refused_at_once():
    bench = Bench()
    bench.outgoing(target="sip:bob@nowhere.example")
    assert bench.do("unreachable", NOWHERE, WHY) == []
    assert bench.events == [Refused("c1", 503, WHY)]
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})


def test_calls_to_other_hosts_go_on():
    bench = Bench()
    invite = bench.outgoing()
    bench.do("unreachable", NOWHERE, WHY)
    bench.do("unreachable", ("192.0.2.7", 5070), WHY)
    assert shown(bench.take(bench.reply(invite, 200, body=SDP))) == ["ACK"]
    assert bench.story == ["Answered"]


def test_a_call_that_was_cancelled_meanwhile_ends_once():
    bench = Bench()
    bench.outgoing(target="sip:bob@nowhere.example")
    bench.do("hang_up", "c1")
    bench.do("unreachable", NOWHERE, WHY)
    assert bench.events == [Ended("c1", "cancel")]
    assert bench.endpoint.calls == 0


def test_within_a_call_an_offer_fails_and_a_bye_is_done():
    """The host of the peer's Contact may be any name."""
    bench = Bench()
    bench.take(bench.reply(bench.outgoing(), 200, body=SDP, contact="<sip:bob@nowhere.example>"))
    bench.do("send_offer", "c1", OTHER_SDP)
    bench.do("unreachable", NOWHERE, WHY)
    assert bench.events[-1] == OfferRefused("c1", 503)
    assert shown(bench.do("hang_up", "c1")) == ["BYE"]
    bench.do("unreachable", NOWHERE, WHY)
    assert bench.endpoint.calls == 0


@pytest.mark.parametrize(
    "host",
    ["...", "a..b", "999.1.1.1", "1.2.3", "-a.example", "a" * 64, "a." * 127 + "aa", "0:0:0", "b;maddr=a..b"],
)
def test_a_target_whose_host_can_be_none_is_refused_at_once(host):
    bench = Bench()
    target = f"sip:bob@[{host}]" if ":" in host else f"sip:bob@{host}"
    bench.endpoint.invite("c1", target, SDP, "", 0.0)
    assert bench.drain() == []
    assert bench.told(Refused).status == 400


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_target_with_an_impossible_port_is_refused_at_once(port):
    bench = Bench()
    bench.endpoint.invite("c1", f"sip:bob@192.0.2.7:{port}", SDP, "", 0.0)
    assert bench.drain() == []
    assert bench.told(Refused).status == 400


@pytest.mark.parametrize(
    "host", ["a", "a.example.", "xn--bcher-kva.example", "a_b.example", "192.0.2.1", "2001:db8::1"]
)
def test_names_and_addresses_are_hosts(host):
    assert is_host(host)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64, "2001:db8::1"])
async def test_the_socket_tells_of_what_it_cannot_send(host):
    """Names that no resolver takes, and an address of the family that the socket does not have."""
    told: asyncio.Queue[tuple[tuple[str, int], str]] = asyncio.Queue()
    udp = await SipUdp.listen("127.0.0.1", 0, lambda *_: None, lambda where, why: told.put_nowait((where, why)))
    udp.send(Datagram(b"x", Flow(udp.address, (host, 5060))))
    destination, reason = await asyncio.wait_for(told.get(), 5)
    udp.close()
    assert destination == (host, 5060)
    assert host in reason


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_socket_on_loopback_tells_that_nothing_leads_outside(loop):
    """With either event loop, as each has sockets of its own."""

    async def story() -> tuple[tuple[str, int], str]:
        told: asyncio.Queue[tuple[tuple[str, int], str]] = asyncio.Queue()
        udp = await SipUdp.listen("127.0.0.1", 0, lambda *_: None, lambda where, why: told.put_nowait((where, why)))
        udp.send(Datagram(b"x", Flow(udp.address, ("192.0.2.7", 5060))))
        found = await asyncio.wait_for(told.get(), 5)
        udp.close()
        return found

    with asyncio.Runner(loop_factory=loop) as runner:
        destination, reason = runner.run(story())
    assert destination == ("192.0.2.7", 5060)
    assert "192.0.2.7 can't be reached from 127.0.0.1" in reason


@pytest.mark.anyio
async def test_the_socket_resolves_names():
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    udp = await SipUdp.listen(
        "127.0.0.1", 0, lambda data, *_: arrived.put_nowait(data), lambda _, why: pytest.fail(why)
    )
    udp.send(Datagram(b"x", Flow(udp.address, ("localhost", udp.address[1]))))
    assert await asyncio.wait_for(arrived.get(), 5) == b"x"
    udp.close()
