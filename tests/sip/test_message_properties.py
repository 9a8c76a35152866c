"""Whatever comes in: a message or MalformedMessage, and what is written is read as the same."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from torture.cases import ACCEPT, CASES

from plenary.sip.errors import MalformedValue
from plenary.sip.header import CSeq, NameAddr, Via, parse_params, show_params, split_list
from plenary.sip.message import Message, Request, Response, header_key
from plenary.sip.parser import MalformedMessage, parse

VALID = [case.data for case in CASES if case.verdict == ACCEPT]
EXAMPLES = 500  # about a second each
SNIPPETS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\0",
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b"%",
    b":",
    b"\xff",
    b"9" * 40,
    b"\\",
    b" ",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid message with a few stretches deleted, doubled, replaced or put elsewhere."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 30)))
        stretch = bytes(data[at:until])
        data[at:until] = draw(st.sampled_from([b"", stretch * 2, *SNIPPETS]) | st.binary(max_size=8))
    return bytes(data)


def holds(data: bytes) -> None:
    """The invariants of `parse`, for any bytes."""
    try:
        one = parse(data)
    except MalformedMessage as refused:
        if refused.partial is not None:
            repeat_and_answer(refused.partial, refused.status, refused.reason)
        return
    read_everything(one)
    written = one.encode()
    again = parse(written)
    assert again.encode() == written
    assert (without_length(again), again.body) == (without_length(one), one.body)
    if isinstance(one, Request):
        answer = one.response(486, to_tag="x")
        read_everything(parse(answer.encode()))
        if one.method == "INVITE":
            read_everything(parse(one.ack(answer).encode()))
            read_everything(parse(one.cancel().encode()))


def repeat_and_answer(partial: Request, status: int, reason: str) -> None:
    assert partial.method != "ACK"
    stamped = partial.with_top_via(partial.top_via.seen_from("192.0.2.99", 5099))
    written = stamped.response(status, reason, to_tag="x").encode()
    assert written.startswith(b"SIP/2.0 %d " % status)
    assert written.endswith(b"Content-Length: 0\r\n\r\n")
    assert written.count(b"\r\n\r\n") == 1


def without_length(message: Message) -> tuple[tuple[str, str], ...]:
    return tuple(field for field in message.headers if header_key(field[0]) != "content-length")


def read_everything(one: Request | Response) -> None:
    assert one.top_via is one.vias[0]
    assert one.call_id
    for accessor in ("from_", "to", "cseq", "contacts", "routes", "record_routes"):
        getattr(one, accessor)
    for accessor in ("max_forwards", "content_type", "require", "supported", "is_contact_wildcard"):
        getattr(one, accessor)
    if isinstance(one, Request):
        assert str(one.uri).lower() == one.uri_text.lower()


@given(st.binary(max_size=2000))
@example(b"SIP/2.0 200 OK\r\n\r\n")
def test_any_bytes(data: bytes) -> None:
    """RFC 4475 section 1: survive."""
    holds(data)


@settings(max_examples=EXAMPLES)
@given(mutated())
def test_messages_with_accidents(data: bytes) -> None:
    """RFC 4475 section 1: survive."""
    holds(data)


@given(
    st.binary(max_size=60), st.sampled_from(["Via", "From", "To", "Contact", "Route", "CSeq", "Call-ID", "l", "x", "k"])
)
def test_any_value_of_a_header(value: bytes, name: str) -> None:
    """Section 25.1."""
    holds(VALID[0].replace(b"\r\n", b"\r\n%s: %s\r\n" % (name.encode(), value), 1))


TEXT = st.text(max_size=30) | st.text(alphabet='";,<>\\= \t%a:@/1.', max_size=30)


@given(TEXT)
def test_every_reader_of_values_is_undone_by_its_writer(text: str) -> None:
    """A value that was read and written is read as the same."""
    for reader, prefix in (
        (NameAddr.parse, ""),
        (NameAddr.parse, "<sip:a@b>"),
        (Via.parse, "SIP/2.0/UDP a"),
        (CSeq.parse, "1 "),
    ):
        try:
            one = reader(prefix + text)
        except MalformedValue:
            continue
        assert reader(str(one)) == one


@given(TEXT)
def test_lists_and_parameters_lose_nothing(text: str) -> None:
    """What stands between the separators is what came."""
    try:
        assert split_list(",".join(split_list(text))) == split_list(text)
        assert parse_params(show_params(parse_params(text))) == parse_params(text)
    except MalformedValue:
        pass
