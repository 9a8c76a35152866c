"""What can go wrong in SIP, and whose fault it is.

SipError
├── MalformedMessage   the peer's: the datagram is no SIP message; answer `status` to `partial`, or drop it (parser.py)
├── MalformedValue     the peer's or the user's: a text is no URI, name-addr, Via, ... (RFC 3261 section 25)
└── WrongState         ours: a verb was called on a call whose state has no place for it
"""


class SipError(Exception):
    """The root of everything that plenary.sip raises on purpose."""


class MalformedValue(SipError):
    """A text does not follow the grammar of the value it should be (RFC 3261 section 25)."""


class WrongState(SipError):
    """A verb came at a moment that has no place for it: a bug of the caller, not of the peer."""
