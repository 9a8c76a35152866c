"""What happens to calls, as `Endpoint.events()` tells it, oldest first.

A call is named by `call`: the handle that `Invited` brought, or that was given to `Endpoint.invite`.
Session descriptions are opaque text here. Every call ends in exactly one `Refused` or `Ended`; nothing
about it follows.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

EndReason: TypeAlias = Literal[
    "bye", "cancel", "refused", "ack_timeout", "offer_timeout", "transport", "session_expired"
]
"""Why a call ended.

    bye              one side hung up
    cancel           the caller gave up before there was an answer
    refused          we refused the call of a peer
    ack_timeout      the peer never acknowledged our 2xx (RFC 3261 section 13.3.1.4)
    offer_timeout    nobody answered an offer that the peer had sent in a 2xx
    transport        the peer does not answer within the dialog any more, or knows nothing of it
    session_expired  the peer promised to refresh the session and did not (RFC 4028)
"""


class SipEvent(msgspec.Struct, frozen=True):
    """The root of all events of a call."""

    call: str


class Invited(SipEvent, frozen=True):
    """A peer calls us. It is answered with ring, progress, answer, refuse or hang_up.

    `user` is the unescaped user part of the Request-URI, "" when it has none. `from_name` is the display name.
    `sdp` is None when the offer is ours to make (in `answer`). `username` is who authenticated, if anyone did.
    """

    user: str
    from_uri: str
    from_name: str
    to_uri: str
    source: tuple[str, int]
    sdp: str | None
    username: str | None


class Ringing(SipEvent, frozen=True):
    """The phone that we called alerts its user (180, 181 or 182)."""


class Progressed(SipEvent, frozen=True):
    """The called side sends early media, or says that something goes on (183, or a 1xx with a description)."""

    sdp: str | None


class Answered(SipEvent, frozen=True):
    """2xx to our INVITE. `sdp` answers our offer; when our INVITE had none it is the peer's offer, and
    `acknowledge` must follow."""

    sdp: str | None


class Refused(SipEvent, frozen=True):
    """Our call came to nothing: a final response of 300 or more, 408 when none came, 503 when it couldn't be sent."""

    status: int
    reason: str


class Acked(SipEvent, frozen=True):
    """The ACK to the 2xx that answered the first INVITE of the peer. `sdp`: its answer, when our 2xx was the offer."""

    sdp: str | None


class Offered(SipEvent, frozen=True):
    """The peer wants to change the session (re-INVITE, UPDATE): answer_offer or refuse_offer follows.

    `sdp` is None when it asks us for an offer; `OfferAnswered` brings its answer then.
    """

    sdp: str | None


class OfferAnswered(SipEvent, frozen=True):
    """The answer to our offer within a call. After an offerless `send_offer` it is the peer's offer, and
    `acknowledge` must follow."""

    sdp: str | None


class OfferRefused(SipEvent, frozen=True):
    """The peer refused the offer of `send_offer`: the session stays as it was.

    491 says that an offer of the peer came in between; a new `send_offer` may follow.
    """

    status: int


class Digit(SipEvent, frozen=True):
    """A key pressed, by INFO (application/dtmf-relay, application/dtmf): one of 0-9 * # A-D."""

    digit: str
    duration_ms: int


class Ended(SipEvent, frozen=True):
    """The call is over."""

    reason: EndReason
