"""An INVITE of ours, the first of a call or a later one, from its sending to the ACK (RFC 3261 section 13.2, 14.1).

Theory of operation. PENDING until a final response; a challenge that we can answer starts it anew under the next
CSeq. ANSWERED by a 2xx, which is acknowledged at once, or, when it holds an offer, with our answer to it (OWES_ACK
until then); each 2xx that comes again gets the same ACK again. OVER when it was refused, or nothing more can come.

`cancel` sends CANCEL as soon as the peer gave a sign of life (section 9.1); the INVITE then still gets its final
response, which may be a 2xx that was under way.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from plenary.sip.config import MAX_FORKS, PATIENCE, Address, Datagram, Flow
from plenary.sip.dialog import Dialog
from plenary.sip.digest import authorize
from plenary.sip.message import Request, Response
from plenary.sip.stack import ALLOW, SUPPORTED, Stack
from plenary.sip.timers import Timer
from plenary.sip.transaction import Transaction

if TYPE_CHECKING:
    from plenary.sip.call import Call

MAX_CHALLENGES: Final = 2
"""Challenges answered for one request: the first, and one for a stale nonce. More means a wrong password."""


class Stage(StrEnum):
    """How far an INVITE of ours has come."""

    PENDING = "pending"
    OWES_ACK = "owes ack"
    ANSWERED = "answered"
    OVER = "over"


class SentInvite:
    """`early` holds, for each phone that rings for our first INVITE, its To tag and the last description it sent.

    `ack` is the ACK of the 2xx. `is_proceeding`: a 1xx came. `is_cancelled`: CANCEL was sent, or is to be.
    `is_first`: the call begins with it. `tries`: how often the offer has met one of the peer (491).
    """

    def __init__(self, stack: Stack, call: Call, sdp: str | None, *, is_first: bool, tries: int = 0) -> None:
        self._stack = stack
        self._call = call
        self.sdp = sdp
        self.stage = Stage.PENDING
        self.early: dict[str, str | None] = {}
        self.ack: Datagram | None = None
        self.is_proceeding = False
        self.is_cancelled = False
        self.is_first = is_first
        self.tries = tries
        self.challenges = 0
        self.credentials: tuple[tuple[str, str], ...] = ()
        self.request: Request | None = None
        self.flow: Flow | None = None
        self.transaction: Transaction | None = None
        self._forks: dict[str, Datagram] = {}

    @property
    def is_pending(self) -> bool:
        """Whether the final response is still to come."""
        return self.stage is Stage.PENDING

    @property
    def is_done(self) -> bool:
        """Whether neither the final response nor our ACK is still to come."""
        return self.stage in (Stage.ANSWERED, Stage.OVER)

    @property
    def holds_offer(self) -> bool:
        """Whether the offer was ours to make, and was made."""
        return self.sdp is not None

    def note_early(self, tag: str | None, sdp: str | None) -> None:
        """A phone rings: remembers it, and what it last sent of a description."""
        if tag is not None and (tag in self.early or len(self.early) < MAX_FORKS):
            self.early[tag] = sdp if sdp is not None else self.early.get(tag)

    def send(self, now: float) -> None:
        """Sends the INVITE under the next CSeq."""
        dialog = self._call.dialog
        self.request, self.flow = dialog.request(
            "INVITE",
            self._stack.via(dialog.listener),
            contact=self._call.contact,
            headers=(ALLOW, SUPPORTED, *self.credentials),
            body=self.sdp,
        )
        self.is_proceeding = False
        self.transaction = self._stack.transactions.request(self.request, self.flow, self, now)

    def proceed(self, now: float) -> None:
        """A 1xx came: the peer is there, and can be sent a CANCEL."""
        if not self.is_proceeding:
            self.is_proceeding = True
            if self.is_cancelled:
                self.send_cancel(now)

    def cancel(self, now: float) -> None:
        """Wants the INVITE cancelled."""
        if not self.is_cancelled:
            self.is_cancelled = True
            if self.is_proceeding:
                self.send_cancel(now)

    def send_cancel(self, now: float) -> None:
        """Sends the CANCEL, and no longer waits for more than 64*T1 (section 9.1)."""
        assert self.request is not None
        assert self.flow is not None
        self._stack.transactions.request(self.request.cancel(), self.flow, None, now)
        self._stack.timers.set(self._call, Timer.CANCEL_WAIT, now + PATIENCE)

    def answer_challenge(self, response: Response, now: float) -> bool:
        """Sends the INVITE again with credentials, if the challenge is one that we have them for (section 22.2).

        Only for calls that we made: a phone that called us has no business to ask for our password.
        """
        assert self.request is not None
        assert self.flow is not None
        if not self._call.is_caller or self.is_cancelled or self.challenges >= MAX_CHALLENGES:
            return False
        header = authorization(self._stack, self.request, self.flow.remote, response)
        if header is None:
            return False
        self.challenges += 1
        self.credentials = (header,)
        self.send(now)
        return True

    def acknowledge(self, sdp: str | None) -> None:
        """Sends the ACK of the 2xx that established or kept the dialog (section 13.2.2.4)."""
        self.stage = Stage.ANSWERED
        self.ack = self._send_ack(self._call.dialog, sdp)

    def repeat_ack(self) -> None:
        """The 2xx came again."""
        if self.ack is not None:
            self._stack.outbox.append(self.ack)

    def end_fork(self, response: Response, now: float) -> None:
        """Another phone has also picked up: acknowledges, and hangs up at once (section 13.2.2.4)."""
        tag = response.to.tag or ""
        known = self._forks.get(tag)
        if known is not None:
            self._stack.outbox.append(known)
            return
        dialog = self._call.dialog.fork(response)
        ack = self._send_ack(dialog, None)
        if len(self._forks) < MAX_FORKS:
            self._forks[tag] = ack
        bye, flow = dialog.request("BYE", self._stack.via(dialog.listener))
        self._stack.transactions.request(bye, flow, None, now)

    def over(self) -> None:
        """Nothing more is to be done, or waited for."""
        self.stage = Stage.OVER
        self._stack.timers.stop(self._call, Timer.CANCEL_WAIT)
        self._stack.timers.stop(self._call, Timer.OFFER_WAIT)

    def abandon(self) -> None:
        """Gives up an INVITE that gets no final response."""
        if self.transaction is not None and self.transaction.is_pending:
            self._stack.transactions.forget(self.transaction)
        self.over()

    # What comes of it (TransactionUser)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response to this INVITE; those to an attempt before a challenge are of no interest."""
        if transaction is self.transaction:
            self._call.on_invite_response(self, response, now)

    def on_silence(self, transaction: Transaction, now: float) -> None:
        """No final response came."""
        if transaction is self.transaction and self.is_pending:
            self._call.on_invite_failure(self, 408, "Request Timeout", now)

    def on_unreachable(self, transaction: Transaction, reason: str, now: float) -> None:
        """As if 503 had come (RFC 3261 section 8.1.3.1)."""
        if transaction is self.transaction and self.is_pending:
            self._call.on_invite_failure(self, 503, reason, now)

    def on_refusal_settled(self, transaction: Transaction) -> None:
        """Only for transactions of the server side."""
        raise AssertionError(f"{transaction!r} refuses nothing")

    def _send_ack(self, dialog: Dialog, sdp: str | None) -> Datagram:
        assert self.request is not None
        request, flow = dialog.request(
            "ACK", self._stack.via(dialog.listener), cseq=self.request.cseq.number, headers=self.credentials, body=sdp
        )
        return self._stack.send(request, flow)


def authorization(stack: Stack, request: Request, destination: Address, response: Response) -> tuple[str, str] | None:
    """The header that answers a 401 or 407 to what was sent there; None without credentials for it."""
    credentials = stack.config.outgoing
    if credentials is None or not credentials.are_for(destination) or response.status not in (401, 407):
        return None
    asks, answers = (
        ("WWW-Authenticate", "Authorization")
        if response.status == 401
        else ("Proxy-Authenticate", "Proxy-Authorization")
    )
    value = authorize(
        request.method,
        request.uri_text,
        response.get_all(asks),
        credentials.user,
        credentials.password,
        realm=credentials.realm,
        cnonce=stack.ids(),
        body=request.body,
    )
    return None if value is None else (answers, value)
