"""What can go wrong in SIP, and whose fault it is.

SipError
├── MalformedMessage   the peer's: the datagram is no SIP message; answer `status` to `partial`, or drop it (parser.py)
├── MalformedValue     the peer's or the user's: a text is no URI, name-addr, Via, ... (RFC 3261 section 25)
├── WrongState         ours: a verb was called on a call whose state has no place for it
└── CannotListen       the operator's: the address of a listener is taken, or none of this machine's
"""


class SipError(Exception):
    """The root of everything that plenary.sip raises on purpose."""


class MalformedValue(SipError):
    """A text does not follow the grammar of the value it should be (RFC 3261 section 25)."""


class WrongState(SipError):
    """A verb came at a moment that has no place for it: a bug of the caller, not of the peer."""


class CannotListen(SipError):
    """No socket is to be had at `address`; `error` is what the system said."""

    def __init__(self, address: tuple[str, int], error: OSError) -> None:
        super().__init__(f"{address}: {error}")
        self.address = address
        self.error = error
