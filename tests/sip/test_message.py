"""Reading messages (RFC 3261 sections 7, 18.3, 20 and 25)."""

from __future__ import annotations

import contextlib
import time

import pytest
from torture.cases import INVITE, OPTIONS, SDP, message

from plenary.sip import parser
from plenary.sip.errors import MalformedValue
from plenary.sip.header import CSeq, NameAddr, Via, quote, split_list, unquote
from plenary.sip.message import Request, Response
from plenary.sip.parser import MalformedMessage, parse


def request(*lines: str, start: str = INVITE, body: bytes = b"") -> Request:
    parsed = parse(message(start, *lines, body=body))
    assert isinstance(parsed, Request)
    return parsed


def refusal(data: bytes) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as refused:
        parse(data)
    return refused.value


def test_a_request_is_read() -> None:
    """Section 7.1."""
    one = request("Contact: <sip:ann@192.0.2.7>", "Content-Type: Application/SDP;x=y", body=SDP)
    assert (one.method, one.uri_text, one.uri.user) == ("INVITE", "sip:lobby@rooms.example", "lobby")
    assert (one.top_via.branch, one.max_forwards, one.call_id) == ("z9hG4bKtorture", 70, "torture@192.0.2.7")
    assert (str(one.from_.uri), one.from_.tag, one.to.tag) == ("sip:ann@phones.example", "ann1", None)
    assert (one.cseq, one.content_type, one.body) == (CSeq(1, "INVITE"), "application/sdp", SDP)
    assert [str(contact.uri) for contact in one.contacts] == ["sip:ann@192.0.2.7"]


def test_a_response_is_read() -> None:
    """Section 7.2."""
    one = parse(message("SIP/2.0 486 Busy Here", "CSeq: 1 INVITE"))
    assert isinstance(one, Response)
    assert (one.status, one.reason, one.cseq.method) == (486, "Busy Here", "INVITE")


def test_a_list_is_the_same_in_one_field_or_in_many() -> None:
    """Section 7.3.1."""
    many = request(
        "Route: <sip:a;lr>", 'Route: "x, y" <sip:b;lr>', "Supported: timer", "k: Replaces,path", "Supported:"
    )
    one = request('Route: <sip:a;lr>, "x, y" <sip:b;lr>', "Supported: timer , Replaces,, path")
    assert many.routes == one.routes
    assert [route.name for route in one.routes] == ["", "x, y"]
    assert many.supported == one.supported == {"timer", "replaces", "path"}


def test_names_are_taken_in_any_case_and_form() -> None:
    """Section 7.3.1 and 7.3.3."""
    one = request("s: Hello", "SUBJECT: again", "X-a: 1")
    assert one.get("Subject") == one.get("s") == "Hello"
    assert one.get_all("subject") == ("Hello", "again")
    assert (one.get("x-A"), one.get("absent"), one.get_all("absent")) == ("1", None, ())


def test_the_wildcard_contact_is_no_address() -> None:
    """Section 10.2.2."""
    one = request("Contact: *", start="REGISTER sip:rooms.example SIP/2.0")
    assert (one.is_contact_wildcard, one.contacts) == (True, ())


def test_bytes_that_are_not_utf_8_leave_as_they_came() -> None:
    """Section 7.3.1: headers are passed on unchanged."""
    data = message(INVITE).replace(b"Max-Forwards: 70", b'Subject: \xff\xfe caf\xe9 "\x80"')
    assert b'Subject: \xff\xfe caf\xe9 "\x80"\r\n' in parse(data).encode()


@pytest.mark.parametrize(
    ("length", "tail", "body"),
    [("Content-Length: 3", b"v=0junk", b"v=0"), ("l:0", b"v=0", b""), ("X: y", b"v=0", b"v=0")],
    ids=["shorter", "zero, compact", "missing"],
)
def test_content_length_ends_the_body(length: str, tail: bytes, body: bytes) -> None:
    """Section 18.3: over UDP the rest of the datagram is ignored, and without the header the body is the rest."""
    assert parse(message(OPTIONS, length, omit=("content-length",)) + tail).body == body


def test_empty_lines_before_a_message_are_skipped() -> None:
    """Section 7.5."""
    assert parse(b"\r\n\r\n" + message(OPTIONS)).call_id == "torture@192.0.2.7"


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"SIP/2.0\r\n\r\n"]
)
def test_what_is_no_message_is_dropped(data: bytes) -> None:
    """Section 18.1.2 and RFC 5626 section 4.4.1 (keep-alive)."""
    assert refusal(data).partial is None


@pytest.mark.parametrize(
    "line",
    [
        "Via: SIP/2.0/UDP",
        "Via: SIP/3.0/UDP host",
        "Via: SIP/2.0/UDP host:99999",
        "Via: SIP/2.0/UDP host;branch=",
        "From: ann@phones.example",
        "From: <sip:ann@phones.example>;tag=1,2",
        "From: <sip:ann@phones.example",
        "To: Lobby sip:lobby@rooms.example",
        "Call-ID: two words",
        "Call-ID:",
        "CSeq: INVITE",
        "CSeq: 1INVITE",
        "CSeq: 2147483648 INVITE",
        "CSeq: \u0661 INVITE",
        "Max-Forwards: -1",
        "Max-Forwards: many",
        "Content-Length: 1e1",
        "Content-Length: \u0661",
        "Contact: <sip:a@b>, ann",
        "Route: sip:",
        'Record-Route: "open <sip:a@b>',
        'Require: "open, 100rel',
        "no colon",
        "two words: x",
        "Subject: a\rb",
        "Subject: a\nb",
        "Subject: a\0b",
    ],
)
def test_each_broken_header_is_refused_with_400(line: str) -> None:
    """Section 8.2: a request that cannot be understood is answered, unless its Via cannot be read."""
    refused = refusal(message(INVITE, line))
    assert refused.status == 400
    assert refused.reason.startswith("Bad Request: ")
    assert (refused.partial is None) == (line in ("Via: SIP/2.0/UDP", "Via: SIP/2.0/UDP host:99999"))


@pytest.mark.parametrize("name", ["via", "from", "to", "call-id", "cseq"])
def test_each_header_of_every_message_is_demanded(name: str) -> None:
    """Section 8.1.1."""
    refused = refusal(message(INVITE, omit=(name,)))
    assert (refused.status, refused.partial is None) == (400, name == "via")


def test_the_end_of_the_headers_is_demanded() -> None:
    """Section 7: an empty line follows the headers."""
    assert refusal(message(INVITE).removesuffix(b"\r\n")).status == 400


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (513, message(INVITE, f"X: {'x' * parser.MAX_DATAGRAM}")),
        (400, message(INVITE, *["X: y"] * parser.MAX_HEADERS)),
        (400, message(INVITE, f"X: {'x' * parser.MAX_HEADER_LINE}")),
        (400, message(INVITE, "Supported: " + "a," * 300)),
        (413, message(INVITE, body=bytes(parser.MAX_BODY + 1))),
        (414, message(f"INVITE sip:{'x' * parser.MAX_URI} SIP/2.0")),
    ],
    ids=["datagram", "headers", "header line", "list", "body", "Request-URI"],
)
def test_each_limit_has_its_answer(status: int, data: bytes) -> None:
    """Section 21.4.11, 21.4.12 and 21.5.7."""
    refused = refusal(data)
    assert refused.status == status
    assert (refused.partial is None) == (status == 513)


def test_an_ack_is_never_answered() -> None:
    """Section 17: there is no response to an ACK."""
    assert refusal(message("ACK sip:lobby@rooms.example SIP/2.0", "Content-Length: -1")).partial is None


def test_a_refusal_goes_back_to_the_hop_whose_via_is_half_readable() -> None:
    """Section 18.2.2: only what the next hop needs is repeated."""
    refused = refusal(
        message(INVITE, "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKx;;", "Via: SIP/2.0/UDP 192.0.2.8")
    )
    assert refused.partial is not None
    stamped = refused.partial.with_top_via(refused.partial.top_via.seen_from("192.0.2.9", 5071))
    answer = parse(stamped.response(refused.status, refused.reason, to_tag="t").encode())
    assert str(answer.top_via) == "SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKx;received=192.0.2.9"
    assert (answer.call_id, answer.to.tag) == ("torture@192.0.2.7", "t")


STARTS = ("", "a", '"', "<", "<sip:a@b>;a", "sip:a", "SIP/2.0/UDP a", "1")
FILLERS = (" ", "\t", "\r\n ", ",", '"', "\\", "<", ";", "a", "=", '\\"', "%", ":", "@", "a,", ";a", "\\\x01", "é")


@pytest.mark.parametrize("name", ["From", "Via", "Contact", "Subject", "Supported", "CSeq"])
def test_no_header_takes_more_than_linear_time(name: str) -> None:
    """A datagram full of what a pattern might stumble upon costs a fraction of what quadratic time would (seconds)."""
    for start in STARTS:
        for filler in FILLERS:
            data = message(INVITE, *[f"{name}: {start}{filler * (8000 // len(filler))}"] * 7)
            before = time.process_time()
            with contextlib.suppress(MalformedMessage):
                parse(data)
            assert time.process_time() - before < 0.25, (start, filler)


# Values


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", (("tag", "1"),)),
        ("sip:a@b;tag=1", "", "sip:a@b", (("tag", "1"),)),
        ("Ann Lee <sip:a@b>", "Ann Lee", "sip:a@b", ()),
        ("Jürgen<sip:a@b> ; q = 0.5 ;flag", "Jürgen", "sip:a@b", (("q", "0.5"), ("flag", None))),
        ('"a \\"b\\" <c>, d" <tel:+1>', 'a "b" <c>, d', "tel:+1", ()),
        ('""<sip:a@b>;x="y;z"', "", "sip:a@b", (("x", '"y;z"'),)),
        ("<sip:a@[::1]:5060>;received=[::1]", "", "sip:a@[::1]:5060", (("received", "[::1]"),)),
    ],
)
def test_addresses(text: str, name: str, uri: str, params: object) -> None:
    """Section 20.10."""
    one = NameAddr.parse(text)
    assert (one.name, str(one.uri), one.params) == (name, uri, params)
    assert NameAddr.parse(str(one)) == one


def test_parameters_are_found_in_any_case_and_without_their_quotes() -> None:
    """Section 7.3.1."""
    one = NameAddr.parse('<sip:a@b>;Tag=1;Quoted="a \\"b\\"";flag')
    assert (one.tag, one.param("quoted"), one.param("flag"), one.param("none")) == ("1", 'a "b"', "", None)
    assert str(one.with_tag("2")) == '<sip:a@b>;Tag=2;Quoted="a \\"b\\"";flag'


def test_a_via_notes_where_the_request_came_from() -> None:
    """Section 18.2.1, RFC 3581 section 4."""
    plain, asking = Via("UDP", "192.0.2.7", 5060), Via.parse("SIP/2.0/udp phone.example;rport;branch=z9hG4bK1")
    assert plain.seen_from("192.0.2.7", 6000) is plain
    assert plain.seen_from("192.0.2.9", 6000).received == "192.0.2.9"
    seen = asking.seen_from("2001:db8::1", 6000)
    assert str(seen) == "SIP/2.0/UDP phone.example;rport=6000;branch=z9hG4bK1;received=2001:db8::1"
    assert (seen.rport, seen.wants_rport, asking.rport, plain.wants_rport) == (6000, True, None, False)
    assert Via.parse(str(seen)) == seen


def test_a_via_cannot_send_the_response_to_a_victim() -> None:
    """Section 18.2.1: received and rport are what we saw, not what the peer claims."""
    forged = Via.parse("SIP/2.0/UDP 192.0.2.7;received=198.51.100.1;rport=53;branch=z9hG4bK1")
    seen = forged.seen_from("192.0.2.7", 6000)
    assert (seen.received, seen.rport) == ("192.0.2.7", 6000)
    assert Via("UDP", "a", None, (("received", "b"),)).seen_from("a", 6000).received == "a"


def test_a_via_with_an_ipv6_reference() -> None:
    """Section 25.1, sent-by."""
    via = Via.parse("SIP / 2.0 / TLS [2001:db8::1] : 5061 ; ttl=1")
    assert (via.transport, via.host, via.port, via.sent_by) == ("TLS", "2001:db8::1", 5061, "[2001:db8::1]:5061")


def test_lists_are_split_outside_of_quotes_and_brackets() -> None:
    """Section 7.3.1."""
    assert split_list('a, "b, \\", c" <sip:x,y>;z, <sip:d,e> ,, f') == [
        "a",
        '"b, \\", c" <sip:x,y>;z',
        "<sip:d,e>",
        "f",
    ]
    assert split_list("") == split_list(" , ") == []
    for open_ended in ('a, "b', "a, <b"):
        with pytest.raises(MalformedValue):
            split_list(open_ended)


def test_quoting_is_undone() -> None:
    """Section 25.1, quoted-string."""
    for text in ("", "plain", 'a "b" \\ c', "ä"):
        assert unquote(quote(text)) == text
    assert quote("a\r\nb: c") == '"a  b: c"'
