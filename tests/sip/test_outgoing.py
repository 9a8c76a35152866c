"""Our calls to a phone: from our INVITE to the end (RFC 3261 sections 8.1, 9.1, 12.1.2, 13.2, 22)."""

import pytest
from changed import with_fields
from phone import OTHER_SDP, PHONE, SDP, Bench, shown, timed

from plenary.sip.config import Credentials, Listener
from plenary.sip.digest import Challenger
from plenary.sip.errors import WrongState
from plenary.sip.events import Answered, Ended, Progressed, Refused, Ringing

OUTGOING = Credentials("ours", "secret", "192.0.2.7")


def test_a_whole_call():
    """RFC 3261 section 13.2: INVITE, 180, 200, ACK, BYE, 200."""
    bench = Bench()
    invite = bench.outgoing()
    assert bench.destinations == [PHONE]
    assert bench.take(bench.reply(invite, 180)) == []
    (ack,) = bench.take(bench.reply(invite, 200, body=OTHER_SDP))
    assert (ack.method, ack.cseq.number, ack.uri_text) == ("ACK", invite.cseq.number, "sip:bob@192.0.2.7:5060")
    assert ack.top_via.branch != invite.top_via.branch
    assert bench.events == [Ringing("c1"), Answered("c1", OTHER_SDP)]
    (bye,) = bench.do("hang_up", "c1")
    assert (bye.cseq.number, bye.to.tag, bye.from_.tag) == (invite.cseq.number + 1, "b1", invite.from_.tag)
    assert bench.told(Ended).reason == "bye"
    bench.take(bench.reply(bye, 200))
    bench.until(100)
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.endpoint.timeout()) == (0, 0, None)


def test_an_invite_has_all_that_it_must_have():
    """RFC 3261 section 8.1.1."""
    bench = Bench(listeners=(Listener("10.0.0.2", public_host="pbx.example.com"),))
    bench.endpoint.invite("c1", "sip:bob@192.0.2.7;x=1?subject=hi", SDP, "Röom", 0.0, "sip:4711@example.com")
    (invite,) = bench.drain()
    assert invite.uri_text == "sip:bob@192.0.2.7;x=1"
    assert invite.to.tag is None
    assert (invite.from_.name, str(invite.from_.uri)) == ("Röom", "sip:4711@example.com")
    assert invite.max_forwards == 70
    assert str(invite.contacts[0].uri) == "sip:4711@pbx.example.com:5060"
    assert invite.top_via.sent_by == "pbx.example.com:5060"
    assert invite.top_via.wants_rport
    assert invite.top_via.branch.startswith("z9hG4bK")


DESTINATIONS = [
    ("sip:bob@192.0.2.7", ("192.0.2.7", 5060)),
    ("sip:bob@192.0.2.7:5070", ("192.0.2.7", 5070)),
    ("sip:bob@[2001:db8::1]", ("2001:db8::1", 5060)),
    ("sip:bob@localhost:5070", ("127.0.0.1", 5070)),
    ("sip:bob@example.com;transport=UDP", ("example.com", 5060)),
    ("sip:bob@example.com;maddr=192.0.2.9", ("192.0.2.9", 5060)),
]


@pytest.mark.parametrize(("target", "destination"), DESTINATIONS)
def test_an_invite_goes_where_its_uri_says(target, destination):
    """RFC 3261 section 8.1.2; a name is for the sender to resolve."""
    bench = Bench()
    bench.outgoing(target=target)
    assert bench.destinations == [destination]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("sips:bob@192.0.2.7", 416),
        ("tel:4711", 416),
        ("sip:bob@192.0.2.7;transport=tcp", 503),
        ("not a uri", 400),
        ("", 400),
    ],
)
def test_a_target_that_cannot_be_called_is_refused_without_a_datagram(target, status):
    bench = Bench()
    bench.endpoint.invite("c1", target, SDP, "", 0.0)
    assert bench.drain() == []
    assert bench.told(Refused).status == status
    assert bench.do("hang_up", "c1") == []
    with pytest.raises(WrongState):
        bench.endpoint.invite("c1", "sip:bob@192.0.2.7", SDP, "", 0.0)


def test_too_many_calls_of_ours_are_refused():
    bench = Bench(max_calls=0)
    bench.endpoint.invite("c1", "sip:bob@192.0.2.7", SDP, "", 0.0)
    assert bench.drain() == []
    assert bench.told(Refused).status == 503


@pytest.mark.parametrize("status", [300, 302, 404, 410, 486, 500, 503, 600, 603])
def test_a_final_response_of_300_or_more_refuses_the_call(status):
    """RFC 3261 section 8.1.3: redirections are not followed."""
    bench = Bench()
    assert shown(bench.take(bench.reply(bench.outgoing(), status))) == ["ACK"]
    assert bench.told(Refused).status == status
    assert (bench.endpoint.calls, bench.saved) == (0, {})


@pytest.mark.parametrize(
    ("status", "body", "story"),
    [
        (100, "", []),
        (180, "", ["Ringing"]),
        (180, SDP, ["Ringing", "Progressed"]),
        (182, "", ["Ringing"]),
        (183, SDP, ["Progressed"]),
        (183, "", ["Progressed"]),
        (199, "", ["Progressed"]),
    ],
)
def test_provisional_responses_are_told_by_what_they_mean(status, body, story):
    """RFC 3261 section 21.1."""
    bench = Bench()
    bench.take(bench.reply(bench.outgoing(), status, body=body))
    assert bench.story == story


def test_a_description_that_came_early_need_not_come_again():
    """RFC 3261 section 13.2.1: the 2xx of the same phone may leave out what its 183 said."""
    bench = Bench()
    invite = bench.outgoing()
    bench.take(bench.reply(invite, 183, body=SDP))
    bench.take(bench.reply(invite, 183, tag="other", body=OTHER_SDP))
    bench.take(bench.reply(invite, 200))
    assert [event.sdp for event in bench.events if isinstance(event, Progressed)] == [SDP, OTHER_SDP]
    assert bench.told(Answered).sdp == SDP


def test_each_repeated_2xx_is_acknowledged_again():
    """RFC 3261 section 13.2.2.4: with the same ACK."""
    bench = Bench()
    invite = bench.outgoing()
    ok = bench.reply(invite, 200, body=SDP)
    first = bench.take(ok)
    assert bench.take(ok)[0].encode() == first[0].encode()
    bench.until(20)
    assert shown(bench.take(ok)) == ["ACK"]
    assert bench.story == ["Answered"]
    bench.until(33)
    assert bench.take(ok) == []


def test_a_2xx_is_still_acknowledged_after_a_later_invite():
    """RFC 3261 section 13.2.2.4: its ACK may have been lost, whatever came since."""
    bench = Bench()
    invite = bench.outgoing()
    ok = bench.reply(invite, 200, body=SDP)
    bench.take(ok)
    bench.do("send_offer", "c1", OTHER_SDP)
    (ack,) = bench.take(ok)
    assert ack.cseq.number == invite.cseq.number


def test_the_route_set_of_a_call_of_ours_is_reversed():
    """RFC 3261 section 12.1.2."""
    bench = Bench()
    invite = bench.outgoing()
    routes = (("Record-Route", "<sip:10.9.0.1;lr>, <sip:10.9.0.2;lr>"), ("Record-Route", "<sip:10.9.0.3:5070;lr>"))
    (ack,) = bench.take(with_fields(bench.reply(invite, 200, body=SDP), routes))
    assert list(ack.get_all("route")) == ["<sip:10.9.0.3:5070;lr>", "<sip:10.9.0.2;lr>", "<sip:10.9.0.1;lr>"]
    assert bench.destinations == [("10.9.0.3", 5070)]


def test_hanging_up_cancels_once_the_phone_gave_a_sign_of_life():
    """RFC 3261 section 9.1: no CANCEL before a provisional response; it has the branch of the INVITE."""
    bench = Bench()
    invite = bench.outgoing()
    assert bench.do("hang_up", "c1") == []
    assert bench.told(Ended).reason == "cancel"
    (cancel,) = bench.take(bench.reply(invite, 180))
    assert cancel.method == "CANCEL"
    assert cancel.top_via.branch == invite.top_via.branch
    assert cancel.cseq.number == invite.cseq.number
    assert cancel.uri_text == invite.uri_text
    bench.take(bench.reply(cancel, 200))
    assert shown(bench.take(bench.reply(invite, 487))) == ["ACK"]
    assert (bench.endpoint.calls, bench.saved) == (0, {})
    assert bench.story == ["Ended"]


def test_hanging_up_while_the_phone_is_silent_gives_up_with_the_invite():
    """RFC 3261 section 9.1: timer B ends it, and nothing is left."""
    bench = Bench()
    bench.outgoing()
    bench.do("hang_up", "c1")
    bench.until(33)
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})
    assert bench.story == ["Ended"]


def test_a_cancelled_invite_without_a_final_response_is_given_up():
    """RFC 3261 section 9.1: 64*T1 after the CANCEL."""
    bench = Bench()
    bench.take(bench.reply(bench.outgoing(), 180))
    bench.do("hang_up", "c1")
    bench.until(33)
    assert (bench.endpoint.calls, bench.endpoint.transactions) == (0, 0)


def test_a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended_by_bye():
    """RFC 3261 section 9.1 and 15."""
    bench = Bench()
    invite = bench.outgoing()
    bench.take(bench.reply(invite, 180))
    (cancel,) = bench.do("hang_up", "c1")
    ack, bye = bench.take(bench.reply(invite, 200, body=SDP))
    assert shown([ack, bye]) == ["ACK", "BYE"]
    bench.take(bench.reply(cancel, 481))
    bench.take(bench.reply(bye, 200))
    assert (bench.endpoint.calls, bench.saved) == (0, {})
    assert bench.story == ["Ringing", "Ended"]


def test_a_second_phone_that_picks_up_is_acknowledged_and_hung_up():
    """RFC 3261 section 13.2.2.4: forks; the call stays with the first, and a repetition gets only the ACK."""
    bench = Bench()
    invite = bench.outgoing()
    bench.take(bench.reply(invite, 200, tag="b1", body=SDP))
    extra = bench.reply(invite, 200, tag="b2", body=SDP, contact="<sip:eve@192.0.2.8>")
    ack, bye = bench.take(extra)
    assert [(message.method, message.to.tag, message.uri_text) for message in (ack, bye)] == [
        ("ACK", "b2", "sip:eve@192.0.2.8"),
        ("BYE", "b2", "sip:eve@192.0.2.8"),
    ]
    assert bench.destinations == [("192.0.2.8", 5060)] * 2
    assert shown(bench.take(extra)) == ["ACK"]
    assert bench.story == ["Answered"]
    (bye,) = bench.do("hang_up", "c1")
    assert bye.to.tag == "b1"


def test_a_call_without_an_offer_is_acknowledged_with_our_answer():
    """RFC 3261 section 13.2.1: the 2xx is the offer, the ACK the answer."""
    bench = Bench()
    invite = bench.outgoing(sdp=None)
    assert invite.body == b""
    ok = bench.reply(invite, 200, body=SDP)
    assert bench.take(ok) == []
    assert bench.told(Answered).sdp == SDP
    (ack,) = bench.do("acknowledge", "c1", OTHER_SDP)
    assert ack.body.decode() == OTHER_SDP
    assert bench.take(ok)[0].encode() == ack.encode()
    with pytest.raises(WrongState):
        bench.do("acknowledge", "c1", OTHER_SDP)


def test_an_offer_in_a_2xx_that_nobody_answers_ends_the_call():
    """RFC 3261 section 13.2.2.4: acknowledged without an answer, and ended by BYE."""
    bench = Bench()
    bench.take(bench.reply(bench.outgoing(sdp=None), 200, body=SDP))
    assert timed(bench.until(32.1)) == [(32.0, "ACK"), (32.0, "BYE")]
    assert bench.told(Ended).reason == "offer_timeout"


def challenge(status: int = 401, realm: str = "theirs") -> tuple[tuple[str, str], ...]:
    header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    fields = Challenger(realm, {}, b"x", ("SHA-256", "MD5")).challenge(0.0)
    return tuple((header, value) for _, value in fields)


@pytest.mark.parametrize(("status", "header"), [(401, "authorization"), (407, "proxy-authorization")])
def test_a_challenge_is_answered_in_a_new_invite(status, header):
    """RFC 3261 section 22.2 and 22.3: same Call-ID and From tag, next CSeq, new branch; the ACK has it too (22.1)."""
    bench = Bench(outgoing=OUTGOING)
    first = bench.outgoing()
    ack, second = bench.take(bench.reply(first, status, headers=challenge(status)))
    assert shown([ack, second]) == ["ACK", "INVITE"]
    assert 'username="ours"' in second.get(header)
    assert "algorithm=SHA-256" in second.get(header)
    assert (second.call_id, second.from_.tag, second.to.tag) == (first.call_id, first.from_.tag, None)
    assert second.cseq.number == first.cseq.number + 1
    assert second.top_via.branch != first.top_via.branch
    (ack,) = bench.take(bench.reply(second, 200, body=SDP))
    assert ack.get(header) == second.get(header)
    assert bench.story == ["Answered"]


@pytest.mark.parametrize(
    "outgoing",
    [
        None,
        Credentials("ours", "secret", "192.0.2.7", realm="another realm"),
        Credentials("ours", "secret", "192.0.2.7", realm="their"),
        Credentials("ours", "secret", "trunk.example.com"),
        Credentials("ours", "secret", "192.0.2.7", port=5080),
    ],
)
def test_a_challenge_that_we_have_no_credentials_for_refuses_the_call(outgoing):
    """Whoever is called can challenge: the trunk alone is answered, and only in its realm if we know that."""
    bench = Bench(outgoing=outgoing)
    assert shown(bench.take(bench.reply(bench.outgoing(), 401, headers=challenge()))) == ["ACK"]
    assert bench.told(Refused).status == 401


@pytest.mark.parametrize(
    ("host", "port", "target"),
    [
        ("trunk.example.com", None, "sip:+4711@Trunk.Example.com:5080"),
        ("trunk.example.com", 5060, "sip:+4711@trunk.example.com"),
        ("localhost", None, "sip:bob@127.0.0.1"),
        ("2001:db8::1", None, "sip:bob@[2001:DB8::1]:5070"),
    ],
)
def test_the_trunk_is_told_from_others_by_how_it_is_called(host, port, target):
    bench = Bench(outgoing=Credentials("ours", "secret", host, port=port, realm="theirs"))
    invite = bench.outgoing(target=target)
    assert invite.from_.uri.user == "ours"
    assert shown(bench.take(bench.reply(invite, 401, headers=challenge()))) == ["ACK", "INVITE"]


@pytest.mark.parametrize(
    "target", ["sip:ours@evil.example", "sip:a@192.0.2.7.evil.example", "sip:a@192.0.2.7;maddr=10.6.6.6"]
)
def test_who_only_looks_like_the_trunk_gets_neither_password_nor_name(target):
    """It is where the request goes that counts (RFC 3261 section 19.1.1 on maddr)."""
    bench = Bench(outgoing=OUTGOING)
    invite = bench.outgoing(target=target)
    assert invite.from_.uri.user != "ours"
    assert shown(bench.take(bench.reply(invite, 401, headers=challenge()))) == ["ACK"]


def test_a_trunk_that_hands_the_dialog_to_another_host_takes_no_password_there():
    """RFC 3261 section 12.1.2: the remote target is what its 2xx says, and could be anyone's."""
    bench = Bench(outgoing=OUTGOING)
    (_,) = bench.take(bench.reply(bench.outgoing(), 200, body=SDP, contact="<sip:bob@10.6.6.6>"))
    (invite,) = bench.do("send_offer", "c1", OTHER_SDP)
    assert bench.destinations == [("10.6.6.6", 5060)]
    assert shown(bench.take(bench.reply(invite, 401, headers=challenge()))) == ["ACK"]
    (bye,) = bench.do("hang_up", "c1")
    assert bench.take(bench.reply(bye, 401, headers=challenge())) == []


def test_a_password_that_is_wrong_is_not_tried_for_ever():
    bench = Bench(outgoing=OUTGOING)
    invite, tries = bench.outgoing(), 0
    while invite is not None:
        tries += 1
        _, *more = bench.take(bench.reply(invite, 401, headers=challenge()))
        invite = more[0] if more else None
    assert tries == 3
    assert bench.told(Refused).status == 401


def test_a_phone_that_called_us_never_learns_our_password():
    """FreeSWITCH CVE-2021-41158: the credentials of calls that we make are not for those who call us."""
    bench = Bench(outgoing=OUTGOING)
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    assert shown(bench.take(bench.reply(invite, 401, headers=challenge()))) == ["ACK"]
    (bye,) = bench.do("hang_up", call)
    assert bench.take(bench.reply(bye, 401, headers=challenge())) == []


def test_a_challenged_bye_is_sent_again():
    """RFC 3261 section 22.2."""
    bench = Bench(outgoing=OUTGOING)
    bench.outgoing_established()
    (bye,) = bench.do("hang_up", "c1")
    (again,) = bench.take(bench.reply(bye, 407, headers=challenge(407)))
    assert (again.method, again.cseq.number) == ("BYE", bye.cseq.number + 1)
    assert again.get("proxy-authorization") is not None
    bench.take(bench.reply(again, 200))
    assert bench.endpoint.calls == 0


def test_a_phone_that_rings_may_ask_but_not_end():
    """RFC 3261 section 15: the callee sends no BYE in an early dialog; requests in it are answered nevertheless."""
    bench = Bench()
    invite = bench.outgoing()
    bench.take(bench.reply(invite, 180))
    how = {"from_": "<sip:bob@192.0.2.7>;tag=b1", "to": invite.get("from"), "call_id": invite.call_id}
    assert shown(bench.take(bench.request("OPTIONS", cseq=1, **how))) == ["200 OPTIONS"]
    assert shown(bench.take(bench.request("UPDATE", cseq=2, body=SDP, **how))) == ["491 UPDATE"]
    assert shown(bench.take(bench.request("BYE", cseq=3, **how))) == ["200 BYE"]
    how["from_"] = "<sip:bob@192.0.2.7>;tag=stranger"
    assert shown(bench.take(bench.request("OPTIONS", cseq=4, **how))) == ["481 OPTIONS"]
    assert shown(bench.take(bench.reply(invite, 200, body=SDP))) == ["ACK"]
    assert bench.story == ["Ringing", "Answered"]


def test_no_number_of_ringing_phones_fills_the_memory():
    bench = Bench()
    invite = bench.outgoing()
    for number in range(50):
        bench.take(bench.reply(invite, 183, tag=f"t{number}", body=SDP))
    assert len(bench.saved["c1"]) < 8 * len(SDP) + 2000
    for number in range(50):
        bench.take(bench.reply(invite, 200, tag=f"t{number}", body=SDP))
    assert bench.story.count("Answered") == 1
    bench.do("hang_up", "c1")
    bench.until(200)
    assert (bench.endpoint.calls, bench.endpoint.transactions) == (0, 0)
