"""Calls of a phone to us: from its INVITE to the end (RFC 3261 sections 8.2, 9.2, 12.1.1, 13.3, 15.1.2)."""

import pytest
from phone import OTHER_SDP, PHONE, SDP, Bench, shown, timed

from plenary.sip.errors import WrongState
from plenary.sip.events import Acked, Ended, Invited


def test_a_whole_call():
    """RFC 3261 section 13: 180, 200, ACK, BYE, 200."""
    bench = Bench()
    assert bench.take(bench.invite()) == []
    call = bench.told(Invited).call
    assert shown(bench.do("ring", call)) == ["180 INVITE"]
    (ok,) = bench.do("answer", call, OTHER_SDP)
    assert ok.body.decode() == OTHER_SDP
    assert bench.take(bench.within("ACK", ok, 1)) == []
    assert shown(bench.take(bench.within("BYE", ok, 2))) == ["200 BYE"]
    assert bench.events[1:] == [Acked(call, None), Ended(call, "bye")]
    assert bench.until(100) == []
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.endpoint.timeout()) == (0, 0, None)


def test_invited_says_who_calls_whom():
    bench = Bench()
    bench.take(
        bench.invite(uri="sip:a%20room@10.0.0.2", from_='"Ann \\"A\\" Ö" <sip:ann@example.com>;tag=1', to="<sip:r@x>")
    )
    invited = bench.told(Invited)
    assert (invited.user, invited.from_name, invited.from_uri) == ("a room", 'Ann "A" Ö', "sip:ann@example.com")
    assert (invited.to_uri, invited.source, invited.sdp, invited.username) == ("sip:r@x", PHONE, SDP, None)


def test_what_makes_the_dialog_stands_in_the_180_and_in_the_200():
    """RFC 3261 section 12.1.1: the same To tag, Record-Route as it came, a Contact of ours."""
    bench = Bench()
    bench.take(bench.invite(headers=("Record-Route: <sip:p1;lr>, <sip:p2;lr>", "Record-Route: <sip:p3;lr>")))
    call = bench.told(Invited).call
    (ringing,) = bench.do("ring", call)
    (ok,) = bench.do("answer", call, SDP)
    for response in (ringing, ok):
        assert [str(route.uri) for route in response.record_routes] == ["sip:p1;lr", "sip:p2;lr", "sip:p3;lr"]
        assert str(response.contacts[0].uri) == "sip:room@10.0.0.2:5060"
    assert ringing.to.tag == ok.to.tag
    assert "UPDATE" in ok.values("allow")


def test_a_2xx_is_repeated_until_its_ack():
    """RFC 3261 section 13.3.1.4: T1, doubling up to T2."""
    bench = Bench()
    (ok,) = bench.do("answer", bench.incoming(), SDP)
    assert [at for at, _ in bench.until(12)] == [0.5, 1.5, 3.5, 7.5, 11.5]
    bench.take(bench.within("ACK", ok, 1))
    assert bench.until(100) == []
    assert "Acked" in bench.story


def test_a_2xx_that_is_never_acknowledged_ends_the_call_by_bye():
    """RFC 3261 section 13.3.1.4: after 64*T1."""
    bench = Bench()
    bench.do("answer", bench.incoming(), SDP)
    sent = timed(bench.until(33))
    assert sent[-3:] == [(31.5, "200 INVITE"), (32.0, "BYE"), (32.5, "BYE")]
    assert bench.told(Ended).reason == "ack_timeout"


def test_an_ack_with_another_cseq_or_from_a_stranger_acknowledges_nothing():
    bench = Bench()
    (ok,) = bench.do("answer", bench.incoming(), SDP)
    for stray in (
        bench.within("ACK", ok, 2),
        bench.within("ACK", ok, 1, from_="<sip:ann@example.com>;tag=other"),
        bench.request("ACK"),
        bench.request("ACK", to="<sip:room@10.0.0.2>;tag=nobody", call_id="none"),
    ):
        assert bench.take(stray) == []
    assert bench.story == ["Invited"]


def test_a_late_offer_is_answered_in_the_ack():
    """RFC 3261 section 13.2.1: no offer in the INVITE, ours in the 2xx, the answer in the ACK."""
    bench = Bench()
    bench.take(bench.invite(body=""))
    assert bench.told(Invited).sdp is None
    (ok,) = bench.do("answer", bench.told(Invited).call, SDP)
    bench.take(bench.within("ACK", ok, 1, body=OTHER_SDP))
    assert bench.told(Acked).sdp == OTHER_SDP


def test_early_media_is_offered_by_183():
    bench = Bench()
    call = bench.incoming()
    (progress,) = bench.do("progress", call, OTHER_SDP)
    assert (progress.status, progress.body.decode()) == (183, OTHER_SDP)


def test_a_phone_that_rings_on_is_told_so_every_minute():
    """RFC 3261 section 13.3.1.1: so that no proxy gives up."""
    bench = Bench()
    bench.do("ring", bench.incoming())
    assert timed(bench.until(130)) == [(60.0, "180 INVITE"), (120.0, "180 INVITE")]


def test_cancel_ends_an_unanswered_call():
    """RFC 3261 section 9.2: 200 to the CANCEL and 487 to the INVITE, both with the same To tag."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    ok, terminated = bench.take(bench.request("CANCEL", branch="z9hG4bKone"))
    assert shown([ok, terminated]) == ["200 CANCEL", "487 INVITE"]
    assert ok.to.tag == terminated.to.tag
    assert bench.told(Ended).reason == "cancel"
    assert shown(bench.take(bench.request("CANCEL", branch="z9hG4bKone"))) == ["200 CANCEL"]
    assert bench.story == ["Invited", "Ended"]


def test_a_cancel_that_comes_after_the_2xx_changes_nothing():
    """RFC 3261 section 9.2: its 200 says only that it was understood."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.do("answer", bench.told(Invited).call, SDP)
    assert shown(bench.take(bench.request("CANCEL", branch="z9hG4bKone"))) == ["200 CANCEL"]
    assert bench.story == ["Invited"]


def test_a_cancel_of_nothing_gets_481():
    """RFC 3261 section 9.2."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    assert shown(bench.take(bench.request("CANCEL", branch="z9hG4bKother"))) == ["481 CANCEL"]
    assert bench.story == ["Invited"]


@pytest.mark.parametrize(
    ("verb", "args"),
    [("ring", ()), ("progress", (SDP,)), ("answer", (SDP,)), ("refuse", (486, "")), ("hang_up", ())],
)
def test_a_verb_that_crosses_the_end_of_its_call_has_no_effect(verb, args):
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    call = bench.told(Invited).call
    bench.take(bench.request("CANCEL", branch="z9hG4bKone"))
    assert bench.do(verb, call, *args) == []
    bench.until(100)
    assert bench.do(verb, call, *args) == []
    assert bench.story == ["Invited", "Ended"]


@pytest.mark.parametrize(
    ("verb", "args"),
    [("ring", ()), ("progress", (SDP,)), ("answer", (SDP,)), ("refuse", (486, "")), ("acknowledge", (SDP,))],
)
def test_a_verb_without_a_place_is_an_error_of_ours(verb, args):
    bench = Bench()
    call, _ = bench.established()
    with pytest.raises(WrongState):
        bench.do(verb, call, *args)
    with pytest.raises(WrongState):
        bench.do(verb, "never was", *args)


def test_bye_in_an_early_dialog_ends_the_call():
    """RFC 3261 section 15 and 15.1.2: the caller may; the INVITE gets 487."""
    bench = Bench()
    call = bench.incoming()
    (ringing,) = bench.do("ring", call)
    assert shown(bench.take(bench.within("BYE", ringing, 2))) == ["200 BYE", "487 INVITE"]
    assert bench.told(Ended).reason == "bye"


def test_bye_before_the_ack_ends_the_repetition_of_the_2xx():
    bench = Bench()
    (ok,) = bench.do("answer", bench.incoming(), SDP)
    assert shown(bench.take(bench.within("BYE", ok, 2))) == ["200 BYE"]
    assert bench.until(100) == []
    assert bench.endpoint.calls == 0


def test_hanging_up_before_the_ack_waits_for_it():
    """RFC 3261 section 15: the callee sends no BYE before the ACK of its 2xx came."""
    bench = Bench()
    call = bench.incoming()
    (ok,) = bench.do("answer", call, SDP)
    assert bench.do("hang_up", call) == []
    assert bench.told(Ended).reason == "bye"
    assert timed(bench.until(0.6)) == [(0.5, "200 INVITE")]
    assert shown(bench.take(bench.within("ACK", ok, 1))) == ["BYE"]


def test_hanging_up_before_the_ack_waits_for_it_no_longer_than_64_t1():
    """RFC 3261 section 15: or until the server transaction times out."""
    bench = Bench()
    call = bench.incoming()
    bench.do("answer", call, SDP)
    bench.do("hang_up", call)
    assert (32.0, "BYE") in timed(bench.until(70))
    assert (bench.endpoint.calls, bench.saved) == (0, {})
    assert bench.story == ["Invited", "Ended"]


def test_hanging_up_an_unanswered_call_refuses_it():
    bench = Bench()
    (refusal,) = bench.do("hang_up", bench.incoming())
    assert refusal.status == 480
    assert bench.told(Ended).reason == "refused"


@pytest.mark.parametrize("status", [302, 404, 480, 486, 488, 503, 603])
def test_a_refusal_carries_its_status_and_reason(status):
    bench = Bench()
    call = bench.incoming()
    (refusal,) = bench.do("refuse", call, status, "No\r\nBye: x")
    assert (refusal.status, refusal.reason) == (status, "No Bye: x")
    assert bench.told(Ended).reason == "refused"


def test_a_second_bye_that_crosses_ours_gets_200():
    bench = Bench()
    call, ok = bench.established()
    (bye,) = bench.do("hang_up", call)
    assert shown(bench.take(bench.within("BYE", ok, 2))) == ["200 BYE"]
    bench.take(bench.reply(bye, 200, tag=None))
    assert bench.endpoint.calls == 0
    assert bench.story == ["Invited", "Acked", "Ended"]


def test_a_reason_for_hanging_up_is_told():
    """RFC 3326."""
    bench = Bench()
    call, _ = bench.established()
    bench.endpoint.hang_up(call, bench.now, 'kicked "out"')
    (bye,) = bench.drain()
    assert bye.get("reason") == 'SIP;cause=200;text="kicked \\"out\\""'


def test_a_copy_of_an_invite_that_came_another_way_gets_482():
    """RFC 3261 section 8.2.2.2: the same Call-ID, From tag and CSeq under another branch."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    assert shown(bench.take(bench.invite(branch="z9hG4bKtwo"))) == ["482 INVITE"]
    assert bench.story == ["Invited"]


def test_over_the_limit_of_calls_there_is_503_until_one_ends():
    """RFC 3261 section 21.5.4."""
    bench = Bench(max_calls=1)
    _, ok = bench.established()
    (refusal,) = bench.take(bench.invite(call_id="call-2"))
    assert (refusal.status, refusal.get("retry-after")) == (503, "5")
    bench.take(bench.within("BYE", ok, 2))
    assert bench.take(bench.invite(call_id="call-3")) == []


ROUTES = [
    ((), "<sip:ann@192.0.2.7:5060>", "sip:ann@192.0.2.7:5060", [], PHONE),
    ((), "<sip:ann@phone.example.com;x=1?h=2>", "sip:ann@phone.example.com;x=1", [], ("phone.example.com", 5060)),
    ((), "<sip:ann@[2001:db8::1]:5070>", "sip:ann@[2001:db8::1]:5070", [], ("2001:db8::1", 5070)),
    ((), "<sip:ann@localhost>", "sip:ann@localhost", [], ("127.0.0.1", 5060)),
    (
        ("Record-Route: <sip:10.9.0.1;lr>, <sip:10.9.0.2:5070;lr>",),
        "<sip:ann@192.0.2.7>",
        "sip:ann@192.0.2.7",
        ["<sip:10.9.0.1;lr>", "<sip:10.9.0.2:5070;lr>"],
        ("10.9.0.1", 5060),
    ),
    (
        ("Record-Route: <sip:10.9.0.1>, <sip:10.9.0.2;lr>",),
        "<sip:ann@192.0.2.7>",
        "sip:10.9.0.1",
        ["<sip:10.9.0.2;lr>", "<sip:ann@192.0.2.7>"],
        ("10.9.0.1", 5060),
    ),
]


@pytest.mark.parametrize(("headers", "contact", "uri", "routes", "destination"), ROUTES)
def test_requests_of_ours_take_the_route_set(headers, contact, uri, routes, destination):
    """RFC 3261 section 12.2.1.1: to the target, by a loose router, by a strict router."""
    bench = Bench()
    call, _ = bench.established(headers=headers, contact=contact)
    (bye,) = bench.do("hang_up", call)
    assert bye.uri_text == uri
    assert list(bye.get_all("route")) == routes
    assert bench.destinations == [destination]
    assert bye.to.tag == "a1"


def test_a_phone_behind_a_nat_is_reached_where_it_sends_from():
    """Its Contact and its Via name an address that is not the one we see, and no proxy is between."""
    bench = Bench()
    source = ("203.0.113.5", 33333)
    bench.take(bench.invite(via="192.168.1.9:5060", contact="<sip:ann@192.168.1.9:5060>"), source)
    call = bench.told(Invited).call
    (ok,) = bench.do("answer", call, SDP)
    bench.take(bench.within("ACK", ok, 1, via="192.168.1.9:5060"), source)
    bench.take(bench.within("INFO", ok, 2, via="192.168.1.9:5060", contact=None), source)
    (bye,) = bench.do("hang_up", call)
    assert bye.uri_text == "sip:ann@192.168.1.9:5060"
    assert bench.destinations == [source]


def test_a_session_timer_that_the_phone_insists_on_is_left_to_it_to_refresh():
    """RFC 4028 section 9: the 200 names the phone as the refresher; without a refresh the call ends."""
    bench = Bench()
    _, ok = bench.established(headers=("Require: timer", "Session-Expires: 1800;refresher=uac"))
    assert (ok.get("session-expires"), ok.get("require")) == ("1800;refresher=uac", "timer")
    bench.until(1000)
    assert shown(bench.take(bench.within("UPDATE", ok, 2))) == ["200 UPDATE"]
    assert bench.until(2799) == []
    assert timed(bench.until(2800)) == [(2800.0, "BYE")]
    assert bench.told(Ended).reason == "session_expired"


def test_a_session_timer_that_is_only_offered_is_not_taken():
    """RFC 4028 section 9: a UAS need not."""
    bench = Bench()
    _, ok = bench.established(headers=("Supported: timer", "Session-Expires: 90"))
    assert ok.get("session-expires") is None
    assert bench.until(10_000) == []


def test_a_session_timer_starts_with_the_answer():
    """RFC 4028 section 9: an UPDATE before it starts none."""
    bench = Bench()
    (ringing,) = bench.do("ring", bench.incoming())
    timer = ("Require: timer", "Session-Expires: 90")
    (ok,) = bench.take(bench.within("UPDATE", ringing, 2, headers=timer))
    assert ok.get("session-expires") is None
    bench.until(1000)
    assert "Ended" not in bench.story
