"""An INVITE of the peer, the first of a call or a later one, from its arrival to the ACK (RFC 3261 section 13.3, 14.2).

Theory of operation. PENDING until our final response. A refusal is the transaction's care from then on, and SETTLED
when it says so. A 2xx is ours: UNACKED, repeated at T1, 2 T1, ... up to T2, until the ACK (ACKED), or until 64*T1
have passed without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from plenary.sip.config import PATIENCE, PROVISIONAL_EVERY, T1, T2, Datagram
from plenary.sip.message import HeaderValue, Request, Response
from plenary.sip.stack import ALLOW, SDP, SUPPORTED, Stack, sdp_of
from plenary.sip.timers import Timer
from plenary.sip.transaction import Transaction

if TYPE_CHECKING:
    from plenary.sip.call import Call


class Stage(StrEnum):
    """How far an INVITE of the peer has come."""

    PENDING = "pending"
    UNACKED = "unacked"
    ACKED = "acked"
    REFUSED = "refused"
    SETTLED = "settled"


class ServedInvite:
    """`response` is the last one that was given, 100 aside."""

    def __init__(self, stack: Stack, call: Call, request: Request, transaction: Transaction) -> None:
        self._stack = stack
        self._call = call
        self.request = request
        self.transaction = transaction
        self.response: Response | None = None
        self.stage = Stage.PENDING
        self._interval = T1

    @property
    def offer(self) -> str | None:
        """The peer's offer; None when it wants one from us."""
        return sdp_of(self.request)

    @property
    def is_pending(self) -> bool:
        """Whether our final response is still to come."""
        return self.stage is Stage.PENDING

    @property
    def is_unacked(self) -> bool:
        """Whether our 2xx has not reached the peer, for all we know."""
        return self.stage is Stage.UNACKED

    @property
    def needs_care(self) -> bool:
        """Whether the peer may still be waiting for us."""
        return self.stage in (Stage.PENDING, Stage.UNACKED, Stage.REFUSED)

    def provisional(self, status: int, sdp: str | None, now: float) -> None:
        """Sends 180 or 183, and again every minute (section 13.3.1.1)."""
        self._respond(status, None, sdp, (ALLOW,), now)
        self._stack.timers.set(self._call, Timer.PROVISIONAL, now + PROVISIONAL_EVERY)

    def accept(self, sdp: str | None, headers: Iterable[tuple[str, HeaderValue]], now: float) -> None:
        """Sends 200, until it is acknowledged."""
        self._respond(200, None, sdp, (ALLOW, SUPPORTED, *headers), now)
        self.await_ack(now)

    def await_ack(self, now: float) -> None:
        """Starts to wait for the ACK of the 2xx that is in `response`."""
        self.stage = Stage.UNACKED
        self._stop_timers()
        self._interval = T1
        self._stack.timers.set(self._call, Timer.REPEAT_2XX, now + T1)
        self._stack.timers.set(self._call, Timer.ACK_WAIT, now + PATIENCE)

    def refuse(
        self, status: int, reason: str | None, now: float, headers: Iterable[tuple[str, HeaderValue]] = ()
    ) -> None:
        """Sends a final response of 300 or more."""
        self.stage = Stage.REFUSED
        self._stop_timers()
        self.response = self.request.response(
            status, reason or None, to_tag=self._call.dialog.local_tag, headers=headers
        )
        self._stack.transactions.respond(self.transaction, self.response, now)

    def settle(self) -> None:
        """The ACK of the refusal came, or never will."""
        self.stage = Stage.SETTLED

    def acked(self) -> None:
        """The ACK of the 2xx came, or something that only a peer who has the 2xx can send."""
        self.stage = Stage.ACKED
        self._stop_timers()

    def on_timer(self, timer: Timer, now: float) -> None:
        """Takes PROVISIONAL and REPEAT_2XX."""
        assert self.response is not None
        if timer is Timer.PROVISIONAL:
            self._stack.transactions.respond(self.transaction, self.response, now)
            self._stack.timers.set(self._call, Timer.PROVISIONAL, now + PROVISIONAL_EVERY)
        else:
            self.repeat()
            self._interval = min(2 * self._interval, T2)
            self._stack.timers.set(self._call, Timer.REPEAT_2XX, now + self._interval)

    def repeat(self) -> None:
        """Sends the 2xx once more."""
        assert self.response is not None
        self._stack.outbox.append(Datagram(self.response.encode(), self.transaction.flow))

    def _respond(
        self,
        status: int,
        reason: str | None,
        sdp: str | None,
        headers: Iterable[tuple[str, HeaderValue]],
        now: float,
    ) -> None:
        self.response = self.request.response(
            status,
            reason,
            to_tag=self._call.dialog.local_tag,
            contact=self._call.contact,
            headers=headers,
            content_type=None if sdp is None else SDP,
            body=b"" if sdp is None else sdp.encode(),
        )
        self._stack.transactions.respond(self.transaction, self.response, now)

    def _stop_timers(self) -> None:
        for timer in (Timer.PROVISIONAL, Timer.REPEAT_2XX, Timer.ACK_WAIT, Timer.ANSWER_WAIT):
            self._stack.timers.stop(self._call, timer)
