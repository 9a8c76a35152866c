"""A new endpoint goes on where another one stopped: from what was saved, nothing else."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link import Link, Node
from phone import OTHER_SDP, SDP, Bench, shown, timed

from plenary.sip import snapshot
from plenary.sip.config import Credentials
from plenary.sip.events import Acked, Answered, Digit, Ended, Invited, Offered


class Mortal(Node):
    """A node that dies in its n-th turn, after the commit; what it was about to send is lost, or not."""

    def __init__(self, *args, dies_in: int | None = None, sends: bool = False, **settings) -> None:
        super().__init__(*args, **settings)
        self.dies_in, self.sends, self.turns = dies_in, sends, 0

    def turn(self, now):
        datagrams = super().turn(now)
        if datagrams:
            self.turns += 1
            if self.turns == self.dies_in:
                self.crash(now)
                return (datagrams if self.sends else []) + super().turn(now)
        return datagrams


def decide(node: Node, event, now: float) -> None:
    """A server that answers whatever it is offered."""
    match event:
        case Offered(call=call, sdp=sdp):
            node.endpoint.answer_offer(call, f"answer to {sdp}" if sdp else "offer in 2xx", now)
        case Answered(call=call, sdp="offer in 2xx"):
            node.endpoint.acknowledge(call, "answer in ACK", now)
        case _:
            if type(event).__name__ == "OfferAnswered" and event.sdp == "offer in 2xx":
                node.endpoint.acknowledge(event.call, "answer in ACK", now)


Step = tuple[float, str, str, tuple]
"""When, who, which verb, with what; the call is the one that there is."""

SCENARIOS: dict[str, list[Step]] = {
    "incoming, hung up by the phone": [
        (0.0, "phone", "invite", (SDP,)), (1.0, "we", "ring", ()), (2.0, "we", "answer", (SDP,)),
        (4.0, "phone", "hang_up", ()),
    ],
    "incoming, hung up by us": [
        (0.0, "phone", "invite", (SDP,)), (0.1, "we", "progress", (SDP,)), (2.0, "we", "answer", (SDP,)),
        (4.0, "we", "hang_up", ()),
    ],
    "incoming, hold and resume": [
        (0.0, "phone", "invite", (SDP,)), (0.5, "we", "answer", (SDP,)), (4.0, "phone", "send_offer", ("hold",)),
        (8.0, "phone", "send_offer", ("resume",)), (12.0, "phone", "hang_up", ()),
    ],
    "incoming without an offer": [
        (0.0, "phone", "invite", (None,)), (2.0, "we", "answer", ("offer in 2xx",)), (9.0, "phone", "hang_up", ()),
    ],
    "incoming, offers of ours": [
        (0.0, "phone", "invite", (SDP,)), (2.0, "we", "answer", (SDP,)), (2.0, "we", "send_offer", ("new",)),
        (9.0, "we", "send_offer", (None,)), (20.0, "we", "hang_up", ()),
    ],
    "incoming, cancelled": [
        (0.0, "phone", "invite", (SDP,)), (1.0, "we", "ring", ()), (3.0, "phone", "hang_up", ()),
    ],
    "incoming, refused": [(0.0, "phone", "invite", (SDP,)), (1.0, "we", "refuse", (486, "Busy"))],
    "outgoing, hung up by us": [
        (0.0, "we", "invite", (SDP,)), (1.0, "phone", "ring", ()), (3.0, "phone", "answer", (SDP,)),
        (6.0, "we", "hang_up", ()),
    ],
    "outgoing, hung up by the phone": [
        (0.0, "we", "invite", (SDP,)), (1.0, "phone", "answer", (SDP,)), (6.0, "phone", "hang_up", ()),
    ],
    "outgoing without an offer": [
        (0.0, "we", "invite", (None,)), (1.0, "phone", "answer", ("offer in 2xx",)), (9.0, "we", "hang_up", ()),
    ],
    "outgoing, offers from both sides": [
        (0.0, "we", "invite", (SDP,)), (1.0, "phone", "answer", (SDP,)), (4.0, "we", "send_offer", ("ours",)),
        (12.0, "phone", "send_offer", ("theirs",)), (20.0, "we", "hang_up", ()),
    ],
    "outgoing, cancelled while it rings": [
        (0.0, "we", "invite", (SDP,)), (1.0, "phone", "ring", ()), (3.0, "we", "hang_up", ()),
    ],
    "outgoing, refused": [
        (0.0, "we", "invite", (SDP,)), (1.0, "phone", "ring", ()), (3.0, "phone", "refuse", (603, "")),
    ],
}  # fmt: skip


def play(steps: list[Step], *, loss: float = 0.0, seed: int = 0, **death) -> tuple[list, list, Mortal]:
    """Both sides' stories, without what was merely said twice, and our node."""
    we = Mortal("we", ("10.0.0.2", 5060), decide=decide, outgoing=Credentials("ours", "x", "10.0.0.1"), **death)
    phone = Node("phone", ("10.0.0.1", 5060), decide=decide, anonymous=False, users={"ours": "x"})
    link = Link(we, phone, loss=loss, seed=seed)
    nodes = {"we": we, "phone": phone}

    def act(node: Node, verb: str, args: tuple, now: float) -> None:
        if verb == "invite":
            target = "sip:x@10.0.0.1" if node is we else "sip:x@10.0.0.2"
            node.endpoint.invite("out", target, *args, "", now)
        else:
            invited = node.said(Invited)
            getattr(node.endpoint, verb)(invited[0].call if invited else "out", *args, now)

    for when, who, verb, args in steps:
        link.at(when, lambda now, who=who, verb=verb, args=args: act(nodes[who], verb, args, now))
    link.run_until(200)
    for node in nodes.values():
        assert (node.endpoint.calls, node.endpoint.transactions, node.saved) == (0, 0, {})
    return _told(we), _told(phone), we


def _told(node: Node) -> list[str]:
    shown = [str(event).replace(event.call, "call") for event in node.events]
    return [text for text, _ in itertools.groupby(shown)]


@pytest.mark.parametrize("sends", [False, True], ids=["unsent", "sent"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_wherever_the_process_dies_the_call_takes_the_same_course(name, sends):
    """After each commit in turn, with the datagrams that it allowed sent or not."""
    ours, theirs, we = play(SCENARIOS[name])
    assert we.turns >= 2
    for dies_in in range(1, we.turns + 1):
        assert play(SCENARIOS[name], dies_in=dies_in, sends=sends)[:2] == (ours, theirs), dies_in


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(SCENARIOS)),
    dies_in=st.integers(1, 12),
    sends=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_crash_on_a_bad_network_still_ends_every_call_once(name, dies_in, sends, seed):
    """10 % loss: what was answered late may differ, but not that there is one end on each side."""
    ours, theirs, _ = play(_patient(SCENARIOS[name]), loss=0.1, seed=seed, dies_in=dies_in, sends=sends)
    for story in (ours, theirs):
        assert sum(text.startswith(("Ended", "Refused")) for text in story) == (1 if story else 0)


def _patient(steps: list[Step]) -> list[Step]:
    """The steps with time enough between for repetitions, on a network that loses some."""
    return [(when and 8 + when * 4, who, verb, args) for when, who, verb, args in steps]


# Single clauses


def test_a_pending_invite_can_be_answered_after_a_restart():
    bench = Bench()
    bench.take(bench.invite(headers=("Record-Route: <sip:10.9.0.1;lr>",), branch="z9hG4bKone"))
    call = bench.told(Invited).call
    assert bench.restart() == []
    assert timed(bench.until(0.3)) == [(0.2, "100 INVITE")]
    (ok,) = bench.do("answer", call, SDP)
    assert [str(route) for route in ok.record_routes] == ["<sip:10.9.0.1;lr>"]
    assert ok.top_via.branch == "z9hG4bKone"
    bench.take(bench.within("ACK", ok, 1))
    assert bench.story == ["Invited", "Acked"]


def test_a_2xx_that_was_not_acknowledged_is_repeated_after_a_restart():
    bench = Bench()
    (ok,) = bench.do("answer", bench.incoming(), SDP)
    (again,) = bench.restart()
    assert again.encode() == ok.encode()
    assert timed(bench.until(1)) == [(0.5, "200 INVITE")]
    bench.take(bench.within("ACK", ok, 1))
    assert bench.until(20) == []
    assert isinstance(bench.events[-1], Acked)


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE"])
def test_a_confirmed_call_takes_any_request_after_a_restart(method):
    bench = Bench()
    _, ok = bench.established()
    assert bench.restart() == []
    body, content_type = ("5", "application/dtmf") if method == "INFO" else (SDP, "application/sdp")
    bench.take(bench.within(method, ok, 2, body=body if method != "BYE" else "", content_type=content_type))
    assert {"BYE": Ended, "INVITE": Offered, "INFO": Digit, "UPDATE": Offered}[method] is type(bench.events[-1])


def test_a_digit_that_is_repeated_after_a_restart_counts_once():
    """Its 200 was saved with it."""
    bench = Bench()
    _, ok = bench.established()
    info = bench.within("INFO", ok, 2, body="5", content_type="application/dtmf", branch="z9hG4bKinfo")
    bench.take(info)
    bench.restart()
    assert shown(bench.take(info)) == ["200 INFO"]
    assert bench.story.count("Digit") == 1


def test_an_invite_that_is_repeated_after_a_restart_begins_no_second_call():
    bench = Bench()
    invite = bench.invite(branch="z9hG4bKone")
    bench.take(invite)
    (ok,) = bench.do("answer", bench.told(Invited).call, SDP)
    bench.restart()
    assert bench.take(invite) == []
    bench.take(bench.within("ACK", ok, 1))
    bench.restart()
    assert shown(bench.take(invite)) == ["482 INVITE"]
    assert bench.story == ["Invited", "Acked"]


def test_a_bye_in_flight_is_sent_again_after_a_restart():
    bench = Bench()
    call, _ = bench.established()
    (bye,) = bench.do("hang_up", call)
    (again,) = bench.restart()
    assert again.encode() == bye.encode()
    bench.take(bench.reply(again, 200, tag=None))
    assert bench.saved == {}
    assert bench.story.count("Ended") == 1


def test_a_refusal_is_sent_again_after_a_restart_until_its_ack():
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.do("ring", bench.told(Invited).call)
    (busy,) = bench.do("refuse", bench.told(Invited).call, 486, "")
    assert shown(bench.restart()) == ["486 INVITE"]
    bench.take(bench.within("ACK", busy, 1, branch="z9hG4bKone", uri="sip:room@10.0.0.2"))
    assert bench.saved == {}


def test_a_cancel_goes_through_a_restart():
    """RFC 3261 section 9.2: also where the INVITE came from an endpoint that is no more."""
    bench = Bench()
    bench.take(bench.invite(branch="z9hG4bKone"))
    bench.restart()
    assert shown(bench.take(bench.request("CANCEL", branch="z9hG4bKone"))) == ["200 CANCEL", "487 INVITE"]
    assert bench.told(Ended).reason == "cancel"


def test_a_2xx_that_is_repeated_after_a_restart_is_acknowledged_again():
    bench = Bench()
    invite = bench.outgoing()
    ok = bench.reply(invite, 200, body=SDP)
    (ack,) = bench.take(ok)
    assert [message.encode() for message in bench.restart()] == [ack.encode()]
    assert [message.encode() for message in bench.take(ok)] == [ack.encode()]
    assert bench.story == ["Answered"]


def test_an_offer_that_waits_is_made_after_a_restart():
    bench = Bench()
    call, _ = bench.established()
    (invite,) = bench.do("send_offer", call, OTHER_SDP)
    bench.take(bench.reply(invite, 491, tag=None))
    bench.restart()
    ((_, again),) = bench.until(1.2)
    assert again.body.decode() == OTHER_SDP
    assert again.cseq.number == invite.cseq.number + 1


def test_a_session_that_is_not_refreshed_ends_after_a_restart_too():
    bench = Bench()
    bench.established(headers=("Require: timer", "Session-Expires: 100"))
    bench.restart()
    bench.until(101)
    assert bench.told(Ended).reason == "session_expired"


def test_what_a_peer_wrote_need_not_be_unicode():
    bench = Bench()
    ugly = '"\udcff\udcfe" <sip:\udcff@example.com>;tag=\udcff'.replace(";tag=\udcff", ";tag=a")
    bench.take(bench.invite(from_=ugly, contact="<sip:\udcff@192.0.2.7>"))
    call = bench.told(Invited).call
    bench.told(Invited).from_name.encode()
    bench.restart()
    (ok,) = bench.do("answer", call, SDP)
    assert ok.get("from") == ugly


@pytest.mark.parametrize("damage", [slice(0), slice(-3), slice(3, None)])
def test_a_call_whose_snapshot_is_damaged_ends_and_the_others_go_on(damage: slice):
    bench = Bench()
    bench.take(bench.invite(call_id="call-1"))
    bench.take(bench.invite(call_id="call-2"))
    first, second = bench.saved
    bench.saved[first] = bench.saved[first][damage]
    bench.restart()
    assert bench.told(Ended) == Ended(first, "transport")
    assert list(bench.saved) == [second]
    assert bench.do("hang_up", first) == []
    assert shown(bench.do("answer", second, SDP)) == ["200 INVITE"]


def test_a_call_that_another_version_saved_ends(monkeypatch):
    bench = Bench()
    call = bench.incoming()
    monkeypatch.setattr("plenary.sip.snapshot.VERSION", snapshot.VERSION + 1)
    bench.restart()
    assert bench.told(Ended) == Ended(call, "transport")
    assert (bench.endpoint.calls, bench.endpoint.transactions, bench.saved) == (0, 0, {})
