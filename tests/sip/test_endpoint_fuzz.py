"""Nothing that a peer sends may raise, whatever state its calls are in; and nothing that it sends may stay for ever."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from phone import OTHER_SDP, SDP, Bench

from plenary.sip.config import Listener
from plenary.sip.errors import WrongState
from plenary.sip.events import Invited, Offered

METHODS = (
    "INVITE",
    "INVITE",
    "UPDATE",
    "ACK",
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "UPDATE",
    "OPTIONS",
    "REFER",
    "REGISTER",
    "NEW",
)
TARGETS = (
    "sip:ann@192.0.2.7",
    "<sip:ann@192.0.2.7;lr>",
    "<tel:1>",
    "sip:x",
    "<sip:[::1]>",
    "<http://x/>",
    "*",
    "<>",
    "",
)
ROUTES = ("<sip:10.9.0.1;lr>", "<sip:10.9.0.1>", "<tel:1>", "<sip:a>, <sip:b;lr>", '"x" <sip:c;lr>;p="q"')
MUTATIONS = 3
LISTENERS = (Listener("10.0.0.2", 5060), Listener("10.0.0.2", 5062))


def act(bench: Bench, draw: random.Random, heard: list) -> None:
    """One thing that a peer, the server or time may do."""
    known = [message for message in heard if message.get("to")] or [None]
    match draw.randrange(8):
        case 0:
            heard += [message for _, message in bench.until(bench.now + draw.choice([0.1, 1.0, 20.0]))]
        case 1:
            calls = [event.call for event in bench.events if isinstance(event, Invited)] + ["c1", "c2"]
            verb, args = draw.choice(
                [
                    ("ring", ()), ("progress", (SDP,)), ("answer", (SDP,)), ("refuse", (486, "")), ("hang_up", ()),
                    ("acknowledge", (SDP,)), ("send_offer", (SDP,)), ("send_offer", (None,)),
                    ("answer_offer", (OTHER_SDP,)), ("refuse_offer", (488,)),
                ]
            )  # fmt: skip
            with contextlib.suppress(WrongState):
                heard += bench.do(verb, draw.choice(calls), *args)
        case 2 | 3:
            requests = [message for message in heard if hasattr(message, "method") and message.method != "ACK"]
            if requests:
                reply = bench.reply(
                    draw.choice(requests),
                    draw.choice([100, 180, 183, 200, 200, 302, 401, 407, 481, 487, 491, 503, 699]),
                    tag=draw.choice([None, "b1", "b2"]),
                    body=draw.choice(["", SDP]),
                    contact=draw.choice(TARGETS) or None,
                    headers=draw.choice(
                        [(), (("Record-Route", draw.choice(ROUTES)),), (("WWW-Authenticate", "Digest x"),)]
                    ),
                )
                throw(bench, draw, reply.encode(), heard)
        case _:
            about = draw.choice(known)
            how = {}
            if about is not None and draw.random() < 0.9:
                ours = about.get("from") if hasattr(about, "method") else about.get("to")
                theirs = about.get("to") if hasattr(about, "method") else about.get("from")
                how = {"to": ours, "from_": theirs, "call_id": about.call_id}
            request = bench.request(
                draw.choice(METHODS),
                cseq=draw.choice([*[2 + len(heard)] * 9, 1, 1, 2**31 - 1]),
                branch=f"z9hG4bK{draw.randrange(60)}",
                contact=draw.choice(TARGETS) or None,
                body=draw.choice(["", SDP, "Signal=5"]),
                content_type=draw.choice(["application/sdp", "application/dtmf-relay", "text/plain"]),
                headers=draw.choice([(), (), (f"Record-Route: {draw.choice(ROUTES)}",), ("Require: timer",)]),
                **how,
            )
            throw(bench, draw, request.encode("utf-8", "surrogateescape"), heard)


def throw(bench: Bench, draw: random.Random, data: bytes, heard: list) -> None:
    """The datagram, often with a few bytes of it changed."""
    if draw.random() < 0.15:
        mutable = bytearray(data)
        for _ in range(draw.randint(1, MUTATIONS)):
            at = draw.randrange(len(mutable))
            mutable[at : at + draw.randrange(3)] = draw.choice(
                [b"", b"\x00", b"\xff", b'"', b"<", b";", b",", b"%", b"\r\n"]
            )
        data = bytes(mutable)
    local = draw.choice(bench.config.listeners).address
    bench.endpoint.receive(data, ("192.0.2.7", draw.choice([5060, 40000])), bench.now, local)
    for datagram in bench.collect():
        if not datagram.data.startswith(b"SIP/2.0 4"):  # a refusal may repeat what is malformed
            heard.append(bench.parsed(datagram))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), anonymous=st.booleans())
def test_nothing_that_a_peer_sends_raises_or_stays(seed, anonymous):
    """Two calls of ours and any number of theirs, by two listeners, 60 acts, one restart, sometimes with one listener
    less; then everyone hangs up and time passes."""
    draw = random.Random(seed)
    bench = Bench(listeners=LISTENERS, anonymous=anonymous or seed % 3 == 0)
    heard = [bench.outgoing(call="c1"), bench.outgoing(sdp=None, call="c2")]
    if bench.config.anonymous:
        heard.append(bench.established(call_id="call-2")[1])
    for number in range(60):
        act(bench, draw, heard)
        if number == 40:
            heard += bench.restart(listeners=LISTENERS[: draw.randint(1, 2)])
    for call in {event.call for event in bench.events if isinstance(event, Invited | Offered)} | {"c1", "c2"}:
        try:
            bench.do("hang_up", call)
        except WrongState:
            assert call not in bench.saved
    bench.until(bench.now + 400)
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_noise_is_never_answered_and_never_raises(data):
    bench = Bench()
    bench.endpoint.receive(data, ("192.0.2.7", 5060), 0.0)
    assert bench.collect() == []
