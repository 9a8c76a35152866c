"""Digest authentication (RFC 7616, RFC 8760, RFC 3261 section 22)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.sip import digest
from plenary.sip.digest import LIFETIME, NC_WINDOW, Challenger, Verdict, authorize
from plenary.sip.header import NameAddr, Via
from plenary.sip.message import Request

REALM, USER, PASSWORD, URI = "rooms", "ann", "Circle of Life", "sip:lobby@rooms.example"
STALE, NO, WRONG = Verdict(None, stale=True), Verdict(None), Verdict(None, is_wrong=True)


def challenger(realm: str = REALM) -> Challenger:
    return Challenger(realm, {USER: PASSWORD, "empty": ""}, b"secret", ("SHA-256", "MD5"))


def challenges(server: Challenger, now: float = 0.0) -> list[str]:
    return [value for _, value in server.challenge(now)]


def request(*credentials: str | None, method: str = "INVITE", uri: str = URI) -> Request:
    return Request.build(
        method,
        uri,
        via=Via("UDP", "192.0.2.1"),
        from_="<sip:ann@x>",
        to=NameAddr.parse(f"<{URI}>"),
        call_id="c",
        cseq=1,
        headers=[("Authorization", value) for value in credentials if value is not None],
    )


def credentials(offered: list[str], nc: int = 1, user: str = USER, password: str = PASSWORD, uri: str = URI) -> str:
    made = authorize("INVITE", uri, offered, user, password, cnonce="0a4f113b", nc=nc)
    assert made is not None
    return made


@pytest.mark.parametrize("number", [0, 1], ids=["SHA-256", "MD5"])
def test_the_right_password_is_accepted_with_either_algorithm(number: int) -> None:
    """RFC 8760 section 2.2."""
    server = challenger()
    one = challenges(server)[number]
    assert server.check(request(credentials([one])), 1.0) == Verdict(USER)


def test_the_challenge_offers_the_algorithms_in_the_order_of_preference() -> None:
    """RFC 8760 section 2.3. Only MD5 unless the operator says otherwise: phones of before that RFC fail at another."""
    assert [value.rpartition("algorithm=")[2] for value in challenges(Challenger(REALM, {}, b"s"))] == ["MD5"]
    assert [value.rpartition("algorithm=")[2] for value in challenges(challenger())] == ["SHA-256", "MD5"]
    assert all("stale=true" in value for _, value in challenger().challenge(0.0, stale=True))


def test_an_answer_is_good_once() -> None:
    """RFC 7616 section 3.4: the server may refuse a count that it has seen."""
    server = challenger()
    once = request(credentials(challenges(server)))
    assert [server.check(once, 1.0), server.check(once, 1.0)] == [Verdict(USER), STALE]


def test_requests_may_overtake_each_other_within_the_window() -> None:
    """RFC 7616 section 5.12, with the window of RFC 3711 section 3.3.2."""
    server, verdicts = challenger(), []
    offered = challenges(server)
    for nc in (1, 3, 2, 2, 200, 200 - NC_WINDOW + 1, 200 - NC_WINDOW, 3, 0):
        verdicts.append(server.check(request(credentials(offered, nc)), 1.0).username is not None)
    assert verdicts == [True, True, True, False, True, True, False, False, False]


def test_an_old_nonce_is_stale_and_one_from_the_future_too() -> None:
    """RFC 7616 section 3.3, stale."""
    server = challenger()
    answer = request(credentials(challenges(server, now=1000.0)))
    assert server.check(answer, 1000.0 + LIFETIME + 0.001) == STALE
    assert server.check(answer, 999.0) == STALE
    assert server.check(answer, 1000.0 + LIFETIME) == Verdict(USER)


def test_a_nonce_of_another_server_is_stale_only_for_who_knows_the_password() -> None:
    """RFC 7616 section 3.3: stale is a promise that the password was right."""
    foreign = challenges(Challenger(REALM, {}, b"another secret"))
    assert challenger().check(request(credentials(foreign)), 1.0) == STALE
    assert challenger().check(request(credentials(foreign, password="wrong")), 1.0) == NO


@pytest.mark.parametrize(
    ("user", "password"), [(USER, "wrong"), ("bob", PASSWORD), ("bob", ""), ("", ""), ("empty", "x")]
)
def test_the_wrong_password_is_refused(user: str, password: str) -> None:
    """RFC 7616 section 3.4.1; unknown users are no different."""
    server = challenger()
    assert server.check(request(credentials(challenges(server), user=user, password=password)), 1.0) == WRONG


def test_a_wrong_password_to_a_challenge_that_has_run_out_is_challenged_again() -> None:
    """Only the answer to a challenge that holds tells that the phone's settings are wrong."""
    server = challenger()
    answer = request(credentials(challenges(server), password="wrong"))
    assert server.check(answer, LIFETIME + 1.0) == NO


def test_one_right_answer_among_wrong_ones_is_enough() -> None:
    """RFC 8760 section 2.4: a field for each algorithm."""
    sha, md5 = challenges(server := challenger())
    assert server.check(request(credentials([sha], password="wrong"), credentials([md5])), 1.0) == Verdict(USER)


def test_an_answer_for_one_number_cannot_dial_another() -> None:
    """RFC 3261 section 22.4: a proxy may rewrite the host, so only the user part is compared."""
    server = challenger()
    offered = challenges(server)
    assert server.check(request(credentials(offered), uri="sip:premium@rooms.example"), 1.0) == NO
    assert server.check(request(credentials(offered), uri="sip:lobby@10.0.0.1:5070"), 1.0) == Verdict(USER)
    assert server.check(request(credentials(offered, nc=2), method="BYE"), 1.0) == WRONG


def test_a_phone_without_qop_gets_one_request_for_each_nonce() -> None:
    """RFC 7616 section 3.4.1 with RFC 2069 phones."""
    server = challenger()
    offered = [value.replace(', qop="auth"', "") for value in challenges(server)]
    once = request(credentials(offered))
    assert [server.check(once, 1.0), server.check(once, 2.0)] == [Verdict(USER), STALE]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Basic YW5uOng=",
        "Digest username",
        'Digest realm="rooms"',
        'Digest realm="rooms", realm="rooms"',
        'Digest username="ann", realm="rooms", nonce="x", uri="sip:lobby@rooms.example", response="0"',
        'Digest username="ann", realm="rooms", nonce="x", uri="::", response="0"',
        'Digest username="ann", realm="rooms", nonce="x", uri="sip:a@b", response="0", qop=auth, nc=1, cnonce="c"',
        'Digest username="ann", realm="rooms", nonce="x", uri="sip:a@b", response="\udcff", algorithm=SHA-512',
        "Digest " + ", ".join(f'p{number}="x"' for number in range(100)),
    ],
)
def test_nonsense_is_refused(value: str) -> None:
    """RFC 4475 section 3.3.7: challenge, never accept, never fail."""
    assert challenger().check(request(value), 1.0) == NO


def test_the_credentials_for_our_realm_are_found_among_others() -> None:
    """RFC 3261 section 22.3."""
    server = challenger()
    other = credentials(challenges(challenger("elsewhere")))
    assert server.check(request(other, "NoOneKnows x=y", credentials(challenges(server))), 1.0) == Verdict(USER)


def test_memory_for_replays_is_bounded_and_forgetting_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nonce whose counts were forgotten is stale, not new."""
    monkeypatch.setattr(digest, "MAX_NONCES", 3)
    server = challenger()
    answers = [request(credentials(challenges(server, now=float(at)))) for at in range(5)]
    assert [server.check(answer, 5.0) for answer in answers] == [Verdict(USER)] * 5
    assert [server.check(answer, 5.0) for answer in answers] == [STALE] * 5


def rfc_7616(algorithm: str, **changed: str) -> str:
    params = {
        "realm": '"http-auth@example.org"',
        "qop": '"auth, auth-int"',
        "algorithm": algorithm,
        "nonce": '"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"',
        "opaque": '"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
        **changed,
    }
    return "Digest " + ", ".join(f"{name}={value}" for name, value in params.items())


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_the_rfc(offered: list[str], expected: str) -> None:
    """RFC 7616 section 3.9.1; the better algorithm is taken."""
    made = authorize(
        "GET",
        "/dir/index.html",
        [rfc_7616(name) for name in offered],
        "Mufasa",
        PASSWORD,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert made is not None
    assert f'response="{expected}"' in made
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in made
    assert "qop=auth, nc=00000001" in made


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_the_example_of_the_old_rfc_without_qop() -> None:
    """RFC 2069 section 2.4 as corrected by its erratum: no cnonce, no nc."""
    offered = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    made = authorize("GET", "/dir/index.html", [offered], "Mufasa", "CircleOfLife", cnonce="x")
    assert made is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in made
    assert "cnonce" not in made


def test_session_algorithms_and_integrity_of_the_body() -> None:
    """RFC 7616 sections 3.4.2 and 3.4.3."""
    offered = 'Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth-int"'
    made = authorize("INVITE", "sip:x@y", [offered], "u", "p", cnonce="c", nc=10, body=b"v=0")
    secret = md5(f"{md5('u:r:p')}:n:c")
    assert made is not None
    expected = md5(f"{secret}:n:0000000a:c:auth-int:{md5('INVITE:sip:x@y:' + md5('v=0'))}")
    assert f'response="{expected}"' in made


@pytest.mark.parametrize(
    "offered",
    [
        "Basic realm=x",
        rfc_7616("SHA-512-256"),
        rfc_7616("MD5", qop='"auth-conf"'),
        'Digest realm="r"',
        "Digest nonce=x",
        "",
    ],
)
def test_a_challenge_that_we_cannot_answer(offered: str) -> None:
    """RFC 7616 section 3.7: ignored; with no other there is no answer."""
    assert authorize("INVITE", URI, [offered], USER, PASSWORD, cnonce="c") is None


def test_quotes_in_names_are_escaped() -> None:
    """RFC 7616 section 3.3: quoted-string."""
    server = Challenger('a "realm"\\', {'a"n\\n': "ä"}, b"s")
    made = credentials(challenges(server), user='a"n\\n', password="ä")
    assert server.check(request(made), 0.0) == Verdict('a"n\\n')


@given(st.text(max_size=200), st.binary(max_size=100))
def test_no_header_makes_either_side_fail(text: str, raw: bytes) -> None:
    """Peers never crash us."""
    for value in (text, f"Digest {text}", "Digest " + raw.decode("utf-8", "surrogateescape")):
        assert challenger().check(request(value), 1.0).username is None
        authorize("INVITE", URI, [value], USER, PASSWORD, cnonce="c")
