"""Building messages, and the messages that a request determines (RFC 3261 sections 8, 9, 12 and 17)."""

from __future__ import annotations

import pytest
from changed import with_fields

from plenary.sip.errors import MalformedValue
from plenary.sip.header import NameAddr, Via
from plenary.sip.message import Request
from plenary.sip.parser import parse
from plenary.sip.uri import SipUri

VIA = Via("UDP", "192.0.2.1", 5060, (("branch", "z9hG4bK1"), ("rport", None)))
ANN = NameAddr(SipUri.make("phones.example", "ann"), "Ann", (("tag", "a"),))
LOBBY = NameAddr(SipUri.make("rooms.example", "lobby"))


def invite() -> Request:
    return Request.build(
        "INVITE",
        LOBBY.uri,
        via=(VIA, Via("TCP", "192.0.2.2")),
        from_=ANN,
        to=LOBBY,
        call_id="call-1",
        cseq=314,
        routes=("<sip:p1.example;lr>", "<sip:p2.example;lr>"),
        contact=NameAddr(SipUri.make("192.0.2.1", "ann", 5060)),
        headers=[("Record-Route", "<sip:p1.example;lr>"), ("Timestamp", "54"), ("Supported", "timer")],
        content_type="application/sdp",
        body=b"v=0\r\n",
    )


def test_a_request_is_written() -> None:
    """Section 8.1.1."""
    assert invite().encode() == (
        b"INVITE sip:lobby@rooms.example SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\n"
        b"Via: SIP/2.0/TCP 192.0.2.2\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:p1.example;lr>\r\n"
        b"Route: <sip:p2.example;lr>\r\n"
        b'From: "Ann" <sip:ann@phones.example>;tag=a\r\n'
        b"To: <sip:lobby@rooms.example>\r\n"
        b"Call-ID: call-1\r\n"
        b"CSeq: 314 INVITE\r\n"
        b"Contact: <sip:ann@192.0.2.1:5060>\r\n"
        b"Record-Route: <sip:p1.example;lr>\r\n"
        b"Timestamp: 54\r\n"
        b"Supported: timer\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: 5\r\n\r\n"
        b"v=0\r\n"
    )


def test_a_request_that_we_build_can_be_read() -> None:
    """Both directions agree."""
    built, read = invite(), parse(invite().encode())
    assert isinstance(read, Request)
    assert (read.vias, read.from_, read.to, read.cseq) == (built.vias, built.from_, built.to, built.cseq)
    assert (read.uri, read.routes, read.contacts, read.body) == (built.uri, built.routes, built.contacts, built.body)


def test_a_response_repeats_what_it_must() -> None:
    """Sections 8.2.6.2 and 12.1.1."""
    answer = invite().response(200, to_tag="b", contact="<sip:focus@192.0.2.3>", content_type="a/b", body=b"x")
    assert answer.encode() == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\n"
        b"Via: SIP/2.0/TCP 192.0.2.2\r\n"
        b"Record-Route: <sip:p1.example;lr>\r\n"
        b'From: "Ann" <sip:ann@phones.example>;tag=a\r\n'
        b"To: <sip:lobby@rooms.example>;tag=b\r\n"
        b"Call-ID: call-1\r\n"
        b"CSeq: 314 INVITE\r\n"
        b"Contact: <sip:focus@192.0.2.3>\r\n"
        b"Content-Type: a/b\r\n"
        b"Content-Length: 1\r\n\r\nx"
    )


@pytest.mark.parametrize(
    ("status", "tagged", "recorded", "timed"),
    [(100, False, False, True), (180, True, True, False), (200, True, True, False), (486, True, False, False)],
)
def test_what_a_response_repeats_depends_on_its_status(status: int, tagged: bool, recorded: bool, timed: bool) -> None:
    """Sections 8.2.6.1, 8.2.6.2 and 12.1.1."""
    answer = invite().response(status, to_tag="b")
    assert (answer.to.tag == "b", bool(answer.record_routes), answer.get("timestamp") == "54") == (
        tagged,
        recorded,
        timed,
    )


def test_a_tag_that_is_there_stays() -> None:
    """Section 8.2.6.2."""
    again = with_fields(invite(), [("To", LOBBY.with_tag("first"))], without="To")
    assert again.response(200, to_tag="second").to.tag == "first"


def test_a_reason_can_be_given() -> None:
    """Section 7.2: any text, on one line."""
    assert invite().response(486, "In a\r\nmeeting").reason == "In a meeting"
    assert invite().response(699).encode().startswith(b"SIP/2.0 699 \r\n")


def test_the_ack_to_a_refusal_belongs_to_the_transaction_of_the_invite() -> None:
    """Section 17.1.1.3: one Via, To of the response, the routes of the INVITE."""
    ack = invite().ack(invite().response(486, to_tag="b"))
    assert (ack.method, ack.uri_text, ack.vias, ack.body) == ("ACK", "sip:lobby@rooms.example", (VIA,), b"")
    assert (ack.from_, ack.to.tag, ack.call_id, str(ack.cseq)) == (ANN, "b", "call-1", "314 ACK")
    assert ack.routes == invite().routes


def test_a_cancel_is_the_twin_of_its_request() -> None:
    """Section 9.1."""
    cancel = invite().cancel()
    assert (cancel.method, cancel.uri_text, cancel.vias, cancel.body) == (
        "CANCEL",
        "sip:lobby@rooms.example",
        (VIA,),
        b"",
    )
    assert (cancel.from_, cancel.to, cancel.call_id, str(cancel.cseq)) == (ANN, LOBBY, "call-1", "314 CANCEL")
    assert (cancel.routes, cancel.get("require")) == (invite().routes, None)


def test_the_topmost_via_is_replaced_alone() -> None:
    """Section 18.2.1, also when the hops share one field."""
    shared = with_fields(invite(), [("v", f"{VIA}, SIP/2.0/TCP 192.0.2.2")], without="Via")
    changed = shared.with_top_via(shared.top_via.seen_from("192.0.2.9", 5099))
    assert changed.vias == parse(changed.encode()).vias
    assert [(via.received, via.rport) for via in changed.vias] == [("192.0.2.9", 5099), (None, None)]


@pytest.mark.parametrize(
    ("method", "uri"), [("IN VITE", "sip:a@b"), ("", "sip:a@b"), ("INVITE", "sip:a b@c"), ("INVITE", "sip:a@b\r\nX: y")]
)
def test_nonsense_is_refused_before_it_becomes_a_message(method: str, uri: str) -> None:
    """Section 7.1."""
    with pytest.raises(MalformedValue):
        Request.build(method, uri, via=VIA, from_=ANN, to=LOBBY, call_id="c", cseq=1)


def test_no_value_can_smuggle_a_header_in() -> None:
    """Section 7.3.1: within a value a line break is a space; and text that has no UTF-8 does not stop a message."""
    name = NameAddr(LOBBY.uri, 'x"\r\nEvil: yes\r\n\r\n\ud800')
    headers = [("Subject", "a\r\n\r\nEvil: yes")]
    built = Request.build("INVITE", LOBBY.uri, via=VIA, from_=ANN, to=name, call_id="c", cseq=1, headers=headers)
    read = parse(built.encode())
    assert (read.get("evil"), read.get("subject"), read.to.name) == (None, "a Evil: yes", 'x"  Evil: yes    ?')
