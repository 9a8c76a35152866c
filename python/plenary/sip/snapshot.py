"""A call as bytes, and back: what a new endpoint needs to go on where another one stopped.

A snapshot holds no times, because another process may have another clock: whatever was repeated or waited for starts
anew. What went by a listener that is no more goes by the first. What peers wrote is kept as bytes, since it need not
be Unicode; requests are kept as they are on the wire.
"""

from __future__ import annotations

from typing import Final

import msgspec

from plenary.sip.call import ANSWER_WAIT_S, OFFER_WAIT_S, Call, Phase, Waiting
from plenary.sip.config import PATIENCE, PROVISIONAL_EVERY, Address, Datagram, Flow, Listener
from plenary.sip.dialog import Dialog
from plenary.sip.errors import MalformedValue, SipError
from plenary.sip.message import Request, Response
from plenary.sip.parser import MalformedMessage, parse
from plenary.sip.sent_invite import SentInvite
from plenary.sip.sent_invite import Stage as Sent
from plenary.sip.served_invite import ServedInvite
from plenary.sip.served_invite import Stage as Served
from plenary.sip.stack import Stack
from plenary.sip.timers import Timer
from plenary.sip.transaction import Transaction, server_key
from plenary.sip.uri import parse_uri

VERSION: Final = 2
"""Of the layout below. A snapshot of another version is refused."""

RESUMED_OFFER_S: Final = 1.0
"""Seconds after which an offer that had to wait is tried again."""


class UnreadableSnapshot(SipError):
    """A snapshot is damaged, or was written by another version: its call can't go on."""


class _Dialog(msgspec.Struct, array_like=True):
    call_id: bytes
    local: bytes
    local_tag: bytes
    remote: bytes
    remote_tag: bytes | None
    target: bytes
    route_set: list[bytes]
    local_cseq: int
    remote_cseq: int | None
    source: Address | None
    listener: Address


class _Served(msgspec.Struct, array_like=True):
    request: bytes
    flow: Flow
    response: bytes | None
    stage: Served


class _Sent(msgspec.Struct, array_like=True):
    request: bytes
    flow: Flow
    stage: Sent
    sdp: str | None
    is_first: bool
    is_proceeding: bool
    is_cancelled: bool
    tries: int
    challenges: int
    credentials: list[tuple[str, str]]
    early: list[tuple[bytes, str | None]]
    ack: tuple[bytes, Flow] | None


class _Exchange(msgspec.Struct, array_like=True):
    """A request other than INVITE; `response` is None while there is none."""

    request: bytes
    flow: Flow
    response: bytes | None


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    phase: Phase
    is_caller: bool
    raw_user: bytes | None
    dialog: _Dialog
    invite_cseq: int | None
    served: _Served | None
    sent: _Sent | None
    update: _Exchange | None
    answered: _Exchange | None
    bye: _Exchange | None
    bye_owed: bool
    bye_challenges: int
    waiting: tuple[str | None, int] | None
    session_s: int
    farewell: list[tuple[str, str]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Snapshot)


def save(call: Call) -> bytes:
    """The snapshot of a call that is not GONE."""
    served, waiting = call.served, call.waiting
    return _encoder.encode(
        _Snapshot(
            version=VERSION,
            phase=call.phase,
            is_caller=call.is_caller,
            raw_user=None if call.raw_user is None else _bytes(call.raw_user),
            dialog=_save_dialog(call.dialog),
            invite_cseq=None if call.invite_key is None else call.invite_key[2],
            served=None if served is None or not served.needs_care else _save_served(served),
            sent=None if call.sent is None or call.sent.stage is Sent.OVER else _save_sent(call.sent),
            update=_save_exchange(call.update),
            answered=_save_exchange(call.answered),
            bye=_save_exchange(call.bye),
            bye_owed=call.bye_owed,
            bye_challenges=call.bye_challenges,
            waiting=None if waiting is None else (waiting.sdp, waiting.tries),
            session_s=call.session_timer.interval_s,
            farewell=list(call.farewell),
        )
    )


def load(stack: Stack, handle: str, data: bytes, now: float) -> Address:
    """Takes up a call; returns the address of the listener that it was saved with. Sends again what the peer may have
    missed. Raises UnreadableSnapshot, and changes nothing."""
    try:
        saved = _decoder.decode(data)
        if saved.version != VERSION:
            raise UnreadableSnapshot(f"call {handle}: version {saved.version} is not {VERSION}")
        dialog = _load_dialog(saved.dialog, stack.successor(saved.dialog.listener) or stack.first)
        raw_user = None if saved.raw_user is None else _text(saved.raw_user)
        call = Call(stack, handle, saved.phase, dialog, raw_user)
        messages = _Messages(saved)
    except (msgspec.MsgspecError, MalformedMessage, MalformedValue) as error:
        raise UnreadableSnapshot(f"call {handle}: {error}") from error
    call.is_caller = saved.is_caller
    call.bye_owed = saved.bye_owed
    call.bye_challenges = saved.bye_challenges
    call.session_timer.interval_s = saved.session_s
    call.farewell = tuple(saved.farewell)
    stack.add(call)
    stack.saved.add(handle)
    if call.phase is Phase.ENDING:
        stack.ending.add(handle)
    if saved.invite_cseq is not None:
        call.invite_key = (call.dialog.call_id, call.dialog.remote_tag or "", saved.invite_cseq)
        stack.invites[call.invite_key] = call
    if call.phase is Phase.CONFIRMED:
        call.session_timer.start(now)
    if saved.served is not None and messages.served is not None:
        _load_served(call, saved.served, messages.served, messages.served_response, now)
    if saved.sent is not None and messages.sent is not None:
        _load_sent(call, saved.sent, messages.sent, now)
    if saved.update is not None and messages.update is not None:
        call.update = _serve(stack, messages.update, saved.update.flow, None, now)
        stack.timers.set(call, Timer.ANSWER_WAIT, now + ANSWER_WAIT_S)
    if saved.answered is not None and messages.answered is not None and saved.answered.response is not None:
        call.answered = _serve(stack, messages.answered, saved.answered.flow, None, now)
        stack.transactions.resume(call.answered, saved.answered.response, 200, now, send=False)
    if saved.bye is not None and messages.bye is not None:
        call.bye = stack.transactions.request(messages.bye, stack.usable(saved.bye.flow), call, now)
    if saved.waiting is not None:
        call.waiting = Waiting(*saved.waiting)
        stack.timers.set(call, Timer.OFFER_RETRY, now + RESUMED_OFFER_S)
    return saved.dialog.listener


class _Messages:
    """The messages of a snapshot, read before anything is changed."""

    def __init__(self, saved: _Snapshot) -> None:
        self.served = _request(saved.served and saved.served.request)
        self.served_response = _response(saved.served and saved.served.response)
        self.sent = _request(saved.sent and saved.sent.request)
        self.update = _request(saved.update and saved.update.request)
        self.answered = _request(saved.answered and saved.answered.request)
        self.bye = _request(saved.bye and saved.bye.request)


def _load_served(call: Call, saved: _Served, request: Request, response: Response | None, now: float) -> None:
    stack = call.stack
    transaction = _serve(stack, request, saved.flow, call, now)
    served = call.served = ServedInvite(stack, call, request, transaction)
    served.response = response
    served.stage = saved.stage
    if saved.response is not None and response is not None:
        stack.transactions.resume(transaction, saved.response, response.status, now, send=True)
        if saved.stage is Served.UNACKED:
            served.await_ack(now)
        elif saved.stage is Served.PENDING:
            stack.timers.set(call, Timer.PROVISIONAL, now + PROVISIONAL_EVERY)
    if saved.stage is Served.PENDING and call.phase is Phase.CONFIRMED:
        stack.timers.set(call, Timer.ANSWER_WAIT, now + ANSWER_WAIT_S)


def _load_sent(call: Call, saved: _Sent, request: Request, now: float) -> None:
    stack = call.stack
    sent = call.sent = SentInvite(stack, call, saved.sdp, is_first=saved.is_first, tries=saved.tries)
    sent.stage = saved.stage
    sent.is_proceeding = saved.is_proceeding
    sent.is_cancelled = saved.is_cancelled
    sent.challenges = saved.challenges
    sent.credentials = tuple(saved.credentials)
    sent.early = {_text(tag): sdp for tag, sdp in saved.early}
    sent.request = request
    sent.flow = stack.usable(saved.flow)
    is_unheard = sent.is_pending and not sent.is_proceeding
    sent.transaction = stack.transactions.request(request, sent.flow, sent, now, send=is_unheard)
    if sent.is_pending:
        if sent.is_cancelled and sent.is_proceeding:
            sent.send_cancel(now)
        elif call.phase is Phase.ENDING and not sent.is_first:
            stack.timers.set(call, Timer.CANCEL_WAIT, now + PATIENCE)
        elif call.phase is Phase.CONFIRMED and sent.is_proceeding:
            stack.timers.set(call, Timer.OFFER_WAIT, now + OFFER_WAIT_S)
        return
    stack.transactions.resume(sent.transaction, request.encode(), 200, now, send=False)
    if saved.ack is not None:
        data, flow = saved.ack
        sent.ack = Datagram(data, stack.usable(flow))
        sent.repeat_ack()
    else:
        stack.timers.set(call, Timer.ACKNOWLEDGE_WAIT, now + PATIENCE)


def _serve(stack: Stack, request: Request, flow: Flow, owner: Call | None, now: float) -> Transaction:
    return stack.transactions.serve(server_key(request), request, stack.usable(flow), owner, now)


def _save_served(served: ServedInvite) -> _Served:
    response = None if served.response is None else served.response.encode()
    return _Served(served.request.encode(), served.transaction.flow, response, served.stage)


def _save_sent(sent: SentInvite) -> _Sent:
    assert sent.request is not None
    assert sent.flow is not None
    return _Sent(
        request=sent.request.encode(),
        flow=sent.flow,
        stage=sent.stage,
        sdp=sent.sdp,
        is_first=sent.is_first,
        is_proceeding=sent.is_proceeding,
        is_cancelled=sent.is_cancelled,
        tries=sent.tries,
        challenges=sent.challenges,
        credentials=list(sent.credentials),
        early=[(_bytes(tag), sdp) for tag, sdp in sent.early.items()],
        ack=None if sent.ack is None else (sent.ack.data, sent.ack.flow),
    )


def _save_exchange(transaction: Transaction | None) -> _Exchange | None:
    if transaction is None:
        return None
    return _Exchange(transaction.request.encode(), transaction.flow, transaction.message)


def _save_dialog(dialog: Dialog) -> _Dialog:
    return _Dialog(
        call_id=_bytes(dialog.call_id),
        local=_bytes(dialog.local),
        local_tag=_bytes(dialog.local_tag),
        remote=_bytes(dialog.remote),
        remote_tag=None if dialog.remote_tag is None else _bytes(dialog.remote_tag),
        target=_bytes(str(dialog.target)),
        route_set=[_bytes(route) for route in dialog.route_set],
        local_cseq=dialog.local_cseq,
        remote_cseq=dialog.remote_cseq,
        source=dialog.source,
        listener=dialog.listener.address,
    )


def _load_dialog(saved: _Dialog, listener: Listener) -> Dialog:
    dialog = Dialog(
        _text(saved.call_id),
        _text(saved.local),
        _text(saved.local_tag),
        _text(saved.remote),
        parse_uri(_text(saved.target)),
        listener,
    )
    dialog.remote_tag = None if saved.remote_tag is None else _text(saved.remote_tag)
    dialog.route_set = tuple(_text(route) for route in saved.route_set)
    dialog.local_cseq = saved.local_cseq
    dialog.remote_cseq = saved.remote_cseq
    dialog.source = saved.source
    return dialog


def _request(data: bytes | None) -> Request | None:
    message = None if data is None else parse(data)
    if isinstance(message, Response):
        raise MalformedValue("a response stands where a request should")
    return message


def _response(data: bytes | None) -> Response | None:
    message = None if data is None else parse(data)
    if isinstance(message, Request):
        raise MalformedValue("a request stands where a response should")
    return message


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
