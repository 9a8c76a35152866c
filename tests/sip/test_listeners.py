"""Several listeners of one endpoint: what comes in by one goes out by it, and names it."""

import pytest
from phone import OTHER_SDP, PHONE, SDP, Bench, shown

from plenary.sip.config import Listener

INSIDE = Listener("10.0.0.2", 5060)
OUTSIDE = Listener("10.0.0.2", 5062, public_host="198.51.100.7")
ELSEWHERE = ("198.51.100.9", 40_000)


@pytest.fixture
def bench() -> Bench:
    return Bench(listeners=(INSIDE, OUTSIDE))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "OPTIONS"}, 200),
        ({"method": "MESSAGE"}, 405),
        ({"method": "BYE", "to": "<sip:room@10.0.0.2>;tag=none"}, 481),
        ({"method": "CANCEL"}, 481),
        ({"method": "INVITE", "headers": ("Max-Forwards: many",)}, 400),
        ({"method": "INVITE", "headers": ("Require: magic",)}, 420),
    ],
)
@pytest.mark.parametrize("listener", [INSIDE, OUTSIDE])
def test_a_refusal_leaves_where_the_request_came_in(bench, listener, request_, status):
    """RFC 3261 section 18.2.2, RFC 3581 section 4."""
    (answer,) = bench.take(bench.request(**request_), ELSEWHERE, listener.address)
    assert (answer.status, bench.left_by) == (status, [listener.address])


@pytest.mark.parametrize("listener", [INSIDE, OUTSIDE])
def test_all_of_a_call_goes_by_the_listener_that_it_came_in_by(bench, listener):
    """Responses of each kind, and requests of ours; Contact and Via lead to it."""
    call, ok = bench.established(listener.address)
    reached_at = f"{listener.advertised_host}:{listener.port}"
    assert str(ok.contacts[0].uri) == f"sip:room@{reached_at}"
    assert bench.endpoint.local_of(call) == listener.address
    (again,) = bench.do("send_offer", call, OTHER_SDP)
    assert (bench.left_by, str(again.contacts[0].uri)) == ([listener.address], f"sip:room@{reached_at}")
    assert (again.top_via.host, again.top_via.port) == (listener.advertised_host, listener.port)
    assert shown(bench.take(bench.reply(again, 200, tag="a1", body=SDP), local=listener.address)) == ["ACK"]
    assert bench.left_by == [listener.address]
    assert shown(bench.take(bench.within("UPDATE", ok, 2), local=listener.address)) == ["200 UPDATE"]
    assert bench.left_by == [listener.address]
    assert shown(bench.do("hang_up", call)) == ["BYE"]
    assert bench.left_by == [listener.address]


def test_what_is_repeated_is_repeated_there(bench):
    """100, 200 and BYE, each by its own timer."""
    bench.take(bench.invite(), local=OUTSIDE.address)
    assert [shown([message]) for _, message in bench.until(1.0)] == [["100 INVITE"]]
    assert bench.left_by == [OUTSIDE.address]
    call = bench.events[0].call
    bench.do("answer", call, SDP)
    sent = bench.until(40.0)
    assert {shown([message])[0] for _, message in sent} == {"200 INVITE", "BYE"}
    assert bench.left_by == [OUTSIDE.address]


def test_a_request_that_comes_by_another_is_answered_there_and_the_call_stays(bench):
    call, ok = bench.established(OUTSIDE.address)
    (answer,) = bench.take(bench.within("INFO", ok, 2), local=INSIDE.address)
    assert (answer.status, bench.left_by) == (200, [INSIDE.address])
    bench.do("hang_up", call)
    assert bench.left_by == [OUTSIDE.address]


def test_calls_are_placed_by_the_first(bench):
    invite = bench.outgoing()
    assert (bench.left_by, str(invite.contacts[0].uri)) == ([INSIDE.address], "sip:plenary@10.0.0.2:5060")
    assert bench.endpoint.local_of("c1") == bench.endpoint.local_of("never heard of") == INSIDE.address


LOOPBACK = Listener("127.0.0.1", 5064)


@pytest.mark.parametrize(
    ("target", "listener"),
    [
        ("bob@198.51.100.9", INSIDE),
        ("bob@pbx.example", INSIDE),
        ("bob@127.0.0.2", LOOPBACK),
        ("bob@localhost", LOOPBACK),
    ],
)
def test_no_call_to_outside_is_placed_by_a_listener_on_loopback(target, listener):
    """Nothing can be sent from there. Media are made for the same listener before the call is."""
    bench = Bench(listeners=(LOOPBACK, INSIDE))
    assert bench.endpoint.local_of("c1", f"sip:{target}") == listener.address
    invite = bench.outgoing(target=f"sip:{target}")
    assert (bench.left_by, invite.top_via.port) == ([listener.address], listener.port)
    assert bench.endpoint.local_of("c1") == listener.address


def test_where_all_are_on_loopback_the_first_tries():
    bench = Bench(listeners=(LOOPBACK,))
    bench.outgoing(target="sip:bob@198.51.100.9")
    assert bench.left_by == [LOOPBACK.address]


def test_a_call_goes_on_by_its_port_when_the_host_was_changed(bench):
    call, _ = bench.established(OUTSIDE.address)
    moved = Listener("0.0.0.0", OUTSIDE.port, public_host="198.51.100.7")
    bench.restart(listeners=(INSIDE, moved))
    assert bench.homeless == {}
    bench.do("hang_up", call)
    assert bench.left_by == [moved.address]


def test_a_call_goes_on_by_its_listener_after_a_restart(bench):
    """Also a response that waited to be repeated, of a request that had come by another."""
    call, ok = bench.established(OUTSIDE.address)
    offer = bench.within("INVITE", ok, 2, body=OTHER_SDP)
    bench.take(offer, local=INSIDE.address)
    bench.do("answer_offer", call, SDP)
    assert shown(bench.restart()) == ["200 INVITE"]
    assert bench.left_by == [INSIDE.address]
    assert shown(bench.take(bench.within("BYE", ok, 3), local=OUTSIDE.address)) == ["200 BYE"]
    assert bench.left_by == [OUTSIDE.address]


def test_a_call_of_a_listener_that_is_no_more_goes_on_by_the_first(bench):
    """The target refresh tells the phone where (RFC 3261 section 12.2); whoever runs the server is told how many."""
    call, ok = bench.established(OUTSIDE.address)
    bench.take(bench.within("INVITE", ok, 2, body=OTHER_SDP), local=OUTSIDE.address)
    assert bench.restart(listeners=(INSIDE,)) == []
    assert bench.homeless == {OUTSIDE.address: 1}
    (answer,) = bench.do("answer_offer", call, SDP)
    assert (bench.left_by, bench.destinations) == ([INSIDE.address], [PHONE])
    assert str(answer.contacts[0].uri) == "sip:room@10.0.0.2:5060"
    assert bench.endpoint.local_of(call) == INSIDE.address
    bench.take(bench.within("ACK", ok, 2))
    (bye,) = bench.do("hang_up", call)
    assert (bench.left_by, bye.top_via.port) == ([INSIDE.address], 5060)
