"""What is let in, and what is answered without keeping anything (RFC 3261 section 8.2)."""

import pytest
from phone import SDP, Bench, shown

from plenary.sip.digest import authorize
from plenary.sip.events import Invited

USERS = {"ann": "s3cret"}


@pytest.mark.parametrize("anonymous", [True, False])
def test_options_are_always_answered(anonymous):
    """RFC 3261 section 11.2: what we can, to anyone who asks."""
    bench = Bench(anonymous=anonymous, users=USERS)
    (answer,) = bench.take(bench.request("OPTIONS"))
    assert answer.status == 200
    assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE"} == set(answer.values("allow"))
    assert answer.values("accept") == ["application/sdp"]
    assert "100rel" not in answer.supported


SCREENED = [
    ("REGISTER", {}, 405, "allow", "INVITE"),
    ("SUBSCRIBE", {}, 405, "allow", "INVITE"),
    ("NOTIFY", {}, 405, "allow", "INVITE"),
    ("MESSAGE", {}, 405, "allow", "INVITE"),
    ("REFER", {}, 405, "allow", "INVITE"),
    ("PUBLISH", {}, 405, "allow", "INVITE"),
    ("PRACK", {}, 405, "allow", "INVITE"),
    ("invite", {}, 501, "allow", "INVITE"),
    ("FLY", {}, 501, "allow", "INVITE"),
    ("BYE", {}, 481, None, None),
    ("INFO", {}, 481, None, None),
    ("UPDATE", {}, 481, None, None),
    ("INVITE", {"uri": "tel:+4711"}, 416, None, None),
    ("INVITE", {"uri": "http://10.0.0.2/"}, 416, None, None),
    ("INVITE", {"headers": ("Require: 100rel, timer, x-new",)}, 420, "unsupported", "100rel, x-new"),
    ("OPTIONS", {"headers": ("Require: x-new",)}, 420, "unsupported", "x-new"),
    ("INVITE", {"body": "x", "content_type": "text/plain"}, 415, "accept", "application/sdp"),
    ("INVITE", {"body": SDP, "headers": ("Content-Encoding: gzip",)}, 415, "accept-encoding", "identity"),
    ("INVITE", {"body": SDP, "headers": ("Accept: text/html",)}, 406, None, None),
    ("INVITE", {"body": SDP + "s=\udcff\r\n"}, 400, None, None),
    ("INVITE", {"to": "<sip:room@10.0.0.2>;tag=gone"}, 481, None, None),
    ("INVITE", {"contact": "<tel:4711>"}, 400, None, None),
]


@pytest.mark.parametrize(("method", "how", "status", "header", "value"), SCREENED)
def test_what_is_not_taken_is_told_why_and_leaves_nothing_behind(method, how, status, header, value):
    """RFC 3261 section 8.2.1 to 8.2.3, 8.2.7: the same answer to each repetition, its ACK absorbed, no memory used."""
    bench = Bench()
    request = bench.request(method, branch="z9hG4bKone", **how)
    (refusal,) = bench.take(request)
    assert refusal.status == status
    assert refusal.to.tag
    if header:
        assert value in refusal.get(header)
    (again,) = bench.take(request)
    assert again.encode() == refusal.encode()
    if method == "INVITE":
        assert bench.take(bench.request("ACK", branch="z9hG4bKone", to=refusal.get("to"))) == []
    assert bench.story == []
    assert (bench.endpoint.transactions, bench.endpoint.timeout()) == (0, None)


ACCEPTED = [
    {"headers": ("Require: timer",)},
    {"headers": ("Proxy-Require: x-new",)},
    {"headers": ("Supported: 100rel, replaces",)},
    {"headers": ("Accept: application/sdp;level=1, text/html",)},
    {"headers": ("Accept: */*",)},
    {"headers": ("Content-Encoding: identity",)},
    {"headers": ("Max-Forwards: 0",)},
    {"body": "x", "content_type": "text/plain", "headers": ("Content-Disposition: icon; handling=optional",)},
    {"contact": None},
    {"from_": "sip:old@example.com"},
    {"headers": ("X-Anything: \xff\udcff",)},
]


@pytest.mark.parametrize("how", ACCEPTED)
def test_what_may_be_left_aside_stops_no_call(how):
    """RFC 3261 section 8.2: a UAS minds only what is said to it, and Max-Forwards only what it forwards."""
    bench = Bench()
    headers = how.get("headers", ())
    how = how | {"headers": tuple(header for header in headers if "Max-Forwards" not in header)}
    request = bench.invite(**how)
    if "Max-Forwards: 0" in headers:
        request = request.replace("Max-Forwards: 70", "Max-Forwards: 0")
    assert bench.take(request) == []
    assert bench.story == ["Invited"]


def authorized(bench: Bench, challenged, user="ann", password="s3cret", **how) -> str:
    how.setdefault("uri", "sip:room@10.0.0.2")
    challenges = challenged.get_all("www-authenticate")
    value = authorize("INVITE", how["uri"], challenges, user, password, cnonce="c")
    return bench.invite(cseq=2, headers=(f"Authorization: {value}",), **how)


def test_a_caller_proves_who_it_is():
    """RFC 3261 section 22.2: 401, then the same INVITE with credentials under the next CSeq."""
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    assert challenged.status == 401
    assert (bench.story, bench.endpoint.transactions) == ([], 0)
    assert bench.take(authorized(bench, challenged)) == []
    assert bench.told(Invited).username == "ann"


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("nobody", "s3cret"), ("", "")])
def test_who_proves_not_to_know_the_password_is_not_asked_again(user, password):
    """RFC 3261 section 21.4.4. The same answer for a wrong password and for an unknown user."""
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    (refused,) = bench.take(authorized(bench, challenged, user, password))
    assert (refused.status, refused.get("www-authenticate")) == (403, None)
    assert bench.story == []


def test_who_answers_an_old_challenge_is_told_so():
    """RFC 7616 section 3.3: with stale=true the phone tries again without asking its user."""
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    bench.now = 1000.0
    (again,) = bench.take(authorized(bench, challenged))
    assert (again.status, "stale=true" in again.get("www-authenticate")) == (401, True)


def test_captured_credentials_call_nobody_else():
    """RFC 7616 section 5.5: each count of a nonce is good once."""
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    bench.take(authorized(bench, challenged))
    replayed = authorized(bench, challenged, call_id="call-2")
    assert shown(bench.take(replayed)) == ["401 INVITE"]
    assert bench.story == ["Invited"]


def test_register_is_challenged_where_calls_are():
    """RFC 4475 section 3.3.9 (regaut01): never accepted; there is no registrar."""
    bench = Bench(anonymous=False, users=USERS)
    assert shown(bench.take(bench.request("REGISTER"))) == ["401 REGISTER"]


@pytest.mark.parametrize(
    "method", ["MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "UPDATE", "INFO", "BYE", "PRACK"]
)
def test_nothing_else_gets_in_without_credentials(method):
    """FreeSWITCH CVE-2021-37624 and CVE-2021-41157."""
    bench = Bench(anonymous=False, users=USERS)
    (answer,) = bench.take(bench.request(method))
    assert answer.status >= 400
    assert bench.story == []


def test_requests_within_a_call_are_not_challenged():
    """Who knows both tags and the Call-ID is the peer, as far as UDP can tell."""
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    bench.take(authorized(bench, challenged))
    (ok,) = bench.do("answer", bench.told(Invited).call, SDP)
    bench.take(bench.within("ACK", ok, 2))
    assert shown(bench.take(bench.within("BYE", ok, 3))) == ["200 BYE"]


def test_a_flood_of_calls_that_nobody_may_make_uses_no_memory():
    """FreeSWITCH CVE-2021-41145: a REGISTER flood."""
    bench = Bench(anonymous=False, users=USERS)
    for number in range(300):
        method = ("REGISTER", "INVITE", "OPTIONS")[number % 3]
        assert len(bench.take(bench.request(method, call_id=f"flood-{number}"))) == 1
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.endpoint.timeout()) == (0, 0, None)


def test_a_flood_of_calls_is_refused_above_the_limit(monkeypatch):
    """RFC 3261 section 21.5.4; what only absorbs repetitions gives way first."""
    monkeypatch.setattr("plenary.sip.transaction.MAX_TRANSACTIONS", 10)
    bench = Bench()
    _, ok = bench.established(call_id="held")
    for number in range(30):
        bench.take(bench.invite(call_id=f"flood-{number}", from_=f"<sip:x@y>;tag=f{number}"))
        assert bench.endpoint.transactions <= 10
    assert shown(bench.take(bench.invite(call_id="one-more"))) == ["503 INVITE"]
    assert bench.endpoint.calls == 11
    assert shown(bench.take(bench.within("INFO", ok, 2, call_id="held"))) == ["503 INFO"]
