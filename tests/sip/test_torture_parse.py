"""RFC 4475 at the level of the parser: accept, refuse with the right status, or drop."""

from __future__ import annotations

from pathlib import Path

import pytest
from changed import with_fields
from torture.cases import ACCEPT, CASES, DROP, RFC4475, Case

from plenary.sip.message import Request, Response
from plenary.sip.parser import MalformedMessage, parse

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "rfc4475"


def verdict(data: bytes) -> int:
    try:
        message = parse(data)
    except MalformedMessage as refused:
        if refused.partial is None:
            return DROP
        answer = parse(answer_to(refused))
        return answer.status if isinstance(answer, Response) else DROP
    once = message.encode()
    assert parse(once).encode() == once
    return ACCEPT


def answer_to(refused: MalformedMessage) -> bytes:
    """The refusal as sent, with the headers added that even the peer left out, so that it can be parsed here."""
    assert refused.partial is not None
    answer = refused.partial.response(refused.status, refused.reason)
    whole = {"From": "<sip:a@b>", "To": "<sip:a@b>", "Call-ID": "x", "CSeq": "1 OPTIONS"}
    for name, value in whole.items():
        answer = with_fields(answer, [(name, value)], without=name)
    return answer.encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.name}")
def test_each_kind_of_torture_gets_its_verdict(case: Case) -> None:
    """RFC 4475 section 3."""
    assert verdict(case.data) == case.verdict


@pytest.mark.skipif(not ARCHIVE.is_dir(), reason="the archive of RFC 4475 is not beside the repository")
def test_the_messages_of_the_rfc_get_their_verdicts() -> None:
    """RFC 4475 appendix A: byte for byte."""
    found = {path.stem: verdict(path.read_bytes()) for path in sorted(ARCHIVE.glob("*.dat"))}
    assert found == RFC4475


def parsed(name: str) -> Request | Response:
    return parse(next(case.data for case in CASES if case.name == name))


def test_folding_and_spacing_leave_no_trace_in_the_values() -> None:
    """RFC 4475 section 3.1.1.1."""
    message = parsed("folded, spaced, oddly cased and empty headers")
    assert [str(via) for via in message.vias] == [
        "SIP/2.0/UDP 192.0.2.7;branch=390torture",
        "SIP/2.0/TCP edge.example;branch=z9hG4bK9",
        "SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK8",
    ]
    assert (message.from_.name, message.from_.tag, message.to.tag) == ('Ann \\"', "ann1", "there1")
    assert (message.cseq.number, message.cseq.method, message.max_forwards) == (7, "INVITE", 70)
    assert (message.contacts[0].name, message.contacts[0].param("q")) == ('Ann ""', "0.33")
    assert message.get("subject") == ""
    assert message.get("novelty") == "a value that goes on"


def test_a_percent_sign_in_a_method_is_not_an_escape() -> None:
    """RFC 4475 section 3.1.1.5: this is not a REGISTER, and C%6Fntact is not a Contact."""
    message = parsed("percent signs that are not escapes")
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert message.contacts == ()
    assert message.to.name == "%Z%45"


def test_the_tail_of_a_datagram_is_ignored() -> None:
    """RFC 4475 section 3.1.1.8."""
    message = parsed("a second message in the tail of the datagram")
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


def test_a_header_parameter_and_a_uri_parameter_stay_what_they_are() -> None:
    """RFC 4475 sections 3.3.12 and 3.3.13."""
    outside, inside = (
        parsed("a parameter of the Contact").contacts[0],
        parsed("a parameter of the Contact's URI").contacts[0],
    )
    assert (outside.params, inside.params) == ((("unknown", None),), ())
    assert (str(outside.uri), str(inside.uri)) == ("sip:+1972@gw.example", "sip:+1972@gw.example;unknown")


def test_a_refusal_of_missing_headers_repeats_those_that_are_there() -> None:
    """RFC 4475 section 3.3.1."""
    with pytest.raises(MalformedMessage) as refused:
        parsed("no From, To and Call-ID")
    assert refused.value.partial is not None
    answer = refused.value.partial.response(400, "No")
    assert [name for name, _ in answer.headers] == ["Via", "CSeq"]
