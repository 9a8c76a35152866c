"""Who looks after the server sees which phones it refuses."""

import pytest
from phone import SDP, Bench

from plenary.sip.digest import authorize
from plenary.sip.events import Invited
from plenary.sip.refusals import MAX_SHOWN, NAMED_PER_S, RefusedInvite

USERS = {"ann": "s3cret"}


def test_refusals_are_counted_by_status_and_repetitions_are_not():
    bench = Bench()
    bench.take(bench.request("SUBSCRIBE"))
    bench.take(bench.request("BYE"))
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.do("refuse", bench.told(Invited).call, 404, "")
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.until(10)
    assert bench.endpoint.refused == {405: 1, 481: 1, 404: 1}


def test_a_refused_invite_is_named_with_who_called_whom():
    bench = Bench()
    bench.take(bench.invite(uri="sip:nobody@10.0.0.2"))
    bench.do("refuse", bench.told(Invited).call, 404, "")
    (named,) = bench.endpoint.refused_invites(0.0)
    assert named == RefusedInvite(404, ("192.0.2.7", 5060), "sip:nobody@10.0.0.2", "<sip:ann@example.com>;tag=a1")
    assert bench.endpoint.refused_invites(0.0) == []


def test_being_asked_for_a_password_is_no_news_but_a_wrong_one_is():
    bench = Bench(anonymous=False, users=USERS)
    (challenged,) = bench.take(bench.invite())
    assert bench.endpoint.refused_invites(0.0) == []
    asked = challenged.get_all("www-authenticate")
    value = authorize("INVITE", "sip:room@10.0.0.2", asked, "ann", "wrong", cnonce="c")
    bench.take(bench.invite(cseq=2, headers=(f"Authorization: {value}",)))
    assert [one.status for one in bench.endpoint.refused_invites(0.0)] == [403]
    assert bench.endpoint.refused == {401: 1, 403: 1}


def test_a_caller_who_changes_its_mind_is_not_refused():
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.take(bench.request("CANCEL", branch="z9hG4bKone"))
    assert bench.endpoint.refused_invites(0.0) == []


def test_a_flood_is_counted_and_only_a_few_are_named():
    bench = Bench()
    named = []
    for number in range(500):
        bench.take(bench.invite(body=SDP, contact="<tel:1>", call_id=f"c{number}"))
        named.append(len(bench.endpoint.refused_invites(number / 100)))
    assert sum(named[:100]) == NAMED_PER_S
    assert sum(named) == 5 * NAMED_PER_S
    assert bench.endpoint.refused == {400: 500}


@pytest.mark.parametrize("name", ["\x9b31m", "\u202egnp.exe", "\udcff", "x" * 1000])
def test_what_strangers_write_is_shown_as_short_printable_ascii(name):
    bench = Bench()
    bench.take(bench.invite(from_=f'"{name}" <sip:a@b>;tag=1', contact="<tel:1>"))
    (named,) = bench.endpoint.refused_invites(0.0)
    assert len(named.caller) <= MAX_SHOWN
    assert named.caller.isascii()
    assert named.caller.isprintable()
