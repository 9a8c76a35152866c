"""Random users on two endpoints and a bad network between them: every call ends once, and is then forgotten.

A seed draws the network, the users and the crashes; a failure names it.
"""

import random

import pytest
from link import Link, Node

from plenary.sip.config import PATIENCE
from plenary.sip.errors import WrongState
from plenary.sip.events import Acked, Answered, Ended, Invited, OfferAnswered, Offered, Refused

CALLS = 4
TALK_S = 60.0
FORGOTTEN_S = PATIENCE + 60.0


class User:
    """What a server, or a person behind it, might do: drawn from the seed, at random moments."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.link: Link | None = None
        self.number = 0

    def __call__(self, node: Node, event, now: float) -> None:
        draw, call = self.random, event.call
        match event:
            case Invited():
                if draw.random() < 0.6:
                    self.later(2, lambda at: self.try_verb(node, "ring", call, at))
                if draw.random() < 0.2:
                    self.later(3, lambda at: self.try_verb(node, "progress", call, "early", at))
                if draw.random() < 0.8:
                    self.later(6, lambda at: self.try_verb(node, "answer", call, self.sdp(), at))
                elif draw.random() < 0.5:
                    self.later(6, lambda at: self.try_verb(node, "refuse", call, 486, "", at))
                self.plan(node, call)
            case Answered(sdp=sdp) if sdp is not None and sdp.startswith("late"):
                if draw.random() < 0.9:
                    node.endpoint.acknowledge(call, self.sdp(), now)
            case OfferAnswered(sdp=sdp) if sdp is not None and sdp.startswith("late"):
                node.endpoint.acknowledge(call, self.sdp(), now)
            case Offered(sdp=sdp):
                answer = "late offer" if sdp is None else self.sdp()
                if draw.random() < 0.5:
                    node.endpoint.answer_offer(call, answer, now)
                elif draw.random() < 0.8:
                    self.later(3, lambda at: self.try_verb(node, "answer_offer", call, answer, at))
                elif draw.random() < 0.8:
                    node.endpoint.refuse_offer(call, 488, now)
            case _:
                pass

    def start(self, node: Node, target: str, now: float) -> None:
        self.number += 1
        call = f"{node.name}-out-{self.number}"
        node.endpoint.invite(call, target, None if self.random.random() < 0.2 else self.sdp(), "", now)
        self.plan(node, call)

    def plan(self, node: Node, call: str) -> None:
        """Some offers, and the end, at whatever moment."""
        for _ in range(self.random.randrange(4)):
            sdp = None if self.random.random() < 0.2 else self.sdp()
            self.later(20, lambda at, sdp=sdp: self.try_verb(node, "send_offer", call, sdp, at))
        ending = self.random.random() * TALK_S if self.random.random() < 0.7 else TALK_S
        self.link.at(self.link.now + ending, lambda at: self.try_verb(node, "hang_up", call, at))

    def later(self, within: float, what) -> None:
        self.link.at(self.link.now + self.random.random() * within, what)

    def try_verb(self, node: Node, verb: str, call: str, *args) -> None:
        """A verb, whether it has a place or not. Only one that always has may not be refused, while the call lives."""
        has_ended = any(event.call == call for event in node.events if isinstance(event, Ended | Refused))
        try:
            getattr(node.endpoint, verb)(call, *args)
        except WrongState:
            assert verb != "hang_up" or has_ended

    def sdp(self) -> str:
        return f"v=0 {self.random.random()}"


def simulate(seed: int, *, crashes: float = 0.0) -> tuple[Node, Node, Link]:
    draw = random.Random(seed)
    user = User(seed)
    ann = Node("ann", ("10.0.0.1", 5060), decide=user)
    bob = Node("bob", ("10.0.0.2", 5060), decide=user)
    link = user.link = Link(
        ann,
        bob,
        seed=seed,
        jitter=draw.choice([0.0, 0.05, 0.4]),
        loss=draw.choice([0.0, 0.05, 0.3]),
        duplication=draw.choice([0.0, 0.1]),
        crashes=crashes and draw.choice([0.01, 0.1]),
    )
    for _ in range(CALLS):
        node, target = draw.choice([(ann, "sip:x@10.0.0.2"), (bob, "sip:y@10.0.0.1")])
        link.at(draw.random() * 10, lambda now, node=node, target=target: user.start(node, target, now))
    link.run_until(10 + TALK_S + 10)
    link.run_until(link.now + 2 * FORGOTTEN_S)
    return ann, bob, link


def check(ann: Node, bob: Node) -> None:
    for node in (ann, bob):
        calls = {event.call for event in node.events if isinstance(event, Invited)}
        calls |= {event.call for event in node.events if "-out-" in event.call}
        for call in calls:
            story = [event for event in node.events if event.call == call]
            ends = [event for event in story if isinstance(event, Ended | Refused)]
            assert len(ends) == 1, (call, story)
            assert story[-1] is ends[0], (call, story)
            assert sum(isinstance(event, Acked | Answered) for event in story) <= 1, (call, story)
        assert node.endpoint.calls == 0
        assert node.endpoint.transactions == 0
        assert node.endpoint.timeout() is None
        assert node.saved == {}


@pytest.mark.parametrize("seed", range(60))
def test_every_call_ends_once_and_nothing_is_left_behind(seed):
    """Up to 30 % loss, reordering, duplicates; calls, cancels, byes, offers from both sides at any moment."""
    ann, bob, _ = simulate(seed)
    check(ann, bob)


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_a_crash_after_any_commit_loses_no_call_and_ends_none_twice(seed):
    """The same, while both processes die again and again, after the commit and before the datagrams leave."""
    ann, bob, _ = simulate(seed, crashes=0.1)
    check(ann, bob)


def test_offers_that_cross_give_way_to_each_other():
    """RFC 3261 section 14.1: both get 491; the side that was called tries again first, and the caller's offer, now of
    an older session, is given back to its server."""

    def decide(node: Node, event, now: float) -> None:
        if isinstance(event, Invited):
            node.endpoint.answer(event.call, "v=0", now)
        elif isinstance(event, Offered):
            node.endpoint.answer_offer(event.call, f"to {event.sdp}", now)

    ann, bob = Node("ann", ("10.0.0.1", 5060), decide=decide), Node("bob", ("10.0.0.2", 5060), decide=decide)
    link = Link(ann, bob)
    link.at(0.0, lambda now: ann.endpoint.invite("c1", "sip:x@10.0.0.2", "v=0", "", now))
    link.at(1.0, lambda now: ann.endpoint.send_offer("c1", "ann's", now))
    link.at(1.0, lambda now: bob.endpoint.send_offer(bob.events[0].call, "bob's", now))
    link.run_until(10.0)
    assert sum(first == "SIP/2.0 491 Request Pending [INVITE]" for _, _, first in link.sent) == 2
    assert ann.story == ["Answered", "OfferRefused", "Offered"]
    assert bob.story == ["Invited", "Acked", "OfferAnswered"]
    assert bob.events[-1].sdp == "to bob's"
