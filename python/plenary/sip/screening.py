"""What may come in without a call: the checks of RFC 3261 section 8.2, in their order.

Whatever is refused here is refused without keeping anything (section 8.2.7): the answer to a retransmission is the
same, and a flood costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plenary.sip.message import HeaderValue, Request
from plenary.sip.stack import ACCEPT, ALLOW, SDP, is_utf8, unsupported
from plenary.sip.uri import SipUri

SUPPORTED_METHODS: Final = frozenset({"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE"})
KNOWN_METHODS: Final = SUPPORTED_METHODS | {"REGISTER", "SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE", "PRACK", "PUBLISH"}
"""Methods that there are; others get 501 instead of 405."""

_WITH_SDP: Final = frozenset({"INVITE", "UPDATE"})


class Refusal(Exception):
    """The answer to a request that is not taken."""

    def __init__(self, status: int, reason: str | None = None, headers: Iterable[tuple[str, HeaderValue]] = ()) -> None:
        super().__init__(f"{status} {reason or ''}")
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)


def check_method(request: Request) -> None:
    """405 for methods that we know but do not take, 501 for others (section 8.2.1)."""
    if request.method not in SUPPORTED_METHODS:
        raise Refusal(405 if request.method in KNOWN_METHODS else 501, headers=(ALLOW,))


def check_scheme(request: Request) -> None:
    """416 for a Request-URI that is neither sip nor sips (section 8.2.2.1)."""
    if not isinstance(request.uri, SipUri):
        raise Refusal(416)


def check_require(request: Request) -> None:
    """420 for extensions that we do not have (section 8.2.2.3)."""
    missing = unsupported(request.require)
    if missing:
        raise Refusal(420, headers=(("Unsupported", ", ".join(missing)),))


def check_body(request: Request) -> None:
    """415 for a body that we can't read and may not leave aside (section 8.2.3); 400 for an SDP that is not UTF-8."""
    if not request.body or "handling=optional" in (request.get("content-disposition") or "").replace(" ", "").lower():
        return
    if request.tokens("content-encoding") - {"identity"}:
        raise Refusal(415, headers=(("Accept-Encoding", "identity"),))
    if request.method in _WITH_SDP and request.content_type not in (SDP, None):
        raise Refusal(415, headers=(ACCEPT,))
    if request.method in _WITH_SDP and not is_utf8(request.body):
        raise Refusal(400, "Session Description Is Not UTF-8")


def check_accept(request: Request) -> None:
    """406 when the peer takes no session description (section 21.4.7)."""
    accepted = request.tokens("accept")
    if accepted and accepted.isdisjoint({SDP, "application/*", "*/*"}):
        raise Refusal(406)


def check_contact(request: Request) -> None:
    """400 for an INVITE whose dialog would lead nowhere (section 8.1.1.8). RFC 2543 peers may leave it out."""
    target = request.contacts[0].uri if request.contacts else request.from_.uri
    if not isinstance(target, SipUri):
        raise Refusal(400, "Contact Is Not A SIP URI")
