"""Requests of the peer within a dialog (RFC 3261 section 12.2.2, 14.2, 15.1.2; RFC 3311, RFC 6086)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from plenary.sip.call import ANSWER_WAIT_S, Call, Phase
from plenary.sip.config import Flow
from plenary.sip.events import Digit, Offered
from plenary.sip.message import HeaderValue, Request
from plenary.sip.served_invite import ServedInvite
from plenary.sip.stack import ACCEPT, ALLOW, SUPPORTED, sdp_of
from plenary.sip.timers import Timer
from plenary.sip.transaction import Transaction, response_flow

if TYPE_CHECKING:
    from plenary.sip.transaction import ServerKey

DEFAULT_DIGIT_MS: Final = 250
"""How long a key was pressed when the INFO does not say."""

MAX_DIGIT_MS: Final = 10_000
"""Longer than that nobody presses a key."""

_SIGNAL: Final = re.compile(
    rb"^[ \t]*signal[ \t]*=[ \t]*([0-9A-Da-d*#]|1[0-5])[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_DURATION: Final = re.compile(rb"^[ \t]*duration[ \t]*=[ \t]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_BARE_SIGNAL: Final = re.compile(rb"[ \t\r\n]*([0-9A-Da-d*#]|1[0-5])[ \t\r\n]*")
_EVENT_DIGITS: Final = "0123456789*#ABCD"
"""By the event codes of RFC 4733, with which some phones write * as 10."""

Headers = tuple[tuple[str, HeaderValue], ...]


def on_ack(call: Call, request: Request, now: float) -> None:
    """The ACK of a 2xx of ours. Any other is absorbed."""
    served = call.served
    if served is not None and served.is_unacked and served.request.cseq.number == request.cseq.number:
        call.acked(sdp_of(request), now)


def on_cancel(call: Call, transaction: Transaction, now: float) -> None:
    """The peer takes back an INVITE that has no final response (RFC 3261 section 9.2)."""
    served = call.served
    if served is None or served.transaction is not transaction or not served.is_pending:
        return
    served.refuse(487, None, now)
    if call.phase is Phase.INCOMING:
        call.end("cancel", now)
    call.changed()


def on_request(call: Call, key: ServerKey, request: Request, flow: Flow, now: float) -> None:
    """Any request but ACK and CANCEL, for a dialog that the call knows, and not a retransmission."""
    transactions = call.stack.transactions
    owner = call if request.method == "INVITE" else None
    transaction = transactions.serve(key, request, response_flow(request, flow), owner, now)
    is_our_dialog = call.dialog.remote_tag == request.from_.tag
    if is_our_dialog and not call.dialog.is_in_order(request):
        _refuse(call, transaction, 500, now)
        return
    call.changed()
    if call.phase is Phase.ENDING and request.method != "BYE":
        _refuse(call, transaction, 481, now)
        return
    if is_our_dialog:
        call.dialog.note_source(request, flow.remote)
    match request.method:
        case "INVITE":
            _on_invite(call, transaction, request, now)
        case "UPDATE":
            _on_update(call, transaction, request, now)
        case "BYE":
            _on_bye(call, transaction, now)
        case "INFO":
            _on_info(call, transaction, request, now)
        case _:
            call.respond(transaction, 200, now, headers=(ALLOW, ACCEPT, SUPPORTED))


def _on_bye(call: Call, transaction: Transaction, now: float) -> None:
    """Ends the call; what was pending is answered with 487 (section 15.1.2). One that crosses ours is fine as well."""
    call.respond(transaction, 200, now)
    if call.phase is Phase.OUTGOING:  # an early dialog, which is the caller's to end: the INVITE goes on
        return
    served = call.served
    if served is not None and served.is_unacked:
        served.acked()
    call.bye_owed = False
    call.drop_offer(487, now)
    if call.phase is Phase.ENDING:
        call.settle()
    else:
        call.end("bye", now)


def _on_invite(call: Call, transaction: Transaction, request: Request, now: float) -> None:
    """A re-INVITE: an offer, or the wish for one."""
    served, sent = call.served, call.sent
    if call.phase is not Phase.CONFIRMED or call.is_offered:  # the one before has no final response yet (section 14.2)
        _refuse(call, transaction, 500, now, _retry_after(call))
    elif call.our_2xx_offers or (sent is not None and not sent.is_done):
        _refuse(call, transaction, 491, now)
    else:
        call.withdraw_waiting()
        if served is not None and served.is_unacked:
            call.acked(None, now)  # the ACK got lost on its way: only a peer that has our 2xx sends a re-INVITE
        _offered(call, request, now)
        call.served = ServedInvite(call.stack, call, request, transaction)


def _on_update(call: Call, transaction: Transaction, request: Request, now: float) -> None:
    """A target refresh that may hold an offer (RFC 3311 section 5.2)."""
    sent = call.sent
    if sdp_of(request) is None:
        call.dialog.refresh_target(request)
        refreshed = call.session_timer.accept(request, now) if call.phase is Phase.CONFIRMED else ()
        call.respond(transaction, 200, now, contact=call.contact, headers=(ALLOW, *refreshed))
    elif call.phase is Phase.OUTGOING or call.our_2xx_offers or (sent is not None and not sent.is_done):
        _refuse(call, transaction, 491, now)
    elif call.phase is Phase.INCOMING or call.is_offered:
        _refuse(call, transaction, 500, now, _retry_after(call))
    else:
        _offered(call, request, now)
        call.update = transaction


def _offered(call: Call, request: Request, now: float) -> None:
    call.withdraw_waiting()
    call.stack.timers.set(call, Timer.ANSWER_WAIT, now + ANSWER_WAIT_S)
    call.tell(Offered(call.id, sdp_of(request)))


def _on_info(call: Call, transaction: Transaction, request: Request, now: float) -> None:
    """A key pressed. Without a body it only asks whether the dialog lives (RFC 6086 section 4.2.2)."""
    if not request.body:
        call.respond(transaction, 200, now)
        return
    digit = None
    match request.content_type:
        case "application/dtmf-relay":
            digit = _SIGNAL.search(request.body)
        case "application/dtmf":
            digit = _BARE_SIGNAL.fullmatch(request.body) or _SIGNAL.search(request.body)
        case _:
            accept = ("Accept", "application/dtmf-relay, application/dtmf")
            call.respond(transaction, 415, now, headers=(accept,))
            return
    if digit is None:
        call.respond(transaction, 400, now)
        return
    call.respond(transaction, 200, now)
    text = digit[1].decode().upper()
    duration = _DURATION.search(request.body)
    duration_ms = min(int(duration[1]), MAX_DIGIT_MS) if duration else DEFAULT_DIGIT_MS
    call.tell(Digit(call.id, _EVENT_DIGITS[int(text)] if len(text) == 2 else text, duration_ms))


def _refuse(call: Call, transaction: Transaction, status: int, now: float, headers: Headers = ()) -> None:
    """Refuses a request without any effect on the call."""
    response = transaction.request.response(status, to_tag=call.dialog.local_tag, headers=headers)
    call.stack.transactions.respond(transaction, response, now)


def _retry_after(call: Call) -> Headers:
    """A time between 0 and 10 seconds (section 14.2)."""
    return (("Retry-After", call.stack.random.randint(0, 10)),)
