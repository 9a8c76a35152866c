"""Transactions over UDP: RFC 3261 section 17 as corrected by RFC 6026.

Theory of operation. There are four machines (`Kind`), each drawn whole as a table: state, input, next state, and
what is done on the way (`Act`). What is not listed is ignored, because anything may come from a network. Which timers
run is a property of the state (`RUNNING`): entering a state starts those of its timers that do not run yet, leaving
it stops those that the next state does not have. `Transactions` owns all transactions and does the acts.

The table cannot hold three rules; they stand in `Transactions`: how long a repeating timer waits next, which request
belongs to which transaction (`server_key`), and that 100 Trying is only said where nothing has been said yet.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from plenary.sip.config import (
    DEFAULT_PORT,
    MAX_TRANSACTIONS,
    MAX_TURNED_AWAY,
    PATIENCE,
    T1,
    T2,
    T4,
    TRYING_AFTER,
    Address,
    Datagram,
    Flow,
)
from plenary.sip.message import Request, Response
from plenary.sip.refusals import Refusals
from plenary.sip.timers import Timer, Timers


class State(StrEnum):
    """The states of RFC 3261 figures 5 to 8; ACCEPTED is of RFC 6026."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Kind(Enum):
    """Which of the four machines."""

    INVITE_CLIENT = "section 17.1.1"
    CLIENT = "section 17.1.2"
    INVITE_SERVER = "section 17.2.1"
    SERVER = "section 17.2.2"


class Input(Enum):
    """What comes from the network, or from the transaction user of a server."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300 to 699"
    REQUEST = "the request once more"
    ACK = "ACK"


class Act(Enum):
    """What a transaction does when an input finds it in a state."""

    SEND = "send the response of the transaction user, and keep it"
    RESEND = "send again what was sent last"
    ACKNOWLEDGE = "send the ACK of a refusal"
    SAY_TRYING = "send 100, unless something was sent already"
    TELL = "hand the response to the transaction user"
    GIVE_UP = "tell the transaction user that no final response came"
    SETTLED = "tell the transaction user that its refusal needs no more care"


C, T, P, ACC, COM, CON, END = State  # the tables below are read more easily when they fit the eye
Step: TypeAlias = tuple[State, tuple[Act, ...]]

TRANSITIONS: Final[dict[Kind, dict[State, dict[Input | Timer, Step]]]] = {
    Kind.INVITE_CLIENT: {
        C: {
            Timer.A: (C, (Act.RESEND,)),
            Timer.B: (END, (Act.GIVE_UP,)),
            Input.PROVISIONAL: (P, (Act.TELL,)),
            Input.SUCCESS: (ACC, (Act.TELL,)),
            Input.FAILURE: (COM, (Act.ACKNOWLEDGE, Act.TELL)),
        },
        P: {
            Input.PROVISIONAL: (P, (Act.TELL,)),
            Input.SUCCESS: (ACC, (Act.TELL,)),
            Input.FAILURE: (COM, (Act.ACKNOWLEDGE, Act.TELL)),
        },
        ACC: {Input.SUCCESS: (ACC, (Act.TELL,)), Timer.M: (END, ())},
        COM: {Input.FAILURE: (COM, (Act.ACKNOWLEDGE,)), Timer.D: (END, ())},
    },
    Kind.CLIENT: {
        T: {
            Timer.E: (T, (Act.RESEND,)),
            Timer.F: (END, (Act.GIVE_UP,)),
            Input.PROVISIONAL: (P, (Act.TELL,)),
            Input.SUCCESS: (COM, (Act.TELL,)),
            Input.FAILURE: (COM, (Act.TELL,)),
        },
        P: {
            Timer.E: (P, (Act.RESEND,)),
            Timer.F: (END, (Act.GIVE_UP,)),
            Input.PROVISIONAL: (P, (Act.TELL,)),
            Input.SUCCESS: (COM, (Act.TELL,)),
            Input.FAILURE: (COM, (Act.TELL,)),
        },
        COM: {Timer.K: (END, ())},
    },
    Kind.INVITE_SERVER: {
        P: {
            Input.REQUEST: (P, (Act.RESEND,)),
            Timer.TRYING: (P, (Act.SAY_TRYING,)),
            Input.PROVISIONAL: (P, (Act.SEND,)),
            Input.SUCCESS: (ACC, (Act.SEND,)),
            Input.FAILURE: (COM, (Act.SEND,)),
        },
        # The transaction user repeats its 2xx itself, until the ACK, which belongs to no transaction, reaches it.
        ACC: {Input.SUCCESS: (ACC, (Act.SEND,)), Timer.L: (END, ())},
        COM: {
            Input.REQUEST: (COM, (Act.RESEND,)),
            Input.ACK: (CON, (Act.SETTLED,)),
            Timer.G: (COM, (Act.RESEND,)),
            Timer.H: (END, (Act.SETTLED,)),
        },
        CON: {Timer.I: (END, ())},
    },
    Kind.SERVER: {
        T: {
            Input.PROVISIONAL: (P, (Act.SEND,)),
            Input.SUCCESS: (COM, (Act.SEND,)),
            Input.FAILURE: (COM, (Act.SEND,)),
        },
        P: {
            Input.REQUEST: (P, (Act.RESEND,)),
            Input.PROVISIONAL: (P, (Act.SEND,)),
            Input.SUCCESS: (COM, (Act.SEND,)),
            Input.FAILURE: (COM, (Act.SEND,)),
        },
        COM: {Input.REQUEST: (COM, (Act.RESEND,)), Timer.J: (END, ())},
    },
}
"""Every machine whole. A missing entry means: nothing is done, the state stays."""

RUNNING: Final[dict[Kind, dict[State, tuple[Timer, ...]]]] = {
    Kind.INVITE_CLIENT: {C: (Timer.A, Timer.B), P: (), ACC: (Timer.M,), COM: (Timer.D,)},
    Kind.CLIENT: {T: (Timer.E, Timer.F), P: (Timer.E, Timer.F), COM: (Timer.K,)},
    Kind.INVITE_SERVER: {P: (Timer.TRYING,), ACC: (Timer.L,), COM: (Timer.G, Timer.H), CON: (Timer.I,)},
    Kind.SERVER: {T: (), P: (), COM: (Timer.J,)},
}
"""The timers that run in each state."""

AFTER: Final[dict[Timer, float]] = {
    Timer.A: T1,
    Timer.B: PATIENCE,
    Timer.D: PATIENCE,
    Timer.E: T1,
    Timer.F: PATIENCE,
    Timer.G: T1,
    Timer.H: PATIENCE,
    Timer.I: T4,
    Timer.J: PATIENCE,
    Timer.K: T4,
    Timer.L: PATIENCE,
    Timer.M: PATIENCE,
    Timer.TRYING: TRYING_AFTER,
}
"""Seconds from entering the state to the first firing (RFC 3261 table 4, RFC 6026 section 8.11)."""

REPEATING: Final[dict[Timer, float]] = {Timer.A: PATIENCE, Timer.E: T2, Timer.G: T2}
"""Timers that start again at twice the time, and the longest time that they reach."""

FIRST: Final[dict[Kind, State]] = {
    Kind.INVITE_CLIENT: C,
    Kind.CLIENT: T,
    Kind.INVITE_SERVER: P,
    Kind.SERVER: T,
}

_COOKIE: Final = "z9hG4bK"
_EVICTION_SCAN: Final = 64
"""Oldest transactions looked at for one that may go: those that still matter are few among the oldest."""

ServerKey: TypeAlias = tuple[str, ...]


def server_key(request: Request) -> ServerKey:
    """What a request has in common with its retransmissions, its CANCEL and the ACK of a refusal, and with no other
    request (RFC 3261 section 17.2.3). CANCEL and ACK give the key of their INVITE.

    Peers of RFC 2543 make no branch worth the name. For them it is Request-URI, From tag, Call-ID, CSeq number, the
    whole topmost Via, and the To tag except for INVITE, whose ACK has one that the INVITE had not.
    """
    via = request.top_via
    method = request.method if request.method not in ("ACK", "CANCEL") else "INVITE"
    branch = via.branch
    if branch is not None and branch.startswith(_COOKIE) and len(branch) > len(_COOKIE):
        return branch, via.sent_by.lower(), method
    return (
        "2543",
        request.uri_text,
        request.from_.tag or "",
        request.call_id,
        str(request.cseq.number),
        str(via),
        "" if method == "INVITE" else request.to.tag or "",
        method,
    )


def response_flow(request: Request, flow: Flow) -> Flow:
    """Which way the responses to a request go (RFC 3261 section 18.2.2, RFC 3581 section 4).

    By the socket that it came in by, to where it came from; but to the port that sent-by names when the peer does not
    ask for `rport`. A `maddr` is not obeyed: it would let anyone aim our responses at a third party, and only
    multicast, which we do not do, needs it.
    """
    via = request.top_via
    return flow if via.wants_rport else Flow(flow.local, (flow.remote[0], via.port or DEFAULT_PORT))


class TransactionUser(Protocol):
    """Whom a transaction tells what came of it: the call that it belongs to."""

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response that is no retransmission, or a 2xx to an INVITE once more."""

    def on_silence(self, transaction: Transaction, now: float) -> None:
        """No final response came to a request of ours (timers B and F)."""

    def on_unreachable(self, transaction: Transaction, reason: str, now: float) -> None:
        """A request of ours can't be sent to where it should go."""

    def on_refusal_settled(self, transaction: Transaction) -> None:
        """The ACK of our refusal came, or is no longer expected (timer H)."""


class Transaction:
    """One transaction. Only `Transactions` changes it.

    `message` is what is sent again: the request of a client, the last response of a server (None before the first).
    `owner` is told what comes of it; None: nobody cares. `to_tag` is the To tag of a server's last response.
    """

    __slots__ = ("flow", "interval", "key", "kind", "message", "owner", "request", "state", "to_tag")

    def __init__(
        self,
        kind: Kind,
        key: ServerKey,
        request: Request,
        flow: Flow,
        owner: TransactionUser | None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.request = request
        self.flow = flow
        self.owner = owner
        self.message: bytes | None = None
        self.to_tag: str | None = None
        self.state = FIRST[kind]
        self.interval = T1

    @property
    def is_pending(self) -> bool:
        """Whether the final response has not been seen or given."""
        return self.state in (C, T, P)

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.request.method} {self.state}>"


class Transactions:
    """All transactions of an endpoint. Puts what they send into `outbox`; sets their timers in `timers`; tells
    `refusals` what they refuse."""

    def __init__(self, timers: Timers[Any], outbox: list[Datagram], refusals: Refusals) -> None:
        self._timers = timers
        self._outbox = outbox
        self._refusals = refusals
        self._clients: dict[ServerKey, Transaction] = {}
        self._servers: dict[ServerKey, Transaction] = {}
        self._disowned: dict[ServerKey, Transaction] = {}  # a part of the servers, oldest first

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # Clients

    def request(
        self, request: Request, flow: Flow, owner: TransactionUser | None, now: float, *, send: bool = True
    ) -> Transaction:
        """Sends a request (any but ACK) and sees to it that it gets through. Its branch must be new, save for CANCEL.

        `send` False takes up a transaction whose peer was already heard: one that stands in PROCEEDING.
        """
        key = (request.top_via.branch or "", request.method)
        assert key not in self._clients, "branches of our own are never used twice"
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        transaction = Transaction(kind, key, request, flow, owner)
        transaction.message = request.encode()
        self._clients[key] = transaction
        if send:
            self._resend(transaction)
        else:
            transaction.state = P
        self._run_timers(transaction, now)
        return transaction

    def receive_response(self, response: Response, now: float) -> None:
        """Hands a response to the transaction it belongs to (section 17.1.3); drops it if there is none."""
        branch = response.top_via.branch
        transaction = self._clients.get((branch or "", response.cseq.method))
        if transaction is None:
            return
        self._take(transaction, _class_of(response.status), now, response)

    def fail(self, destination: Address, reason: str, now: float) -> None:
        """Ends the requests of ours that wait for an answer from there: nothing can be sent to it."""
        failed = [one for one in self._clients.values() if one.is_pending and one.flow.remote == destination]
        for transaction in failed:
            if transaction.is_pending:
                self.forget(transaction)
                if transaction.owner is not None:
                    transaction.owner.on_unreachable(transaction, reason, now)

    # Servers

    def find(self, key: ServerKey) -> Transaction | None:
        """The server transaction of this key."""
        return self._servers.get(key)

    def absorb(self, transaction: Transaction, request: Request, now: float) -> None:
        """Takes a request that belongs to this transaction: itself once more, or the ACK of its refusal."""
        if request.method == "ACK":
            is_2543 = transaction.key[0] == "2543"
            if is_2543 and transaction.to_tag is not None and request.to.tag != transaction.to_tag:
                return
            self._take(transaction, Input.ACK, now)
        elif request.method == transaction.request.method:
            self._take(transaction, Input.REQUEST, now)

    def serve(
        self, key: ServerKey, request: Request, flow: Flow, owner: TransactionUser | None, now: float
    ) -> Transaction:
        """A new server transaction; `respond` answers it. Ask `has_room` before."""
        transaction = Transaction(
            Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER, key, request, flow, owner
        )
        self._servers[key] = transaction
        self._run_timers(transaction, now)
        return transaction

    def respond(self, transaction: Transaction, response: Response, now: float) -> None:
        """Sends a response. Asserts that the state has a place for it: no final response follows a final one."""
        step = _class_of(response.status)
        assert step in TRANSITIONS[transaction.kind].get(transaction.state, {}), f"{step} in {transaction!r}"
        self._take(transaction, step, now, response)

    def disown(self, transaction: Transaction) -> None:
        """Nobody cares any more for a refused INVITE: its transaction may be the first to go."""
        transaction.owner = None
        self._disowned[transaction.key] = transaction
        if len(self._disowned) > MAX_TURNED_AWAY:
            self.forget(next(iter(self._disowned.values())))

    def has_room(self) -> bool:
        """Whether one more fits, if need be in place of one of the oldest that only absorb repetitions."""
        if len(self) < MAX_TRANSACTIONS:
            return True
        if self._disowned:
            self.forget(next(iter(self._disowned.values())))
            return True
        for transaction in islice(self._servers.values(), _EVICTION_SCAN):
            if transaction.state in (ACC, COM, CON):
                if transaction.state is COM and transaction.owner is not None:
                    continue
                self.forget(transaction)
                return True
        return False

    # Both

    def resume(self, transaction: Transaction, message: bytes, status: int, now: float, *, send: bool) -> None:
        """Puts a transaction made anew where a response of this status had brought it.

        `message` is what the transaction repeats: the response of a server, the request of a client; `send` sends it.
        """
        transaction.message = message
        if send:
            self._resend(transaction)
        if status >= 200:
            self._enter(transaction, ACC if transaction.kind in _INVITE and status < 300 else COM, now)

    def forget(self, transaction: Transaction) -> None:
        """Ends a transaction at once."""
        self._enter(transaction, END, 0.0)

    def fire(self, transaction: Transaction, timer: Timer, now: float) -> None:
        """Takes a timer of the transaction that expired."""
        longest = REPEATING.get(timer)
        self._take(transaction, timer, now)
        if longest is not None and transaction.state is not END:
            transaction.interval = min(transaction.interval * 2, longest)
            if transaction.kind is Kind.CLIENT and transaction.state is P:
                transaction.interval = T2
            self._timers.set(transaction, timer, now + transaction.interval)

    def _take(
        self, transaction: Transaction, what: Input | Timer, now: float, response: Response | None = None
    ) -> None:
        step = TRANSITIONS[transaction.kind].get(transaction.state, {}).get(what)
        if step is None:
            return
        state, acts = step
        if state is not transaction.state:
            self._enter(transaction, state, now)
        for act in acts:
            self._perform(act, transaction, response, now)

    def _perform(self, act: Act, transaction: Transaction, response: Response | None, now: float) -> None:
        owner = transaction.owner
        match act:
            case Act.SEND:
                assert response is not None
                transaction.message = response.encode()
                transaction.to_tag = response.to.tag
                self._resend(transaction)
                if response.status >= 300:
                    self._refusals.note(transaction.request, response.status, transaction.flow.remote)
            case Act.RESEND:
                self._resend(transaction)
            case Act.SAY_TRYING:
                if transaction.message is None:
                    transaction.message = transaction.request.response(100).encode()
                    self._resend(transaction)
            case Act.ACKNOWLEDGE:
                assert response is not None
                ack = transaction.request.ack(response).encode()
                self._outbox.append(Datagram(ack, transaction.flow))
            case Act.TELL:
                if owner is not None:
                    assert response is not None
                    owner.on_response(transaction, response, now)
            case Act.GIVE_UP:
                if owner is not None:
                    owner.on_silence(transaction, now)
            case Act.SETTLED:
                if owner is not None:
                    owner.on_refusal_settled(transaction)

    def _resend(self, transaction: Transaction) -> None:
        if transaction.message is not None:
            self._outbox.append(Datagram(transaction.message, transaction.flow))

    def _enter(self, transaction: Transaction, state: State, now: float) -> None:
        before = set(RUNNING[transaction.kind].get(transaction.state, ()))
        transaction.state = state
        if state is END:
            self._timers.stop_all(transaction)
            table = self._clients if transaction.kind in _CLIENT else self._servers
            del table[transaction.key]
            self._disowned.pop(transaction.key, None)
            return
        for timer in before.difference(RUNNING[transaction.kind][state]):
            self._timers.stop(transaction, timer)
        transaction.interval = T1
        self._run_timers(transaction, now)

    def _run_timers(self, transaction: Transaction, now: float) -> None:
        for timer in RUNNING[transaction.kind][transaction.state]:
            if not self._timers.runs(transaction, timer):
                self._timers.set(transaction, timer, now + AFTER[timer])


_INVITE: Final = (Kind.INVITE_CLIENT, Kind.INVITE_SERVER)
_CLIENT: Final = (Kind.INVITE_CLIENT, Kind.CLIENT)


def _class_of(status: int) -> Input:
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.FAILURE
