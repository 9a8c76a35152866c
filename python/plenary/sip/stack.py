"""What the machines of one endpoint share: its settings, tables, timers, and what waits to be fetched from it."""

from __future__ import annotations

import hashlib
import ipaddress
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from plenary.sip.config import MAX_ENDED, Address, Datagram, EndpointConfig, Flow, Listener
from plenary.sip.events import SipEvent
from plenary.sip.header import Via
from plenary.sip.message import Message, Request
from plenary.sip.refusals import Refusals
from plenary.sip.timers import Timers
from plenary.sip.transaction import Transaction, Transactions
from plenary.sip.uri import join_hostport

if TYPE_CHECKING:
    from plenary.sip.call import Call

ALLOW: Final = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE")
ACCEPT: Final = ("Accept", "application/sdp")
SUPPORTED: Final = ("Supported", "timer")
SDP: Final = "application/sdp"
EXTENSIONS: Final = frozenset({"timer"})
"""Option tags that may be required of us (RFC 3261 section 8.2.2.3); timer is RFC 4028."""


class Stack:
    """Owned by `Endpoint`; nothing outside this package sees it."""

    def __init__(self, config: EndpointConfig, ids: Callable[[], str], secret: bytes) -> None:
        self.config = config
        self.listeners: dict[Address, Listener] = {one.address: one for one in config.listeners}
        self.ids = ids
        self.random = random.Random(ids())  # spreads retries (RFC 3261 section 14.1); nothing depends on secrecy
        self.timers: Timers[Transaction | Call] = Timers()
        self.outbox: list[Datagram] = []
        self.events: list[SipEvent] = []
        self.refusals = Refusals()
        self.transactions = Transactions(self.timers, self.outbox, self.refusals)
        self.calls: dict[str, Call] = {}
        self.dialogs: dict[tuple[str, str], Call] = {}
        self.invites: dict[tuple[str, str, int], Call] = {}
        self.dirty: dict[str, Call] = {}
        self.saved: set[str] = set()  # calls whose snapshot has been handed out
        self.ending: set[str] = set()  # calls that are over for the server, and not yet for the peer
        self._ended: dict[str, None] = {}
        self._key = hashlib.blake2s(secret).digest()

    @property
    def first(self) -> Listener:
        """The listener of what has no reason to take another."""
        return self.config.listeners[0]

    def first_for(self, hop: Address) -> Listener:
        """The listener of a call to there: nothing leads from a socket on loopback to outside of this machine."""
        if _is_loopback(hop[0]):
            return self.first
        return next((one for one in self.config.listeners if not _is_loopback(one.host)), self.first)

    def successor(self, address: Address) -> Listener | None:
        """The listener of this address, or of its port where the host was changed; None: there is none any more."""
        same_port = (one for one in self.config.listeners if one.port == address[1])
        return self.listeners.get(address) or next(same_port, None)

    def usable(self, flow: Flow) -> Flow:
        """The flow, or one by another listener if its own is no more."""
        return Flow((self.successor(flow.local) or self.first).address, flow.remote)

    def via(self, listener: Listener) -> Via:
        """A Via with a branch of its own, for a new request."""
        params = (("branch", f"z9hG4bK{self.ids()}"), ("rport", None))
        return Via("UDP", listener.advertised_host, listener.port, params)

    def send(self, request: Request, flow: Flow) -> Datagram:
        """Sends an ACK: the one request that has no transaction."""
        datagram = Datagram(request.encode(), flow)
        self.outbox.append(datagram)
        return datagram

    def stateless_tag(self, request: Request) -> str:
        """A To tag that is the same for each retransmission, without keeping anything (section 8.2.7)."""
        what = "\n".join(request.get(name) or "" for name in ("via", "from", "call-id", "cseq"))
        return hashlib.blake2s(what.encode("utf-8", "surrogateescape"), key=self._key, digest_size=8).hexdigest()

    def add(self, call: Call) -> None:
        """Makes a call known by its handle and by its dialog."""
        self.calls[call.id] = call
        self.dialogs[(call.dialog.call_id, call.dialog.local_tag)] = call

    def has_room(self) -> bool:
        """Whether one more call fits. Those that are over take no place, until there are as many of them."""
        most = self.config.max_calls
        if len(self.calls) - len(self.ending) >= most or len(self.calls) >= 2 * most:
            return False
        return self.transactions.has_room()

    def remove(self, call: Call) -> None:
        """Forgets a call, but for its handle."""
        self.timers.stop_all(call)
        self.calls.pop(call.id, None)
        self.ending.discard(call.id)
        self.dialogs.pop((call.dialog.call_id, call.dialog.local_tag), None)
        if call.invite_key is not None and self.invites.get(call.invite_key) is call:
            del self.invites[call.invite_key]
        self.forget_handle(call.id)

    def forget_handle(self, handle: str) -> None:
        """Notes that the call of this handle is over, for verbs that come too late."""
        self._ended[handle] = None
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, handle: str) -> bool:
        """Whether there was such a call, not long ago."""
        return handle in self._ended


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def contact(listener: Listener, raw_user: str | None) -> str:
    """Where a peer reaches us within a dialog."""
    hostport = join_hostport(listener.advertised_host, listener.port)
    return f"<sip:{raw_user}@{hostport}>" if raw_user else f"<sip:{hostport}>"


def sdp_of(message: Message) -> str | None:
    """The session description that a message carries. One that is not UTF-8 (RFC 8866 section 5) is none."""
    if not message.body or message.content_type not in (SDP, None) or not is_utf8(message.body):
        return None
    return message.body.decode()


def is_utf8(data: bytes) -> bool:
    """Whether this is text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def readable(text: str) -> str:
    """Text of a peer as it may be stored and shown: without what is not Unicode."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def unsupported(required: Iterable[str]) -> list[str]:
    """The option tags that we do not have, in a lasting order."""
    return sorted(set(required) - EXTENSIONS)
