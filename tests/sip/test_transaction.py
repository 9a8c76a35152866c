"""The four machines of RFC 3261 section 17 and RFC 6026, on the wire and as tables."""

import pytest
from changed import with_fields
from phone import PHONE, Bench, shown, timed

from plenary.sip.events import Ended, Invited, Refused
from plenary.sip.timers import Timer
from plenary.sip.transaction import AFTER, RUNNING, TRANSITIONS, State


def test_every_timer_that_runs_in_a_state_has_a_step_there_and_no_other_has():
    """A timer without a step would fire for nothing; a step without its timer would never be taken."""
    for kind, states in TRANSITIONS.items():
        assert set(states) == set(RUNNING[kind])
        for state, steps in states.items():
            assert {step for step in steps if isinstance(step, Timer)} == set(RUNNING[kind][state]), (kind, state)


def test_every_state_leads_to_the_end_and_only_by_what_is_listed():
    for states in TRANSITIONS.values():
        for steps in states.values():
            for state, _ in steps.values():
                assert state is State.TERMINATED or state in states
        assert any(state is State.TERMINATED for steps in states.values() for state, _ in steps.values())


def test_timers_have_the_lengths_of_the_table():
    """RFC 3261 table 4 for UDP, with T1 = 0.5, T2 = 4, T4 = 5; L and M are of RFC 6026."""
    assert {str(timer)[0]: AFTER[timer] for timer in AFTER if timer is not Timer.TRYING} == {
        "A": 0.5, "B": 32.0, "D": 32.0, "E": 0.5, "F": 32.0, "G": 0.5, "H": 32.0, "I": 5.0, "J": 32.0, "K": 5.0,
        "L": 32.0, "M": 32.0,
    }  # fmt: skip


def test_an_unanswered_invite_is_repeated_at_doubling_intervals_then_given_up():
    """RFC 3261 section 17.1.1.2: timer A starts at T1 and doubles without a cap; timer B fires at 64*T1."""
    bench = Bench()
    bench.outgoing()
    sent = bench.until(100)
    assert [at for at, _ in sent] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.told(Refused).status == 408
    assert bench.endpoint.transactions == 0


def test_an_unanswered_bye_is_repeated_up_to_every_four_seconds_then_given_up():
    """RFC 3261 section 17.1.2.2: timer E doubles up to T2; timer F fires at 64*T1."""
    bench = Bench()
    call, _ = bench.established()
    bench.until(40)
    bench.do("hang_up", call)
    sent = bench.until(140)
    assert [at - 40 for at, _ in sent] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert (bench.endpoint.calls, bench.endpoint.transactions) == (0, 0)
    assert bench.saved == {}


def test_a_provisional_response_ends_the_repetition_of_an_invite():
    """RFC 3261 section 17.1.1.2: nothing is sent again in Proceeding, and timer B no longer runs."""
    bench = Bench()
    bench.take(bench.reply(bench.outgoing(), 100, tag=None))
    assert bench.until(100) == []
    assert bench.endpoint.calls == 1


def test_a_provisional_response_slows_the_repetition_of_a_bye():
    """RFC 3261 section 17.1.2.2: in Proceeding timer E is reset to T2; timer F runs on."""
    bench = Bench()
    call, _ = bench.established()
    bench.until(40)
    (bye,) = bench.do("hang_up", call)
    bench.take(bench.reply(bye, 100, tag=None))
    assert [at - 40 for at, _ in bench.until(140)] == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]


def test_a_refused_invite_is_acknowledged_with_its_branch_and_so_is_each_repetition():
    """RFC 3261 section 17.1.1.3."""
    bench = Bench()
    invite = bench.outgoing()
    busy = bench.reply(invite, 486)
    for _ in range(3):
        (ack,) = bench.take(busy)
        assert ack.method == "ACK"
        assert ack.top_via.branch == invite.top_via.branch
        assert ack.uri_text == invite.uri_text
        assert ack.to.tag == "b1"
        assert ack.cseq.number == invite.cseq.number
    assert bench.story == ["Refused"]
    bench.until(33)
    assert bench.endpoint.transactions == 0


def test_our_refusal_is_repeated_until_its_ack_and_then_absorbs_further_acks():
    """RFC 3261 section 17.2.1: timer G doubles up to T2; timer I ends Confirmed."""
    bench = Bench()
    invite = bench.invite(branch="z9hG4bKone")
    bench.take(invite)
    (busy,) = bench.do("refuse", bench.told(Invited).call, 486, "")
    assert timed(bench.until(4)) == [(0.5, "486 INVITE"), (1.5, "486 INVITE"), (3.5, "486 INVITE")]
    ack = bench.within("ACK", busy, 1, branch="z9hG4bKone", uri="sip:room@10.0.0.2")
    assert bench.take(ack) == bench.take(ack) == []
    assert bench.until(100) == []
    assert (bench.endpoint.calls, bench.endpoint.transactions) == (0, 0)


def test_a_refusal_that_is_never_acknowledged_is_given_up():
    """RFC 3261 section 17.2.1: timer H at 64*T1, in steps of at most T2."""
    bench = Bench()
    bench.do("refuse", bench.incoming(), 486, "")
    assert [at for at, _ in bench.until(100)] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})


def test_trying_is_said_after_200_ms_of_silence_and_never_after_something_else():
    """RFC 3261 section 17.2.1."""
    silent, ringing = Bench(), Bench()
    silent.incoming()
    assert timed(silent.until(1)) == [(0.2, "100 INVITE")]
    ringing.do("ring", ringing.incoming())
    assert ringing.until(1) == []


def test_a_repeated_invite_gets_the_last_response_again():
    """RFC 3261 section 17.2.1: nothing before there is one, then 100, then 180; and only one call."""
    bench = Bench()
    invite = bench.invite(branch="z9hG4bKone")
    assert bench.take(invite) == bench.take(invite) == []
    bench.until(0.3)
    assert shown(bench.take(invite)) == ["100 INVITE"]
    bench.do("ring", bench.told(Invited).call)
    assert shown(bench.take(invite)) == ["180 INVITE"]
    assert bench.story == ["Invited"]


def test_an_invite_repeated_after_the_2xx_is_absorbed():
    """RFC 6026 section 7.1: in Accepted the transaction takes it and says nothing; the 2xx has its own repetition."""
    bench = Bench()
    invite = bench.invite(branch="z9hG4bKone")
    bench.take(invite)
    bench.do("answer", bench.told(Invited).call, "v=0")
    assert bench.take(invite) == []
    assert bench.story == ["Invited"]


def test_a_repeated_bye_gets_the_same_answer_although_the_call_is_gone():
    """RFC 3261 section 17.2.2: timer J keeps the answer for 64*T1."""
    bench = Bench()
    _, ok = bench.established()
    bye = bench.within("BYE", ok, 2, branch="z9hG4bKbye")
    first, again = bench.take(bye), bench.take(bye)
    assert shown(first) == shown(again) == ["200 BYE"]
    assert first[0].encode() == again[0].encode()
    assert bench.told(Ended).reason == "bye"
    bench.until(33)
    assert shown(bench.take(bye)) == ["481 BYE"]


@pytest.mark.parametrize("other", ["branch", "sent-by"])
def test_requests_belong_together_by_branch_and_sent_by(other):
    """RFC 3261 section 17.2.3: two clients may choose the same branch."""
    bench = Bench()
    first = bench.invite(branch="z9hG4bKone")
    second = {
        "branch": bench.invite(branch="z9hG4bKtwo", call_id="call-2"),
        "sent-by": bench.invite(branch="z9hG4bKone", via="192.0.2.7:5062", call_id="call-2"),
    }[other]
    bench.take(first)
    bench.take(second)
    bench.take(first)
    assert bench.story == ["Invited", "Invited"]


@pytest.mark.parametrize("branch", ["", ";branch=z9hG4bK", ";branch=1"])
def test_a_peer_of_rfc_2543_is_told_apart_by_its_other_headers(branch):
    """RFC 3261 section 17.2.3: its repetition, the ACK of a refusal, its CANCEL, and another call with the same Via."""
    bench = Bench()

    def old(method: str, call_id: str, to: str = "<sip:room@10.0.0.2>") -> str:
        text = bench.request(method, call_id=call_id, to=to, branch="gone")
        return text.replace(";branch=gone", branch)

    bench.take(old("INVITE", "call-1"))
    bench.take(old("INVITE", "call-1"))
    bench.take(old("INVITE", "call-2"))
    first, second = (event.call for event in bench.events)
    (busy,) = bench.do("refuse", first, 486, "")
    assert bench.take(old("ACK", "call-1", "<sip:room@10.0.0.2>;tag=other")) == []
    assert timed(bench.until(0.6)) == [(0.2, "100 INVITE"), (0.5, "486 INVITE")]
    bench.take(old("ACK", "call-1", busy.get("to")))
    assert bench.until(5) == []
    assert shown(bench.take(old("CANCEL", "call-2"))) == ["200 CANCEL", "487 INVITE"]
    assert [event.call for event in bench.events if isinstance(event, Ended)] == [first, second]


def test_stray_responses_are_dropped():
    """RFC 3261 section 17.1.3: no transaction, no effect; nor with a second Via (section 8.1.3.3)."""
    bench = Bench()
    invite = bench.outgoing()
    stray = with_fields(invite, [("Via", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKno")], without="Via")
    assert bench.take(bench.reply(stray, 200)) == []
    two = bench.reply(invite, 200)
    assert bench.take(with_fields(two, [("Via", "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKx")])) == []
    assert bench.story == []


RESPONSE_ADDRESSES = [
    ("192.0.2.7:5062", "", ("192.0.2.7", 40000), ("192.0.2.7", 5062)),
    ("192.0.2.7", "", ("192.0.2.7", 40000), ("192.0.2.7", 5060)),
    ("10.1.1.1:5062", "", ("192.0.2.7", 40000), ("192.0.2.7", 5062)),
    ("10.1.1.1:5062", ";rport", ("192.0.2.7", 40000), ("192.0.2.7", 40000)),
    ("phone.example.com", ";rport", ("2001:db8::7", 5066), ("2001:db8::7", 5066)),
    ("192.0.2.7", ";maddr=198.51.100.9", ("192.0.2.7", 5060), ("192.0.2.7", 5060)),
]


@pytest.mark.parametrize(("via", "params", "source", "destination"), RESPONSE_ADDRESSES)
def test_responses_go_where_the_request_came_from(via, params, source, destination):
    """RFC 3261 section 18.2.2 and RFC 3581 section 4; a maddr, which could aim us at others, is not obeyed."""
    bench = Bench()
    (ok,) = bench.take(bench.request("OPTIONS", via=via, branch=f"z9hG4bKone{params}"), source)
    assert bench.destinations == [destination]
    if params == ";rport":
        assert (ok.top_via.received, ok.top_via.rport) == source


def test_the_source_of_a_request_is_noted_when_it_differs_from_sent_by():
    """RFC 3261 section 18.2.1."""
    bench = Bench()
    (ok,) = bench.take(bench.request("OPTIONS", via="10.1.1.1"), PHONE)
    assert ok.top_via.received == "192.0.2.7"
