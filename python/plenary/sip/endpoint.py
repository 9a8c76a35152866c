"""The one door of the signalling: datagrams and time in, datagrams and events out.

Theory of operation. A request is first offered to the transactions: a retransmission ends there. A CANCEL finds its
INVITE's transaction, a request with a known To tag its call (`within.py`); what is left must be fit to begin
something (`screening.py`), which only an INVITE can. A response goes to its transaction, or nowhere. Nothing here does
I/O, and nothing that a peer sends raises.

The rule of use: after each `receive`, `fire`, verb or `restore`, drain `events()`, make `changed()` durable together
with whatever the events led to, and only then send `datagrams()`. Then a crash at any point loses at most what the
peer will send again, and a new endpoint goes on from what was saved, after `restore`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from plenary.sip import screening, snapshot, within
from plenary.sip.call import Call, Phase
from plenary.sip.config import RETRY_AFTER, Address, Datagram, EndpointConfig, Flow
from plenary.sip.dialog import Dialog, next_hop
from plenary.sip.digest import Challenger
from plenary.sip.errors import MalformedValue, WrongState
from plenary.sip.events import Ended, Invited, Refused, SipEvent
from plenary.sip.header import NameAddr
from plenary.sip.message import REASONS, HeaderValue, Request, Response
from plenary.sip.parser import MalformedMessage, parse
from plenary.sip.refusals import RefusedInvite
from plenary.sip.screening import Refusal
from plenary.sip.served_invite import ServedInvite
from plenary.sip.stack import ACCEPT, ALLOW, SUPPORTED, Stack, readable, sdp_of
from plenary.sip.transaction import State, Transaction, response_flow, server_key
from plenary.sip.uri import SipUri, parse_uri

_Item = TypeVar("_Item")
_ABSORBING = (State.COMPLETED, State.CONFIRMED)


class Endpoint:
    """A SIP user agent over UDP that holds any number of calls.

    `ids` gives a new unpredictable token at each call: of it handles, tags, branches and Call-IDs are made. `secret`
    signs nonces and the tags of stateless answers; keep it over a restart. `now` is seconds of any clock that does not
    go back while the endpoint lives; a restored endpoint may have another.
    """

    def __init__(self, config: EndpointConfig, ids: Callable[[], str], secret: bytes) -> None:
        self._config = config
        self._stack = Stack(config, ids, secret)
        self._challenger = Challenger(config.realm, config.users, secret, config.algorithms)
        self._unreadable: list[str] = []

    # From the network, and from the clock

    def receive(self, data: bytes, source: Address, now: float, local: Address | None = None) -> None:
        """Takes a datagram that came by the listener of address `local`, by default the first: a phone has but one.

        Never raises for what is in it.
        """
        flow = Flow(local or self._stack.first.address, source)
        try:
            message = parse(data)
        except MalformedMessage as error:
            if error.partial is not None:
                self._answer(self._stamped(error.partial, source), flow, Refusal(error.status, error.reason))
            return
        if isinstance(message, Response):
            if len(message.vias) > 1:  # not for us (RFC 3261 section 8.1.3.3)
                return
            self._stack.transactions.receive_response(message, now)
        else:
            self._on_request(self._stamped(message, source), flow, now)

    def unreachable(self, destination: Address, reason: str, now: float) -> None:
        """Nothing can be sent there: our requests to it have failed, as if by 503 (RFC 3261 section 8.1.3.1)."""
        self._stack.transactions.fail(destination, reason, now)

    def timeout(self) -> float | None:
        """When `fire` is to be called; None: not before something else happens."""
        return self._stack.timers.next()

    def fire(self, now: float) -> None:
        """Does what is due at this time."""
        while (expired := self._stack.timers.expired(now)) is not None:
            owner, timer = expired
            if isinstance(owner, Transaction):
                self._stack.transactions.fire(owner, timer, now)
            else:
                owner.on_timer(timer, now)

    # To the network, and to the server

    def datagrams(self) -> list[Datagram]:
        """What is to be sent, in this order. Drained. What has nowhere to go is left out: as if it were lost."""
        return [datagram for datagram in _drain(self._stack.outbox) if datagram.destination[0]]

    def events(self) -> list[SipEvent]:
        """What happened, oldest first. Drained."""
        return _drain(self._stack.events)

    def changed(self) -> dict[str, bytes | None]:
        """Snapshots of the calls that changed, by handle; None for one that can be forgotten. Drained.

        A call is kept beyond its `Ended` for as long as the peer may need an answer.
        """
        dirty, self._stack.dirty = self._stack.dirty, {}
        saved = self._stack.saved
        changed: dict[str, bytes | None] = dict.fromkeys(_drain(self._unreadable))
        for handle, call in dirty.items():
            if call.phase is not Phase.GONE:
                changed[handle] = snapshot.save(call)
                saved.add(handle)
            elif handle in saved:  # of one that came and went since the last time nobody knows
                changed[handle] = None
                saved.remove(handle)
        return changed

    def restore(self, saved: Iterable[tuple[str, bytes]], now: float) -> Counter[Address]:
        """Takes up calls of an endpoint that is no more, before anything else is done with this one.

        What that one had sent and not seen confirmed is sent again. A call whose snapshot can't be read (damaged, or
        of another version) is `Ended` with reason "transport", and can be forgotten.

        Calls of a listener that is no more go on by one of the same port, which is the same with another host, or by
        the first; returned is how many of which address the latter are.
        """
        homeless: Counter[Address] = Counter()
        for handle, data in saved:
            try:
                wanted = snapshot.load(self._stack, handle, data, now)
            except snapshot.UnreadableSnapshot:
                self._unreadable.append(handle)
                self._stack.forget_handle(handle)
                self._stack.events.append(Ended(handle, "transport"))
            else:
                if self._stack.successor(wanted) is None:
                    homeless[wanted] += 1
        return homeless

    def local_of(self, call: str, target: str = "") -> Address:
        """Address of the listener that the call goes by. As long as (or when) there is no such call, of the one that
        calls to `target` are placed by."""
        found = self._stack.calls.get(call)
        if found is not None:
            return found.dialog.listener.address
        try:
            return self._stack.first_for(next_hop(parse_uri(target))).address
        except MalformedValue:
            return self._stack.first.address

    @property
    def calls(self) -> int:
        """Calls that are not yet forgotten."""
        return len(self._stack.calls)

    @property
    def transactions(self) -> int:
        """Transactions that are not yet forgotten."""
        return len(self._stack.transactions)

    @property
    def refused(self) -> Mapping[int, int]:
        """How often each status of 300 and more was given, repetitions aside."""
        return self._stack.refusals.by_status

    def refused_invites(self, now: float) -> list[RefusedInvite]:
        """Some of the INVITEs that were refused, for the log. Drained."""
        return self._stack.refusals.named(now)

    # Verbs. Each raises WrongState for a call that never was or whose state has no place for it; none has any effect
    # on a call that has ended, because its end may have crossed the verb.

    def ring(self, call: str, now: float) -> None:
        """180 to the caller."""
        if (found := self._call(call)) is not None:
            found.ring(now)

    def progress(self, call: str, sdp: str, now: float) -> None:
        """183 to the caller, with early media."""
        if (found := self._call(call)) is not None:
            found.progress(sdp, now)

    def answer(self, call: str, sdp: str, now: float) -> None:
        """200 to the caller: our answer to its offer, or our offer if it made none."""
        if (found := self._call(call)) is not None:
            found.answer(sdp, now)

    def refuse(self, call: str, status: int, reason: str, now: float) -> None:
        """A final response of 300 to 699 to the caller; "" stands for the usual reason phrase."""
        if not 300 <= status <= 699:
            raise WrongState(f"{status} refuses nothing")
        if (found := self._call(call)) is not None:
            found.refuse(status, reason, now)

    def hang_up(self, call: str, now: float, reason: str = "") -> None:
        """BYE, CANCEL, or 480 to the caller: whatever fits. `reason` is told in a Reason header (RFC 3326)."""
        if (found := self._call(call)) is not None:
            found.hang_up(reason, now)

    def invite(
        self, call: str, target: str, sdp: str | None, source_name: str, now: float, source: str | None = None
    ) -> None:
        """Calls a SIP URI, by the first listener that can reach it. `sdp` None lets the phone make the offer.

        `call` is a new handle, of the caller's choice. `source_name` is the display name that the phone shows, and
        `source` the SIP URI (by default our own). A target that can't be called ends in `Refused`: 416 for another
        scheme than sip, 400 for what is no URI, 503 for another transport than UDP, and when there are too many calls.
        """
        stack = self._stack
        if call in stack.calls or stack.has_ended(call):
            raise WrongState(f"there was a call {call} before")
        config = self._config
        try:
            uri = self._target(target)
            listener = stack.first_for(next_hop(uri))
            own = SipUri.make(listener.advertised_host, _own_user(config, next_hop(uri)), listener.port)
            origin = own if source is None else parse_uri(source)
        except (Refusal, MalformedValue) as error:
            status, reason = (error.status, error.reason) if isinstance(error, Refusal) else (400, str(error))
            stack.forget_handle(call)
            stack.events.append(Refused(call, status, reason or REASONS[status]))
            return
        tag = stack.ids()
        local = str(NameAddr(origin, source_name).with_tag(tag))
        dialog = Dialog(stack.ids(), local, tag, f"<{uri.without_headers()}>", uri, listener)
        raw_user = origin.raw_user if isinstance(origin, SipUri) else None
        created = Call(stack, call, Phase.OUTGOING, dialog, raw_user)
        stack.add(created)
        created.invite(sdp, now)

    def acknowledge(self, call: str, sdp: str, now: float) -> None:
        """ACK with our answer to the offer that came in a 2xx."""
        if (found := self._call(call)) is not None:
            found.acknowledge(sdp, now)

    def send_offer(self, call: str, sdp: str | None, now: float) -> None:
        """re-INVITE with our offer, or (None) asking for the peer's. `OfferAnswered` or `OfferRefused` follows."""
        if (found := self._call(call)) is not None:
            found.send_offer(sdp, now)

    def answer_offer(self, call: str, sdp: str, now: float) -> None:
        """200 to the peer's re-INVITE or UPDATE. No effect if it was cancelled meanwhile."""
        if (found := self._call(call)) is not None:
            found.answer_offer(sdp, now)

    def refuse_offer(self, call: str, status: int, now: float) -> None:
        """Refuses the peer's re-INVITE or UPDATE (488, mostly): the session stays as it was."""
        if not 300 <= status <= 699:
            raise WrongState(f"{status} refuses nothing")
        if (found := self._call(call)) is not None:
            found.refuse_offer(status, now)

    def send_digit(self, call: str, digit: str, duration_ms: int, now: float) -> None:
        """Presses a key of 0-9 * # A-D, by INFO (application/dtmf-relay). Not sent again after a restart."""
        if len(digit) != 1 or digit not in "0123456789*#ABCD":
            raise WrongState(f"{digit!r} is no key")
        if (found := self._call(call)) is not None:
            found.send_digit(digit, duration_ms, now)

    def _target(self, text: str) -> SipUri:
        """The URI to call, if it can be called."""
        uri = parse_uri(text)
        if not isinstance(uri, SipUri) or uri.scheme != "sip":
            raise Refusal(416)
        if (uri.param("transport") or "udp").lower() != "udp":
            raise Refusal(503, "Transport Not Supported")
        if not next_hop(uri)[0]:
            raise Refusal(400, "the target names no host")
        if not self._stack.has_room():
            raise Refusal(503)
        return uri

    def _call(self, handle: str) -> Call | None:
        call = self._stack.calls.get(handle)
        if call is None:
            if self._stack.has_ended(handle):
                return None
            raise WrongState(f"there is no call {handle}")
        return None if call.phase is Phase.ENDING else call

    # Requests

    def _stamped(self, request: Request, source: Address) -> Request:
        """The request with `received` and `rport` filled in."""
        via = request.top_via
        seen = via.seen_from(*source)
        return request if seen is via else request.with_top_via(seen)

    def _on_request(self, request: Request, flow: Flow, now: float) -> None:
        stack = self._stack
        key = server_key(request)
        transaction = stack.transactions.find(key)
        if request.method == "CANCEL":
            self._on_cancel(request, transaction, flow, now)
            return
        if transaction is not None and (request.method != "ACK" or transaction.state in _ABSORBING):
            stack.transactions.absorb(transaction, request, now)
            return
        tag = request.to.tag
        call = None if tag is None else stack.dialogs.get((request.call_id, tag))
        if call is not None and not call.knows(request.from_.tag):
            call = None
        if request.method == "ACK":
            if call is not None:
                within.on_ack(call, request, now)
            return
        try:
            screening.check_method(request) if request.method != "REGISTER" else self._on_register(request, now)
            screening.check_scheme(request)
            if call is None:
                self._on_new(key, request, flow, now)
                return
            screening.check_require(request)
            screening.check_body(request)
            if not stack.transactions.has_room():
                raise Refusal(503, headers=(("Retry-After", RETRY_AFTER),))
        except Refusal as refusal:
            self._answer(request, flow, refusal)
        else:
            within.on_request(call, key, request, flow, now)

    def _on_register(self, request: Request, now: float) -> None:
        """There is no registrar; but who may not call is not told so before it has proven who it is."""
        if not self._config.anonymous:
            self._authenticate(request, now)
        raise Refusal(405, headers=(ALLOW,))

    def _on_new(self, key: tuple[str, ...], request: Request, flow: Flow, now: float) -> None:
        """A request outside of any dialog."""
        if request.to.tag is not None:
            raise Refusal(481)
        invite_key = (request.call_id, request.from_.tag or "", request.cseq.number)
        if request.method == "INVITE" and invite_key in self._stack.invites:
            raise Refusal(482)
        screening.check_require(request)
        if request.method == "OPTIONS":
            raise Refusal(200, headers=(ALLOW, ACCEPT, SUPPORTED, ("Accept-Encoding", "identity")))
        if request.method != "INVITE":
            raise Refusal(481)
        screening.check_body(request)
        screening.check_accept(request)
        screening.check_contact(request)
        if not self._stack.has_room():
            raise Refusal(503, headers=(("Retry-After", RETRY_AFTER),))
        username = None if self._config.anonymous else self._authenticate(request, now)
        self._begin(key, invite_key, request, flow, username, now)

    def _begin(
        self,
        key: tuple[str, ...],
        invite_key: tuple[str, str, int],
        request: Request,
        flow: Flow,
        username: str | None,
        now: float,
    ) -> None:
        stack = self._stack
        uri = request.uri
        assert isinstance(uri, SipUri), "its scheme was checked"
        dialog = Dialog.of_request(request, stack.ids(), flow.remote, stack.listeners[flow.local])
        call = Call(stack, stack.ids(), Phase.INCOMING, dialog, uri.raw_user)
        transaction = stack.transactions.serve(key, request, response_flow(request, flow), call, now)
        call.served = ServedInvite(stack, call, request, transaction)
        call.invite_key = invite_key
        stack.invites[invite_key] = call
        stack.add(call)
        call.changed()
        call.tell(
            Invited(
                call=call.id,
                user=readable(uri.user or ""),
                from_uri=readable(str(request.from_.uri)),
                from_name=readable(request.from_.name),
                to_uri=readable(str(request.to.uri)),
                source=flow.remote,
                sdp=sdp_of(request),
                username=username,
            )
        )

    def _on_cancel(self, request: Request, transaction: Transaction | None, flow: Flow, now: float) -> None:
        """Answered by itself; the INVITE gets its own answer, if it has none (section 9.2)."""
        if transaction is None:
            self._answer(request, flow, Refusal(481))
            return
        call = transaction.owner
        tag = call.dialog.local_tag if isinstance(call, Call) else transaction.to_tag
        self._answer(request, flow, Refusal(200), tag)
        if isinstance(call, Call) and transaction.is_pending:
            within.on_cancel(call, transaction, now)

    def _authenticate(self, request: Request, now: float) -> str:
        verdict = self._challenger.check(request, now)
        if verdict.is_wrong:
            raise Refusal(403)
        if verdict.username is None:
            raise Refusal(401, headers=self._challenger.challenge(now, stale=verdict.stale))
        return verdict.username

    def _answer(self, request: Request, flow: Flow, refusal: Refusal, to_tag: str | None = None) -> None:
        """Answers without keeping anything."""
        if refusal.status >= 300:
            self._stack.refusals.note(request, refusal.status, flow.remote)
        server: tuple[str, HeaderValue] = ("Server", self._config.server_name)
        response = request.response(
            refusal.status,
            refusal.reason,
            to_tag=to_tag or self._stack.stateless_tag(request),
            headers=(*refusal.headers, server),
        )
        self._stack.outbox.append(Datagram(response.encode(), response_flow(request, flow)))


def _own_user(config: EndpointConfig, hop: Address) -> str:
    """Who calls, to the trunk and to all others."""
    outgoing = config.outgoing
    return outgoing.user if outgoing is not None and outgoing.are_for(hop) else config.server_name


def _drain(queue: list[_Item]) -> list[_Item]:
    drained = list(queue)
    queue.clear()
    return drained
