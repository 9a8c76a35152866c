"""What an `Endpoint` is told once, and the numbers of RFC 3261 and of our own limits."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

T1: Final = 0.5
"""Seconds: the estimate of a round trip (RFC 3261 section 17.1.1.1)."""

T2: Final = 4.0
"""Seconds: the longest time between two repetitions of all but an INVITE (RFC 3261 section 17.1.2.2)."""

T4: Final = 5.0
"""Seconds: how long a datagram may wander in the network (RFC 3261 section 17.1.2.2)."""

PATIENCE: Final = 64 * T1
"""Seconds until anything unanswered is given up: timers B, F, H, J, L, M of RFC 3261 and RFC 6026."""

TRYING_AFTER: Final = 0.2
"""Seconds until a silent INVITE is answered with 100 (RFC 3261 section 17.2.1)."""

PROVISIONAL_EVERY: Final = 60.0
"""Seconds between repeated 1xx, so that no proxy on the way gives up (RFC 3261 section 13.3.1.1)."""

MAX_TRANSACTIONS: Final = 16_384
"""Transactions at once: about 60 MB at worst, and 500 new ones a second at 32 s each. Then 503."""

MAX_TURNED_AWAY: Final = 2_048
"""Transactions that only wait for the ACK of a refused stranger, about 4 KB each; the oldest go first. A phone whose
transaction went repeats its INVITE, and is refused anew."""

MAX_FORKS: Final = 8
"""Phones that may ring for one call of ours and be told apart; the 2xx of any other is still ended by BYE."""

MAX_ENDED: Final = 16_384
"""Handles of ended calls that are remembered, so that a verb that crosses the end of its call is no error."""

RETRY_AFTER: Final = 5
"""Seconds that an overloaded server asks for (RFC 3261 section 21.5.4)."""

DEFAULT_PORT: Final = 5060
"""Where SIP over UDP goes when no port is named (RFC 3261 section 19.1.2)."""

Address = tuple[str, int]
"""Host and port: an IPv4 or IPv6 address (no brackets), or a name, which the adapter resolves."""


class Flow(NamedTuple):
    """Both ends of the way of a datagram (RFC 5626 section 3). `local` is the address of one of our listeners."""

    local: Address
    remote: Address


class Listener(msgspec.Struct, frozen=True):
    """A socket that we send and receive by. Via and Contact name `public_host`, or `host` without it, and `port`."""

    host: str
    port: int = DEFAULT_PORT
    public_host: str | None = None

    @property
    def address(self) -> Address:
        """By which it is known: to whoever moves datagrams, and in snapshots."""
        return self.host, self.port

    @property
    def advertised_host(self) -> str:
        """The host that peers are told."""
        return self.public_host or self.host


class Credentials(msgspec.Struct, frozen=True):
    """How we answer the challenges of our trunk: of no one else, since whoever is called can challenge.

    `host` is spelled as in what is called: nothing is resolved. `port` and `realm` None mean any.
    """

    user: str
    password: str
    host: str
    port: int | None = None
    realm: str | None = None

    def are_for(self, hop: Address) -> bool:
        """Whether what is sent there may hold them."""
        host = "127.0.0.1" if self.host.lower() == "localhost" else self.host.lower()
        return hop[0].lower() == host and self.port in (None, hop[1])


class EndpointConfig(msgspec.Struct, frozen=True):
    """`listeners` are one or more, with an address each; calls that we place go by the first
    that is not on loopback, or by the first to this machine itself.

    `max_calls` are not over; beyond them 503. The server gives the limit of its switch.
    `users` (name to password) may call when `anonymous` is False; `realm` is what they are asked for,
    `algorithms` are the digests that they are offered.
    """

    listeners: tuple[Listener, ...]
    realm: str = "plenary"
    users: dict[str, str] = {}
    algorithms: tuple[str, ...] = ("MD5",)
    anonymous: bool = True
    outgoing: Credentials | None = None
    server_name: str = "plenary"
    max_calls: int = 4096


class Datagram(msgspec.Struct, frozen=True):
    """Bytes to send, and which way. A destination whose host is a name is resolved by whoever sends."""

    data: bytes
    flow: Flow

    @property
    def destination(self) -> Address:
        """Where to."""
        return self.flow.remote

    @property
    def local(self) -> Address:
        """Which listener's socket it leaves by (RFC 3261 section 18.2.2, RFC 3581 section 4)."""
        return self.flow.local
