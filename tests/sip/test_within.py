"""Requests within a call, in both directions (RFC 3261 sections 12.2, 14, RFC 3264, RFC 3311, RFC 6086)."""

import pytest
from phone import OTHER_SDP, SDP, Bench, shown, timed

from plenary.sip.errors import WrongState
from plenary.sip.events import Acked, Digit, Ended, OfferAnswered, Offered, OfferRefused

# The phone changes the session


def test_hold_and_resume_by_re_invite():
    """RFC 3261 section 14.2: an offer, our answer in the 200, an ACK that is no event."""
    bench = Bench()
    call, ok = bench.established()
    for cseq, sdp in ((2, OTHER_SDP), (3, SDP)):
        assert bench.take(bench.within("INVITE", ok, cseq, body=sdp)) == []
        assert bench.events[-1] == Offered(call, sdp)
        (answer,) = bench.do("answer_offer", call, OTHER_SDP)
        assert (answer.status, answer.body.decode()) == (200, OTHER_SDP)
        assert bench.take(bench.within("ACK", ok, cseq)) == []
    assert bench.until(40) == []
    assert bench.story == ["Invited", "Acked", "Offered", "Offered"]


def test_hold_by_update():
    """RFC 3311 section 5.2: an offer and its answer, without ACK."""
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within("UPDATE", ok, 2, body=OTHER_SDP))
    assert bench.told(Offered).sdp == OTHER_SDP
    (answer,) = bench.do("answer_offer", call, SDP)
    assert (answer.status, answer.cseq.method, answer.body.decode()) == (200, "UPDATE", SDP)
    assert bench.until(40) == []


def test_an_update_without_an_offer_only_refreshes():
    """RFC 3311 section 5.2, RFC 4028: answered at once; the target is what it says (RFC 3261 section 12.2.2)."""
    bench = Bench()
    call, ok = bench.established()
    assert shown(bench.take(bench.within("UPDATE", ok, 2, contact="<sip:ann@192.0.2.9>"))) == ["200 UPDATE"]
    (bye,) = bench.do("hang_up", call)
    assert bye.uri_text == "sip:ann@192.0.2.9"


def test_a_re_invite_without_an_offer_gets_ours():
    """RFC 3261 section 14.2: our offer in the 200, the answer in the ACK."""
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within("INVITE", ok, 2))
    assert bench.told(Offered).sdp is None
    bench.do("answer_offer", call, SDP)
    bench.take(bench.within("ACK", ok, 2, body=OTHER_SDP))
    assert bench.told(OfferAnswered) == OfferAnswered(call, OTHER_SDP)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_that_is_refused_leaves_the_call_as_it_was(method):
    """RFC 3261 section 14.2: 488, and the old target stays."""
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within(method, ok, 2, body=SDP, contact="<sip:ann@192.0.2.9>"))
    assert shown(bench.do("refuse_offer", call, 488)) == [f"488 {method}"]
    bench.take(bench.within("ACK", ok, 2))
    (bye,) = bench.do("hang_up", call)
    assert bye.uri_text == "sip:ann@192.0.2.7:5060"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_that_nobody_answers_is_refused_before_the_phone_gives_up(method):
    bench = Bench()
    _, ok = bench.established()
    bench.take(bench.within(method, ok, 2, body=SDP))
    sent = timed(bench.until(30.1))
    assert sent[-1] == (30.0, f"500 {method}")
    assert "Ended" not in bench.story


def test_a_re_invite_that_is_not_acknowledged_ends_the_call():
    """RFC 3261 section 14.2 with 13.3.1.4."""
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within("INVITE", ok, 2, body=SDP))
    bench.do("answer_offer", call, SDP)
    assert timed(bench.until(33))[-2:] == [(32.0, "BYE"), (32.5, "BYE")]
    assert bench.told(Ended).reason == "ack_timeout"


def test_a_cancelled_re_invite_leaves_the_call_and_late_answers_have_no_effect():
    """RFC 3261 section 9.2."""
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within("INVITE", ok, 2, body=SDP, branch="z9hG4bKre"))
    cancel = bench.within("CANCEL", ok, 2, branch="z9hG4bKre")
    assert shown(bench.take(cancel)) == ["200 CANCEL", "487 INVITE"]
    assert bench.do("answer_offer", call, SDP) == []
    assert bench.do("refuse_offer", call, 488) == []
    assert "Ended" not in bench.story


@pytest.mark.parametrize(("first", "second"), [("INVITE", "INVITE"), ("INVITE", "UPDATE"), ("UPDATE", "INVITE")])
def test_a_second_offer_before_the_first_is_answered_gets_500(first, second):
    """RFC 3261 section 14.2, RFC 3311 section 5.2: with a Retry-After of 0 to 10 seconds."""
    bench = Bench()
    _, ok = bench.established()
    bench.take(bench.within(first, ok, 2, body=SDP))
    (refusal,) = bench.take(bench.within(second, ok, 3, body=SDP))
    assert refusal.status == 500
    assert 0 <= int(refusal.get("retry-after")) <= 10
    assert bench.story.count("Offered") == 1


def test_an_update_with_an_offer_before_the_first_answer_gets_500():
    """RFC 3311 section 5.2."""
    bench = Bench()
    (ringing,) = bench.do("ring", bench.incoming())
    assert shown(bench.take(bench.within("UPDATE", ringing, 2, body=SDP))) == ["500 UPDATE"]
    assert shown(bench.take(bench.within("UPDATE", ringing, 3))) == ["200 UPDATE"]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_that_meets_ours_gets_491(method):
    """RFC 3261 section 14.2, RFC 3311 section 5.2: glare."""
    bench = Bench()
    call, ok = bench.established()
    bench.do("send_offer", call, SDP)
    assert shown(bench.take(bench.within(method, ok, 2, body=OTHER_SDP))) == [f"491 {method}"]
    assert "Offered" not in bench.story


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_while_ours_in_a_2xx_waits_for_its_answer_gets_491(method):
    """RFC 6337 section 2.2: no second offer before the ACK brought the answer to the first."""
    bench = Bench()
    bench.take(bench.invite(body=""))
    call = bench.events[0].call
    (ok,) = bench.do("answer", call, SDP)
    assert shown(bench.take(bench.within(method, ok, 2, body=SDP))) == [f"491 {method}"]


def test_a_re_invite_proves_that_our_2xx_came():
    """RFC 5407 section 3.1.5: the ACK was lost, or was overtaken by the re-INVITE."""
    bench = Bench()
    call = bench.incoming()
    (ok,) = bench.do("answer", call, SDP)
    bench.take(bench.within("INVITE", ok, 2, body=OTHER_SDP))
    assert bench.events[1:] == [Acked(call, None), Offered(call, OTHER_SDP)]
    bench.take(bench.within("ACK", ok, 1))
    assert timed(bench.until(10)) == [(0.2, "100 INVITE")]


def test_bye_answers_what_was_pending_with_487():
    """RFC 3261 section 15.1.2."""
    bench = Bench()
    _, ok = bench.established()
    bench.take(bench.within("INVITE", ok, 2, body=SDP))
    assert shown(bench.take(bench.within("BYE", ok, 3))) == ["200 BYE", "487 INVITE"]


def test_hanging_up_answers_what_was_pending_with_487():
    bench = Bench()
    call, ok = bench.established()
    bench.take(bench.within("UPDATE", ok, 2, body=SDP))
    assert shown(bench.do("hang_up", call)) == ["487 UPDATE", "BYE"]


@pytest.mark.parametrize("status", [200, 487])
def test_an_offer_of_ours_that_is_answered_after_we_hung_up_is_only_acknowledged(status):
    """RFC 3261 section 15: a BYE may be sent while an INVITE is under way."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    (bye,) = bench.do("hang_up", call)
    bench.take(bench.reply(bye, 200, tag=None))
    assert shown(bench.take(bench.reply(invite, status, tag=None, body=SDP))) == ["ACK"]
    assert (bench.endpoint.calls, bench.saved) == (0, {})
    assert bench.story[-1] == "Ended"


@pytest.mark.parametrize("by", ["phone", "us"])
def test_an_offer_of_ours_that_is_never_answered_is_forgotten_after_the_end(by):
    bench = Bench()
    call, ok = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 100, tag=None))
    if by == "us":
        (bye,) = bench.do("hang_up", call)
        bench.take(bench.reply(bye, 200, tag=None))
    else:
        bench.take(bench.within("BYE", ok, 2))
    assert bench.endpoint.calls == 1
    bench.until(70)
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})


def test_a_re_invite_of_ours_whose_cancel_is_not_answered_either_ends_the_call():
    """RFC 3261 section 9.1: 64*T1 after the CANCEL the INVITE is over, as if by 408."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 100, tag=None))
    bench.until(93)
    assert bench.told(Ended).reason == "transport"


# We change the session


def test_our_offer_is_a_re_invite():
    """RFC 3261 section 14.1."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    assert (invite.method, invite.to.tag, invite.body.decode()) == ("INVITE", "a1", OTHER_SDP)
    (ack,) = bench.take(bench.reply(invite, 200, tag=None, body=SDP, contact="<sip:ann@192.0.2.9>"))
    assert (ack.method, ack.uri_text, ack.cseq.number) == ("ACK", "sip:ann@192.0.2.9", invite.cseq.number)
    assert bench.told(OfferAnswered) == OfferAnswered(call, SDP)


def test_an_offerless_re_invite_of_ours_is_acknowledged_with_our_answer():
    """RFC 3261 section 14.1: the 2xx is the offer, the ACK the answer."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, None)
    assert bench.take(bench.reply(invite, 200, tag=None, body=SDP)) == []
    assert bench.told(OfferAnswered).sdp == SDP
    (ack,) = bench.do("acknowledge", call, OTHER_SDP)
    assert ack.body.decode() == OTHER_SDP


@pytest.mark.parametrize("status", [400, 403, 488, 500, 503, 606])
def test_a_refused_offer_of_ours_leaves_the_call(status):
    """RFC 3261 section 14.1."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    assert shown(bench.take(bench.reply(invite, status, tag=None))) == ["ACK"]
    assert bench.told(OfferRefused).status == status
    assert shown(bench.do("send_offer", call, SDP)) == ["INVITE"]


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_nothing_of_the_call_ends_it(status):
    """RFC 3261 section 12.2.1.2."""
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    assert shown(bench.take(bench.reply(invite, status, tag=None))) == ["ACK", "BYE"]
    assert bench.told(Ended).reason == "transport"


def test_a_peer_that_is_silent_to_a_re_invite_ends_the_call():
    """RFC 3261 section 12.2.1.2: no response is 408."""
    bench = Bench()
    call, _ = bench.established()
    bench.do("send_offer", call, OTHER_SDP)
    bench.until(32.1)
    assert bench.told(Ended).reason == "transport"


def test_a_re_invite_that_is_never_decided_is_cancelled():
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 100, tag=None))
    assert timed(bench.until(60.1)) == [(60.0, "CANCEL")]
    assert shown(bench.take(bench.reply(invite, 487, tag=None))) == ["ACK"]
    assert bench.told(OfferRefused).status == 487
    assert "Ended" not in bench.story


@pytest.mark.parametrize(("is_caller", "shortest", "longest"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_after_491_our_offer_is_made_again(is_caller, shortest, longest):
    """RFC 3261 section 14.1: after 2.1 to 4 seconds by the owner of the Call-ID, else within 2."""
    bench = Bench()
    call = bench.outgoing_established()[0] if is_caller else bench.established()[0]
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 491, tag=None))
    ((at, again),) = [(at, message) for at, message in bench.until(4.2) if message.cseq.number > invite.cseq.number][:1]
    assert shortest <= at <= longest
    assert again.body.decode() == OTHER_SDP


def test_an_offer_that_waits_gives_way_to_one_of_the_peer():
    """RFC 3264 section 4: after the glare the session may have become another; the server decides anew."""
    bench = Bench()
    call, ok = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 491, tag=None))
    bench.take(bench.within("INVITE", ok, 2, body=SDP))
    assert bench.events[-2:] == [OfferRefused(call, 491), Offered(call, SDP)]
    bench.do("answer_offer", call, SDP)
    bench.take(bench.within("ACK", ok, 2))
    assert bench.until(30) == []


def test_an_offer_is_not_made_again_for_ever():
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    while "OfferRefused" not in bench.story:
        bench.take(bench.reply(invite, 491, tag=None))
        invite = next((message for _, message in bench.until(bench.now + 5) if message.method == "INVITE"), None)
    assert bench.told(OfferRefused).status == 491
    assert invite is None


def test_our_offer_waits_for_the_ack_of_our_2xx():
    """RFC 3261 section 14.1: no INVITE while another is under way in the dialog."""
    bench = Bench()
    call = bench.incoming()
    (ok,) = bench.do("answer", call, SDP)
    assert bench.do("send_offer", call, OTHER_SDP) == []
    assert shown(bench.take(bench.within("ACK", ok, 1))) == ["INVITE"]


@pytest.mark.parametrize("pending", ["theirs", "ours"])
def test_an_offer_while_another_is_under_way_is_refused_to_the_server(pending):
    """RFC 3264 section 4."""
    bench = Bench()
    call, ok = bench.established()
    if pending == "theirs":
        bench.take(bench.within("UPDATE", ok, 2, body=SDP))
    else:
        bench.do("send_offer", call, SDP)
    assert bench.do("send_offer", call, OTHER_SDP) == []
    assert bench.told(OfferRefused).status == 491


def test_an_offer_before_the_call_is_answered_is_an_error_of_ours():
    bench = Bench()
    call = bench.incoming()
    with pytest.raises(WrongState):
        bench.do("send_offer", call, SDP)


# Digits and the rest

DIGITS = [
    ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5", 160),
    ("application/dtmf-relay", "Signal= *\nDuration= 90", "*", 90),
    ("application/dtmf-relay", "signal=d\r\n", "D", 250),
    ("application/dtmf-relay", "Signal=11\r\nDuration=999999\r\n", "#", 10_000),
    ("application/dtmf", "7", "7", 250),
    ("application/dtmf", "10\r\n", "*", 250),
    ("application/dtmf", "Signal=3\r\nDuration=100", "3", 100),
]


@pytest.mark.parametrize(("content_type", "body", "digit", "duration_ms"), DIGITS)
def test_digits_by_info(content_type, body, digit, duration_ms):
    """The two body types that phones use, in the spellings that they use."""
    bench = Bench()
    call, ok = bench.established()
    info = bench.within("INFO", ok, 2, body=body, content_type=content_type, branch="z9hG4bKinfo")
    assert shown(bench.take(info)) == ["200 INFO"]
    assert shown(bench.take(info)) == ["200 INFO"]
    assert bench.told(Digit) == Digit(call, digit, duration_ms)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/dtmf-relay", "Signal=55\r\n", 400),
        ("application/dtmf-relay", "Signal=\x00", 400),
        ("application/dtmf", "hello", 400),
        ("application/media_control+xml", "<x/>", 415),
        ("application/sdp", "", 200),
    ],
)
def test_other_infos_are_no_digits(content_type, body, status):
    """RFC 6086 section 4.2.2: 415 for a body that means nothing to us; one without body is only a question."""
    bench = Bench()
    _, ok = bench.established()
    info = bench.within("INFO", ok, 2, body=body, content_type=content_type)
    assert shown(bench.take(info)) == [f"{status} INFO"]
    assert "Digit" not in bench.story


def test_a_digit_of_ours_is_an_info():
    bench = Bench()
    call, _ = bench.established()
    (info,) = bench.do("send_digit", call, "#", 120)
    assert (info.method, info.content_type) == ("INFO", "application/dtmf-relay")
    assert info.body == b"Signal=#\r\nDuration=120\r\n"
    bench.take(bench.reply(info, 415, tag=None))
    assert bench.story == ["Invited", "Acked"]
    with pytest.raises(WrongState):
        bench.do("send_digit", call, "55", 120)


def test_options_within_a_call_say_what_we_can():
    """RFC 3261 section 11.2."""
    bench = Bench()
    _, ok = bench.established()
    (answer,) = bench.take(bench.within("OPTIONS", ok, 2))
    assert answer.status == 200
    assert {"INVITE", "BYE", "UPDATE"} <= set(answer.values("allow"))
    assert answer.values("accept") == ["application/sdp"]


@pytest.mark.parametrize(("method", "status"), [("REFER", 405), ("MESSAGE", 405), ("PRACK", 405), ("NEW", 501)])
def test_methods_that_we_do_not_take_leave_the_call(method, status):
    """RFC 3261 section 8.2.1; rsipstack: after a REFER its dialog no longer took a BYE."""
    bench = Bench()
    _, ok = bench.established()
    assert shown(bench.take(bench.within(method, ok, 2))) == [f"{status} {method}"]
    assert shown(bench.take(bench.within("BYE", ok, 3))) == ["200 BYE"]


@pytest.mark.parametrize("cseq", [1, 4, 5])
def test_a_request_out_of_order_gets_500(cseq):
    """RFC 3261 section 12.2.2: and has no effect."""
    bench = Bench()
    _, ok = bench.established()
    bench.take(bench.within("INFO", ok, 5))
    assert shown(bench.take(bench.within("BYE", ok, cseq))) == ["500 BYE"]
    assert "Ended" not in bench.story
    assert shown(bench.take(bench.within("BYE", ok, 9))) == ["200 BYE"]


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "OPTIONS", "UPDATE"])
def test_requests_of_a_dialog_that_we_do_not_know_get_481(method):
    """RFC 3261 section 12.2.2: another tag of ours, another tag of theirs, another Call-ID."""
    bench = Bench()
    _, ok = bench.established()
    for how in (
        {"to": "<sip:room@10.0.0.2>;tag=other"},
        {"from_": "<sip:ann@example.com>;tag=other"},
        {"call_id": "other"},
    ):
        assert shown(bench.take(bench.within(method, ok, 2, **how))) == [f"481 {method}"]
    assert bench.story == ["Invited", "Acked"]


def test_after_our_bye_only_a_bye_is_taken():
    """RFC 3261 section 15.1.1."""
    bench = Bench()
    call, ok = bench.established()
    bench.do("hang_up", call)
    assert shown(bench.take(bench.within("INFO", ok, 2))) == ["481 INFO"]
    assert shown(bench.take(bench.within("INVITE", ok, 3, body=SDP))) == ["481 INVITE"]
    assert shown(bench.take(bench.within("BYE", ok, 4))) == ["200 BYE"]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"headers": ("Require: 100rel",)}, 420),
        ({"body": "x", "content_type": "text/plain"}, 415),
        ({"body": SDP, "headers": ("Content-Encoding: gzip",)}, 415),
    ],
)
def test_a_re_invite_is_screened_like_an_invite(how, status):
    """RFC 3261 section 8.2.2.3, 8.2.3."""
    bench = Bench()
    _, ok = bench.established()
    assert shown(bench.take(bench.within("INVITE", ok, 2, **how))) == [f"{status} INVITE"]
    assert "Offered" not in bench.story


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_that_is_not_utf_8_is_refused_and_the_session_stays(method):
    """RFC 8866 section 5. Replacing the bytes would make three of one."""
    bench = Bench()
    _, ok = bench.established()
    body = SDP + "s=" + "\udcff" * 1000 + "\r\n"
    assert shown(bench.take(bench.within(method, ok, 2, body=body))) == [f"400 {method}"]
    assert bench.story == ["Invited", "Acked"]


def test_an_answer_that_is_not_utf_8_is_none():
    bench = Bench()
    answer = bench.reply(bench.outgoing(), 200, body="v=0")
    bench.take(answer.encode().replace(b"v=0", b"v=\xff"))
    assert bench.events[-1].sdp is None
