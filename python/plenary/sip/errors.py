"""What can go wrong in SIP, and whose fault it is.

SipError
├── MalformedMessage   the peer's: the datagram is no SIP message; answer `status` to `partial`, or drop it
├── MalformedValue     the peer's or the user's: a text is no URI, name-addr, Via, ... (RFC 3261 section 25)
└── WrongState         ours: a verb was called on a call whose state has no place for it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plenary.sip.message import Request


class SipError(Exception):
    """The root of everything that plenary.sip raises on purpose."""


class MalformedValue(SipError):
    """A text does not follow the grammar of the value it should be (RFC 3261 section 25)."""


class MalformedMessage(SipError):
    """A datagram is not a SIP message that we can act on.

    `status` and `reason` are the answer for the sender: 400, 413, 414 or 505, and one sentence that says what
    is wrong. `partial` is the request as far as it could be read: enough for `partial.response(status, reason)`,
    with at least a readable topmost Via, but with none of the guarantees of `parse`. It is None when nothing
    may be answered: to a response, to an ACK, or without a readable Via. Then the datagram is dropped.
    """

    def __init__(self, status: int, reason: str, partial: Request | None = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.partial = partial


class WrongState(SipError):
    """A verb came at a moment that has no place for it: a bug of the caller, not of the peer."""
