"""What strangers may cost: a stream of INVITEs to nobody, of which no refusal is ever acknowledged."""

import pytest
from phone import SDP, Bench, shown

from plenary.sip import transaction
from plenary.sip.config import MAX_TURNED_AWAY
from plenary.sip.events import Ended, Invited

MAX_CALLS = 100
RATE = 400
SECONDS = 15
"""Long enough for many times MAX_CALLS and several times MAX_TURNED_AWAY."""


def strange_invite(bench: Bench, number: int) -> bytes:
    """A stranger asks for a room that there is not."""
    return bench.invite(call_id=f"stranger-{number}", uri=f"sip:nobody{number}@10.0.0.2").encode()


def refuse_strangers(bench: Bench) -> None:
    """What the server does: rooms are answered, all else is refused, within the turn."""
    for event in bench.endpoint.events():
        bench.events.append(event)
        if isinstance(event, Invited) and event.user == "room":
            bench.endpoint.answer(event.call, SDP, bench.now)
        elif isinstance(event, Invited):
            bench.endpoint.refuse(event.call, 404, "", bench.now)


def test_a_flood_of_invites_to_nobody_keeps_nobody_out():
    bench = Bench(max_calls=MAX_CALLS)
    endpoint, answered, most = bench.endpoint, 0, 0
    for number in range(RATE * SECONDS):
        bench.now = number / RATE
        endpoint.fire(bench.now)
        endpoint.receive(strange_invite(bench, number), ("192.0.2.66", 5060), bench.now)
        refuse_strangers(bench)
        if number % (RATE * SECONDS // 20) == 0:
            endpoint.receive(bench.invite(call_id=f"friend-{number}").encode(), ("192.0.2.7", 5060), bench.now)
            refuse_strangers(bench)
            (ok,) = (one for one in endpoint.datagrams() if one.data.startswith(b"SIP/2.0 200"))
            endpoint.receive(
                bench.within("ACK", bench.parsed(ok), 1, call_id=f"friend-{number}").encode(), ok.destination, bench.now
            )
            answered += 1
        bench.collect()
        most = max(most, endpoint.transactions)
    assert (answered, endpoint.calls, len(bench.saved)) == (20, 20, 20)
    assert most <= MAX_TURNED_AWAY + 2 * 20
    assert not [event for event in bench.events if isinstance(event, Ended) and event.reason != "refused"]
    bench.until(bench.now + 40)
    assert (endpoint.calls, endpoint.transactions) == (20, 0)


def test_a_call_that_is_refused_at_once_is_never_saved():
    """The peer repeats its INVITE until it has an answer, so a crash costs it nothing."""
    bench = Bench()
    bench.endpoint.receive(strange_invite(bench, 1), ("192.0.2.66", 5060), 0.0)
    refuse_strangers(bench)
    assert bench.endpoint.changed() == {}
    assert shown(bench.drain()) == ["404 INVITE"]
    assert bench.endpoint.calls == 0


def test_the_refusal_of_a_stranger_is_repeated_until_its_ack():
    """RFC 3261 section 17.2.1."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    (refusal,) = bench.do("refuse", bench.told(Invited).call, 404, "")
    assert shown(bench.take(bench.invite(branch="z9hG4bKone"))) == ["404 INVITE"]
    assert [at for at, _ in bench.until(4)] == [0.5, 1.5, 3.5]
    bench.take(bench.request("ACK", to=refusal.get("to"), branch="z9hG4bKone"))
    assert bench.until(100) == []
    assert bench.endpoint.transactions == 0


@pytest.mark.parametrize("verb", ["refuse", "hang_up"])
def test_calls_that_are_over_keep_no_place_while_the_peer_is_silent(verb):
    bench = Bench(max_calls=1)
    call = bench.incoming()
    bench.do("ring", call)
    bench.endpoint.refuse(call, 486, "", bench.now) if verb == "refuse" else bench.endpoint.hang_up(call, bench.now)
    bench.drain()
    assert bench.endpoint.calls == 1
    assert bench.take(bench.invite(call_id="call-2")) == []
    bench.do("answer", bench.events[-1].call, SDP)


def test_calls_that_are_over_are_bounded_too():
    bench = Bench(max_calls=1)
    for number in range(2):
        bench.take(bench.invite(call_id=f"call-{number}"))
        call = bench.events[-1].call
        bench.do("ring", call)
        bench.do("refuse", call, 486, "")
    assert shown(bench.take(bench.invite(call_id="call-2"))) == ["503 INVITE"]


def test_where_transactions_are_full_those_of_strangers_go_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transaction, "MAX_TRANSACTIONS", 2)
    bench = Bench()
    bench.incoming()
    bench.endpoint.receive(strange_invite(bench, 1), ("192.0.2.66", 5060), 0.0)
    refuse_strangers(bench)
    bench.drain()
    assert bench.take(bench.invite(call_id="call-2")) == []
    assert shown(bench.take(bench.invite(call_id="call-3"))) == ["503 INVITE"]
