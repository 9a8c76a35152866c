"""URIs: reading, writing, comparing (RFC 3261 section 19.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.sip.errors import MalformedValue
from plenary.sip.uri import MAX_URI, OtherUri, SipUri, parse_uri


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def test_a_sip_uri_is_taken_apart() -> None:
    """Section 19.1.1."""
    uri = sip("SIPS:ann%20b:pass%3aword@Rooms.Example:5061;transport=tcp;lr?subject=x&priority=urgent")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == (
        "sips",
        "ann b",
        "pass:word",
        "Rooms.Example",
        5061,
    )
    assert (uri.param("transport"), uri.param("lr"), uri.param("user")) == ("tcp", "", None)
    assert uri.has_param("lr")
    assert uri.headers == (("subject", "x"), ("priority", "urgent"))


def test_an_ipv6_reference_loses_and_regains_its_brackets() -> None:
    """Section 25.1, IPv6reference."""
    uri = sip("sip:ann@[2001:db8::1]:5070")
    assert (uri.host, uri.port, uri.hostport) == ("2001:db8::1", 5070, "[2001:db8::1]:5070")
    assert str(uri) == "sip:ann@[2001:db8::1]:5070"


def test_a_tel_uri_has_its_number_for_a_user() -> None:
    """RFC 3966 section 3: visual separators mean nothing."""
    assert parse_uri("tel:+1-201-555.0123;phone-context=x").user == "+12015550123"
    assert parse_uri("urn:service:sos").user is None


@pytest.mark.parametrize(
    "text",
    [
        "sip:rooms.example",
        "sip:%00@rooms.example",
        "sip:a;b=c%40d@rooms.example",
        "sip:*72#@rooms.example",
        "sip:+1(201)5550123@192.0.2.1;user=phone",
        "sip:j%6Fe:@h;%6C%72;n%61me=v%61lue",
        "tel:+12015550123",
        "soap.beep://192.0.2.103:3002",
    ],
)
def test_spelling_survives(text: str) -> None:
    """RFC 4475 sections 3.1.1.3, 3.1.1.4 and 3.1.1.9: what is passed on is what came."""
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann@rooms.example",
        "sip:",
        "sip:ann@",
        "sip:@rooms.example",
        "sip:ann@rooms.example:0",
        "sip:ann@rooms.example:65536",
        "sip:ann@rooms.example:",
        "sip:a@b@c",
        "sip:a%4@b",
        "sip:a b@c",
        "<sip:a@b>",
        "sip:a@b;;x",
        "sip:a@b;=x",
        "sip:a@[::1",
        "sip:a@b\r\n",
        "sip:a@" + "b" * MAX_URI,
        "1tel:x",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    """Section 25.1."""
    with pytest.raises(MalformedValue):
        parse_uri(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.example;transport=TCP", "sip:alice@AtLanTa.ExAmPlE;Transport=tcp"),
        ("sip:carol@chicago.example", "sip:carol@chicago.example;newparam=5"),
        ("sip:carol@chicago.example;security=on", "sip:carol@chicago.example;newparam=5"),
        ("sip:b.example;transport=tcp;method=x?to=a&subject=p", "sip:b.example;method=x;transport=tcp?subject=p&to=a"),
        ("tel:+1", "TEL:+1"),
    ],
)
def test_uris_that_match(one: str, other: str) -> None:
    """Section 19.1.4."""
    assert parse_uri(one).matches(parse_uri(other))
    assert parse_uri(other).matches(parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:ALICE@a.example", "sip:alice@a.example"),
        ("sip:bob@b.example", "sip:bob@b.example:5060"),
        ("sip:bob@b.example", "sip:bob@b.example;transport=udp"),
        ("sip:bob@b.example", "sip:bob@b.example;maddr=192.0.2.1"),
        ("sip:bob@b.example", "sips:bob@b.example"),
        ("sip:bob@b.example", "sip:bob@b.example?Subject=x"),
        ("sip:c@d.example;security=on", "sip:c@d.example;security=off"),
        ("sip:a%3Bb@c.example", "sip:a;b@c.example"),
        ("sip:a:p@c.example", "sip:a:q@c.example"),
        ("sip:+1@c.example", "tel:+1"),
        ("tel:+1", "sip:+1@c.example"),
    ],
)
def test_uris_that_do_not_match(one: str, other: str) -> None:
    """Section 19.1.4."""
    assert not parse_uri(one).matches(parse_uri(other))


def test_a_request_uri_is_made_without_headers() -> None:
    """Section 19.1.1, table 1."""
    assert str(sip("sip:a@b;lr?subject=x").without_headers()) == "sip:a@b;lr"


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_any_user_and_parameter_can_be_put_into_a_uri(user: str, value: str) -> None:
    """Section 19.1.2: what the grammar forbids is escaped."""
    if not (user + value).isascii():
        user, value = (text.encode("utf-8", "ignore").decode() or "x" for text in (user, value))
    read = sip(str(SipUri.make("rooms.example", user, 5060, (("p", value),))))
    assert (read.user, read.param("p"), read.port) == (user, value, 5060)


@given(st.text(max_size=60))
def test_a_uri_that_is_read_is_written_as_it_was(text: str) -> None:
    """But for the case of the scheme."""
    for scheme in ("sip:", "sip:a@", ""):
        try:
            uri = parse_uri(scheme + text)
        except MalformedValue:
            continue
        assert str(uri).partition(":")[2] == (scheme + text).partition(":")[2]
        assert isinstance(uri, SipUri | OtherUri)
        assert uri.matches(parse_uri(str(uri)))
