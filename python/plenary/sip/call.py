"""One call: its phases, its verbs, and what comes of its requests.

Theory of operation. INCOMING or OUTGOING until the first INVITE has its final response, CONFIRMED after a 2xx, ENDING
from the moment that `Ended` or `Refused` was told: then only the protocol's own duties are left (a BYE in flight, a
refusal or a 2xx without its ACK, an INVITE that was cancelled), and when the last is done the call is GONE.

A dialog has at most one offer under way (RFC 3264, RFC 6337). Three things can hold one: `served` (the peer's INVITE),
`update` (the peer's UPDATE) and `sent` (our INVITE); `waiting` is an offer of ours that has to wait, for the ACK of
our 2xx or because the peer had the same idea (491). Requests of the peer are taken in `within.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from plenary.sip.config import PATIENCE
from plenary.sip.dialog import Dialog
from plenary.sip.errors import WrongState
from plenary.sip.events import (
    Acked,
    Answered,
    Ended,
    EndReason,
    OfferAnswered,
    OfferRefused,
    Progressed,
    Refused,
    Ringing,
    SipEvent,
)
from plenary.sip.header import quote
from plenary.sip.message import Response
from plenary.sip.sent_invite import SentInvite, authorization
from plenary.sip.sent_invite import Stage as Sent
from plenary.sip.served_invite import ServedInvite
from plenary.sip.session_timer import SessionTimer
from plenary.sip.stack import ALLOW, SDP, Stack, contact, readable, sdp_of
from plenary.sip.timers import Timer
from plenary.sip.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plenary.sip.message import HeaderValue

ANSWER_WAIT_S: Final = 30.0
"""Seconds that an offer of the peer may go unanswered: its own patience is 32 (timers B and F)."""

OFFER_WAIT_S: Final = 60.0
"""Seconds that the peer may think about our re-INVITE after a provisional response; then it is cancelled."""

MAX_OFFER_RETRIES: Final = 5
"""How often an offer that met the peer's (491) is made again."""


class Phase(StrEnum):
    """Where a call stands."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    CONFIRMED = "confirmed"
    ENDING = "ending"
    GONE = "gone"


class Waiting:
    """An offer of ours that could not be sent yet; `sdp` None asks the peer for one. `tries` counts its 491s."""

    __slots__ = ("sdp", "tries")

    def __init__(self, sdp: str | None, tries: int = 0) -> None:
        self.sdp = sdp
        self.tries = tries


class Call:
    """One call. Its fields are changed here and in `within.py` and `snapshot.py`, nowhere else."""

    def __init__(self, stack: Stack, handle: str, phase: Phase, dialog: Dialog, raw_user: str | None) -> None:
        self.stack = stack
        self.id = handle
        self.phase = phase
        self.is_caller = phase is Phase.OUTGOING
        """The first INVITE was ours."""
        self.dialog = dialog
        self.raw_user = raw_user
        """Who the peer is told that we are, as a URI spells it; None: nobody in particular."""
        self.invite_key: tuple[str, str, int] | None = None
        """Call-ID, From tag and CSeq of the peer's first INVITE, by which a copy of it is known (section 8.2.2.2)."""
        self.served: ServedInvite | None = None
        """The last INVITE of the peer, answered or not."""
        self.sent: SentInvite | None = None
        """The last INVITE of ours, answered or not."""
        self.update: Transaction | None = None
        """The peer's UPDATE whose offer waits for our answer."""
        self.waiting: Waiting | None = None
        """An offer of ours that waits for its turn."""
        self.answered: Transaction | None = None
        """The last request other than INVITE that was answered within the dialog: a restart must know it again."""
        self.bye: Transaction | None = None
        """Our BYE, until it is answered."""
        self.bye_owed = False
        """A BYE has to wait for the ACK of our 2xx (section 15)."""
        self.bye_challenges = 0
        """Challenges to our BYE that were answered: no more than one."""
        self.session_timer = SessionTimer(stack, self)
        self.farewell: tuple[tuple[str, str], ...] = ()
        """Headers of what ends the call: its Reason (RFC 3326)."""

    # Verbs; none is called once the call is ENDING

    def ring(self, now: float) -> None:
        """180 Ringing."""
        self._first_served("ring").provisional(180, None, now)
        self.changed()

    def progress(self, sdp: str, now: float) -> None:
        """183 Session Progress."""
        self._first_served("progress").provisional(183, sdp, now)
        self.changed()

    def answer(self, sdp: str, now: float) -> None:
        """200 to the peer's first INVITE."""
        served = self._first_served("answer")
        self.phase = Phase.CONFIRMED
        served.accept(sdp, self.session_timer.accept(served.request, now), now)
        self.changed()

    def refuse(self, status: int, reason: str, now: float) -> None:
        """A final response of 300 or more to the peer's first INVITE."""
        self._turn_away(self._first_served("refuse"), status, reason, now)

    def hang_up(self, reason: str, now: float) -> None:
        """Ends the call, whatever its phase."""
        if reason:
            self.farewell = (("Reason", f"SIP;cause=200;text={quote(reason)}"),)
        match self.phase:
            case Phase.INCOMING:
                self._turn_away(self._first_served("hang_up"), 480, None, now)
            case Phase.OUTGOING:
                assert self.sent is not None
                self.sent.cancel(now)
                self.end("cancel", now)
            case _:
                self.leave("bye", now)

    def invite(self, sdp: str | None, now: float) -> None:
        """Sends the first INVITE."""
        self.sent = SentInvite(self.stack, self, sdp, is_first=True)
        self.sent.send(now)
        self.changed()

    def acknowledge(self, sdp: str | None, now: float) -> None:
        """ACK with our answer to the offer in the peer's 2xx."""
        if self.sent is None or self.sent.stage is not Sent.OWES_ACK:
            raise WrongState(f"acknowledge while no offer of a 2xx waits for its answer ({self.phase})")
        self.stack.timers.stop(self, Timer.ACKNOWLEDGE_WAIT)
        self.sent.acknowledge(sdp)
        self.changed()
        self._try_waiting(now)

    def answer_offer(self, sdp: str, now: float) -> None:
        """200 to the peer's re-INVITE or UPDATE; nothing if it was withdrawn meanwhile."""
        if self.phase is not Phase.CONFIRMED:
            return
        if self.update is not None:
            update, self.update = self.update, None
            self.dialog.refresh_target(update.request)
            self.stack.timers.stop(self, Timer.ANSWER_WAIT)
            headers = (ALLOW, *self.session_timer.accept(update.request, now))
            self.respond(update, 200, now, contact=self.contact, headers=headers, sdp=sdp)
        elif self.served is not None and self.served.is_pending:
            self.dialog.refresh_target(self.served.request)
            self.served.accept(sdp, self.session_timer.accept(self.served.request, now), now)
        self.changed()

    def refuse_offer(self, status: int, now: float) -> None:
        """A refusal of the peer's re-INVITE or UPDATE: the session stays as it was."""
        if self.phase is not Phase.CONFIRMED:
            return
        self.drop_offer(status, now)
        self.changed()

    def send_offer(self, sdp: str | None, now: float) -> None:
        """re-INVITE with our offer, or for the peer's (None)."""
        if self.phase is not Phase.CONFIRMED:
            raise WrongState(f"send_offer while {self.phase}")
        if self.is_offered or self.waiting is not None or (self.sent is not None and self.sent.is_pending):
            self.tell(OfferRefused(self.id, 491))
            return
        self.waiting = Waiting(sdp)
        self.changed()
        self._try_waiting(now)

    def send_digit(self, digit: str, duration_ms: int, now: float) -> None:
        """INFO with one key. What the phone says to it is of no interest."""
        if self.phase is not Phase.CONFIRMED:
            raise WrongState(f"send_digit while {self.phase}")
        request, flow = self.dialog.request(
            "INFO",
            self.stack.via(self.dialog.listener),
            body=f"Signal={digit}\r\nDuration={duration_ms}\r\n",
            content_type="application/dtmf-relay",
        )
        self.stack.transactions.request(request, flow, None, now)
        self.changed()

    # What the verbs and the requests of the peer share

    @property
    def contact(self) -> str:
        """What we put into Contact."""
        return contact(self.dialog.listener, self.raw_user)

    @property
    def is_offered(self) -> bool:
        """Whether an offer, or the wish for one, of the peer waits for our answer within the call."""
        return self.update is not None or (self.served is not None and self.served.is_pending)

    @property
    def our_2xx_offers(self) -> bool:
        """Whether our 2xx was the offer, and its answer is still to come in the ACK."""
        return self.served is not None and self.served.is_unacked and self.served.offer is None

    def knows(self, tag: str | None) -> bool:
        """Whether a request with this From tag is of the phone at the other end, or of one that rings for us."""
        if self.phase is Phase.OUTGOING:
            return self.sent is not None and tag in self.sent.early
        return tag == self.dialog.remote_tag

    def tell(self, event: SipEvent) -> None:
        """Lets the owner of the endpoint know."""
        self.stack.events.append(event)

    def changed(self) -> None:
        """Notes that the snapshot of this call is no longer true."""
        self.stack.dirty[self.id] = self

    def respond(
        self,
        transaction: Transaction,
        status: int,
        now: float,
        *,
        contact: str | None = None,
        headers: Iterable[tuple[str, HeaderValue]] = (),
        sdp: str | None = None,
    ) -> None:
        """Answers a request of the peer other than INVITE."""
        response = transaction.request.response(
            status,
            to_tag=self.dialog.local_tag,
            contact=contact,
            headers=headers,
            content_type=None if sdp is None else SDP,
            body=b"" if sdp is None else sdp.encode(),
        )
        self.stack.transactions.respond(transaction, response, now)
        self.answered = transaction
        self.changed()

    def drop_offer(self, status: int, now: float) -> None:
        """Refuses whatever offer of the peer waits."""
        if self.update is not None:
            update, self.update = self.update, None
            self.stack.timers.stop(self, Timer.ANSWER_WAIT)
            self.respond(update, status, now)
        if self.served is not None and self.served.is_pending:
            self.served.refuse(status, None, now)

    def withdraw_waiting(self) -> None:
        """The peer's offer came first: ours is not made again, since the session may have become another."""
        if self.waiting is not None:
            self.waiting = None
            self.stack.timers.stop(self, Timer.OFFER_RETRY)
            self.tell(OfferRefused(self.id, 491))

    def acked(self, sdp: str | None, now: float) -> None:
        """The ACK to our 2xx came, or something that proves that the 2xx did."""
        served = self.served
        assert served is not None
        served.acked()
        self.changed()
        if self.phase is Phase.CONFIRMED:
            if self.is_caller or served.request.to.tag is not None:
                if served.offer is None:
                    self.tell(OfferAnswered(self.id, sdp))
            else:
                self.tell(Acked(self.id, sdp if served.offer is None else None))
            self._try_waiting(now)
        elif self.bye_owed:
            self._send_bye(now)

    def end(self, reason: EndReason, now: float) -> None:
        """Tells that the call is over; what is left is between us and the peer."""
        assert self.phase is not Phase.ENDING
        self._enter_ending()
        self.waiting = None
        for timer in (Timer.OFFER_RETRY, Timer.SESSION, Timer.OFFER_WAIT):
            self.stack.timers.stop(self, timer)
        if self.sent is not None and self.sent.is_pending and not self.sent.is_first:
            self.stack.timers.set(self, Timer.CANCEL_WAIT, now + PATIENCE)
        self.tell(Ended(self.id, reason))
        self.settle()

    def leave(self, reason: EndReason, now: float) -> None:
        """Hangs up a confirmed call. The BYE waits for the ACK of our 2xx (RFC 3261 section 15)."""
        self.drop_offer(487, now)
        if self.sent is not None and self.sent.stage is Sent.OWES_ACK:
            self.stack.timers.stop(self, Timer.ACKNOWLEDGE_WAIT)
            self.sent.acknowledge(None)
        if self.served is not None and self.served.is_unacked:
            self.bye_owed = True
        else:
            self._send_bye(now)
        self.end(reason, now)

    def settle(self) -> None:
        """Forgets the call once nothing is left to do."""
        self.changed()
        busy = (
            self.phase is not Phase.ENDING
            or self.bye is not None
            or self.bye_owed
            or (self.served is not None and self.served.needs_care)
            or (self.sent is not None and self.sent.is_pending)
        )
        if not busy:
            self.phase = Phase.GONE
            self.stack.remove(self)

    # What comes of our requests

    def on_invite_response(self, sent: SentInvite, response: Response, now: float) -> None:
        """A response to an INVITE of ours; one of an earlier INVITE can only be its 2xx once more."""
        if response.status < 200:
            if sent.is_pending:
                self._on_provisional(sent, response, now)
        elif response.status < 300:
            self._on_success(sent, response, now)
        elif sent.is_pending:
            if sent.answer_challenge(response, now):
                self.changed()
            else:
                self.on_invite_failure(sent, response.status, response.reason, now)

    def on_invite_failure(self, sent: SentInvite, status: int, reason: str, now: float) -> None:
        """Our INVITE was refused, or nothing came: as if it were 408 (RFC 3261 section 8.1.3.1)."""
        sent.over()
        self.changed()
        if self.phase is Phase.ENDING:
            self.settle()
        elif self.phase is Phase.OUTGOING:
            self._enter_ending()
            self.tell(Refused(self.id, status, readable(reason)))
            self.settle()
        elif status in (408, 481):  # the peer has no such dialog, or is no more (section 12.2.1.2)
            self.leave("transport", now)
        elif status == 491:
            self._retry_offer(sent, now)
        else:
            self.tell(OfferRefused(self.id, status))

    # TransactionUser, for our BYE and our refusals

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response to our BYE."""
        if transaction is self.bye:
            self._on_bye_response(response, now)

    def on_silence(self, transaction: Transaction, now: float) -> None:  # noqa: ARG002 - as TransactionUser has it
        """No final response came to our BYE: the peer is gone as well."""
        if transaction is self.bye:
            self.bye = None
            self.settle()

    def on_unreachable(self, transaction: Transaction, reason: str, now: float) -> None:  # noqa: ARG002
        """Our BYE leads nowhere."""
        self.on_silence(transaction, now)

    def on_refusal_settled(self, transaction: Transaction) -> None:
        """The peer has our refusal, or will never have it."""
        if self.served is not None and transaction is self.served.transaction:
            self.served.settle()
            self.settle()

    def on_timer(self, timer: Timer, now: float) -> None:
        """Takes a timer of this call."""
        match timer:
            case Timer.PROVISIONAL | Timer.REPEAT_2XX:
                assert self.served is not None
                self.served.on_timer(timer, now)
            case Timer.ACK_WAIT:
                self._on_no_ack(now)
            case Timer.ANSWER_WAIT:
                self.drop_offer(500, now)
                self.changed()
            case Timer.ACKNOWLEDGE_WAIT:
                self.leave("offer_timeout", now)
            case Timer.OFFER_RETRY:
                self._try_waiting(now)
            case Timer.OFFER_WAIT:
                assert self.sent is not None
                self.sent.cancel(now)
            case Timer.CANCEL_WAIT:
                self._on_no_final(now)
            case Timer.SESSION:
                self.leave("session_expired", now)
            case _:
                raise AssertionError(f"{timer} is no timer of a call")

    # Our INVITE

    def _on_provisional(self, sent: SentInvite, response: Response, now: float) -> None:
        sent.proceed(now)
        self.changed()
        if self.phase is Phase.CONFIRMED:
            if not self.stack.timers.runs(self, Timer.OFFER_WAIT):
                self.stack.timers.set(self, Timer.OFFER_WAIT, now + OFFER_WAIT_S)
            return
        if self.phase is not Phase.OUTGOING or response.status == 100:
            return
        sdp = sdp_of(response)
        sent.note_early(response.to.tag, sdp)
        if response.status in (180, 181, 182):
            self.tell(Ringing(self.id))
        if sdp is not None or response.status not in (180, 181, 182):
            self.tell(Progressed(self.id, sdp))

    def _on_success(self, sent: SentInvite, response: Response, now: float) -> None:
        if sent.is_first and sent.is_pending:
            self._on_answer(sent, response, now)
        elif response.to.tag != self.dialog.remote_tag:
            sent.end_fork(response, now)
        elif sent.is_pending:
            sent.over()
            self.dialog.refresh_target(response)
            self._after_2xx(sent, OfferAnswered(self.id, sdp_of(response)), now)
        else:
            sent.repeat_ack()

    def _on_answer(self, sent: SentInvite, response: Response, now: float) -> None:
        """The first 2xx to our first INVITE. After a hang-up it came too late: acknowledged, and ended by BYE."""
        self.dialog.establish(response)
        sdp = sdp_of(response)
        if sdp is None and sent.holds_offer:
            sdp = sent.early.get(response.to.tag or "")  # sent early, and not said again
        sent.early.clear()
        sent.over()
        if self.phase is Phase.OUTGOING:
            self.phase = Phase.CONFIRMED
            self._after_2xx(sent, Answered(self.id, sdp), now)
        else:
            sent.acknowledge(None)
            self._send_bye(now)
            self.changed()

    def _after_2xx(self, sent: SentInvite, event: SipEvent, now: float) -> None:
        self.changed()
        if self.phase is not Phase.CONFIRMED:
            sent.acknowledge(None)
            self.settle()
            return
        if sent.holds_offer:
            sent.acknowledge(None)
        else:
            sent.stage = Sent.OWES_ACK
            self.stack.timers.set(self, Timer.ACKNOWLEDGE_WAIT, now + PATIENCE)
        self.tell(event)

    def _on_no_final(self, now: float) -> None:
        assert self.sent is not None
        self.sent.abandon()
        self.changed()
        if self.phase is Phase.CONFIRMED:
            self.leave("transport", now)
        else:
            self.settle()

    def _retry_offer(self, sent: SentInvite, now: float) -> None:
        """Both sides offered at once: waits as long as section 14.1 says, the two sides never equally long."""
        if sent.tries >= MAX_OFFER_RETRIES:
            self.tell(OfferRefused(self.id, 491))
            return
        self.waiting = Waiting(sent.sdp, sent.tries + 1)
        steps = self.stack.random.randint(210, 400) if self.is_caller else self.stack.random.randint(0, 200)
        self.stack.timers.set(self, Timer.OFFER_RETRY, now + steps / 100)

    def _try_waiting(self, now: float) -> None:
        """Makes the offer that waits, unless it has to wait on: for an ACK of the peer, or of our own."""
        if self.waiting is None or self.phase is not Phase.CONFIRMED or self.stack.timers.runs(self, Timer.OFFER_RETRY):
            return
        if (self.served is not None and self.served.is_unacked) or (
            self.sent is not None and self.sent.stage is Sent.OWES_ACK
        ):
            return
        waiting, self.waiting = self.waiting, None
        self.sent = SentInvite(self.stack, self, waiting.sdp, is_first=False, tries=waiting.tries)
        self.sent.send(now)
        self.changed()

    # Our BYE

    def _send_bye(self, now: float, credentials: tuple[tuple[str, str], ...] = ()) -> None:
        self.bye_owed = False
        via = self.stack.via(self.dialog.listener)
        request, flow = self.dialog.request("BYE", via, headers=(*self.farewell, *credentials))
        self.bye = self.stack.transactions.request(request, flow, self, now)
        self.changed()

    def _on_bye_response(self, response: Response, now: float) -> None:
        if response.status < 200:
            return
        assert self.bye is not None
        bye, self.bye = self.bye, None
        if self.is_caller and not self.bye_challenges:
            header = authorization(self.stack, bye.request, bye.flow.remote, response)
            if header is not None:
                self.bye_challenges += 1
                self._send_bye(now, (header,))
                return
        self.settle()

    # Their INVITE

    def _on_no_ack(self, now: float) -> None:
        """Our 2xx was never acknowledged: the session ends by BYE (section 13.3.1.4)."""
        assert self.served is not None
        self.served.acked()
        if self.phase is Phase.CONFIRMED:
            self.leave("ack_timeout", now)
        elif self.bye_owed:
            self._send_bye(now)

    def _turn_away(self, served: ServedInvite, status: int, reason: str | None, now: float) -> None:
        """Refuses the first INVITE. A peer that has heard nothing yet repeats it until it has an answer, to whomever
        is there then: its call is forgotten at once, and only the transaction waits for the ACK."""
        is_unheard = served.transaction.message is None
        served.refuse(status, reason, now, self.farewell)
        if is_unheard:
            served.settle()
            self.stack.transactions.disown(served.transaction)
        self.end("refused", now)

    def _enter_ending(self) -> None:
        self.phase = Phase.ENDING
        self.stack.ending.add(self.id)

    def _first_served(self, verb: str) -> ServedInvite:
        if self.phase is not Phase.INCOMING or self.served is None:
            raise WrongState(f"{verb} while {self.phase}")
        return self.served
