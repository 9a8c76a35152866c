"""SIP messages: from a datagram, to a datagram, and the replies that a request determines (RFC 3261 section 7, 8, 17).

Theory of operation. A message is a start line, header fields in their order, and a body; it never changes, and
"changing" one gives another. Header values stay the text that came, unfolded and stripped, so that everything is
echoed as it was. Text is UTF-8; other bytes become lone surrogates and leave as the bytes that they were.

`parser.parse` checks everything that the typed accessors read: on a message that it returned they do not raise. On a
message built here they raise MalformedValue if the builder was given nonsense.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, Self, TypeAlias, final

from plenary.sip.errors import MalformedValue
from plenary.sip.header import CSeq, NameAddr, Via, is_token, split_list
from plenary.sip.uri import OtherUri, SipUri, Uri, parse_uri

HeaderFields: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values in their order."""
HeaderValue: TypeAlias = str | int | NameAddr | Via | CSeq | SipUri | OtherUri
"""What the builders take for a value; `str()` of it is sent."""

_COMPACT: Final = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to", "s": "subject",
    "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
_BREAK: Final = re.compile(r"[\r\n\x00]+")
_SPACES: Final = " \t"

REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
    423: "Interval Too Brief", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    493: "Undecipherable", 500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip
"""The reason phrases of RFC 3261 section 21 and its extensions."""


def _flat(text: str) -> str:
    """The text as it may stand in a header field: a line break means a space (RFC 3261 section 7.3.1)."""
    flat = _BREAK.sub(" ", text) if _BREAK.search(text) else text
    if not flat.isascii():
        try:
            flat.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            flat = flat.encode("utf-8", "replace").decode()
    return flat


def _fields(fields: Iterable[tuple[str, HeaderValue]]) -> HeaderFields:
    return tuple([(name, _flat(str(value))) for name, value in fields])


def number_of(text: str) -> int | None:
    """A number as headers write it: up to 128 decimal digits and nothing else, or None."""
    if not (text.isascii() and text.isdigit()) or len(text) > 128:
        return None
    return int(text)


def header_key(name: str) -> str:
    """The full name in lower case, for a name in any case or in compact form (RFC 3261 section 7.3)."""
    lower = name.lower()
    return _COMPACT.get(lower, lower)


class Message(ABC):
    """What requests and responses share. Treat as immutable; names of headers are taken in any case and form."""

    __slots__ = ("_contacts", "_cseq", "_encoded", "_from", "_index", "_to", "_vias", "body", "headers")

    def __init__(self, headers: HeaderFields, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        index: dict[str, list[str]] = {}
        for name, value in headers:
            key = name.lower()
            if len(key) == 1:
                key = _COMPACT.get(key, key)
            if key in index:
                index[key].append(value)
            else:
                index[key] = [value]
        self._index = index
        self._vias: tuple[Via, ...] | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None
        self._contacts: tuple[NameAddr, ...] | None = None
        self._encoded: bytes | None = None

    # Header fields as text

    def get(self, name: str) -> str | None:
        """The first value of this name as it came, or None."""
        values = self._index.get(header_key(name))
        return values[0] if values else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """The value of every field of this name, in order, not split at commas."""
        return tuple(self._index.get(header_key(name), ()))

    def values(self, name: str) -> list[str]:
        """All values of a header that is a list, over all its fields, split at commas (RFC 3261 section 7.3.1).

        Raises MalformedValue for an open quote; after `parse` never for Accept, Allow, Content-Encoding, Require,
        Proxy-Require, Supported and Unsupported.
        """
        return [one for value in self._index.get(header_key(name), ()) for one in split_list(value)]

    def tokens(self, name: str) -> frozenset[str]:
        """The values of a list of tokens (Require, Supported, Allow, ...) without parameters, in lower case."""
        return frozenset(value.partition(";")[0].strip(_SPACES).lower() for value in self.values(name))

    # Header fields by their type

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every Via, topmost first; never empty in a message that was parsed."""
        if self._vias is None:
            self._vias = tuple([Via.parse(value) for value in self.values("via")])
        return self._vias

    @property
    def top_via(self) -> Via:
        """The Via of the hop that sent this request, or to which this response goes."""
        return self.vias[0]

    @property
    def from_(self) -> NameAddr:
        """From (RFC 3261 section 20.20)."""
        if self._from is None:
            self._from = NameAddr.parse(self._only("from"))
        return self._from

    @property
    def to(self) -> NameAddr:
        """To (RFC 3261 section 20.39)."""
        if self._to is None:
            self._to = NameAddr.parse(self._only("to"))
        return self._to

    @property
    def call_id(self) -> str:
        """Call-ID: compared byte by byte (RFC 3261 section 20.8)."""
        return self._only("call-id")

    @property
    def cseq(self) -> CSeq:
        """CSeq (RFC 3261 section 20.16)."""
        if self._cseq is None:
            self._cseq = CSeq.parse(self._only("cseq"))
        return self._cseq

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact; empty for the `*` of a REGISTER, see `is_contact_wildcard`."""
        if self._contacts is None:
            if self.is_contact_wildcard:
                self._contacts = ()
            else:
                self._contacts = tuple([NameAddr.parse(value) for value in self.values("contact")])
        return self._contacts

    @property
    def is_contact_wildcard(self) -> bool:
        """Whether Contact is `*`: every binding (RFC 3261 section 10.2.2)."""
        return self._index.get("contact") == ["*"]

    @property
    def routes(self) -> tuple[NameAddr, ...]:
        """Every Route, the next hop first."""
        return tuple([NameAddr.parse(value) for value in self.values("route")])

    @property
    def record_routes(self) -> tuple[NameAddr, ...]:
        """Every Record-Route in the order of the message."""
        return tuple([NameAddr.parse(value) for value in self.values("record-route")])

    @property
    def max_forwards(self) -> int | None:
        """0 to 255, or None without the header (RFC 2543 peers)."""
        text = self.get("max-forwards")
        if text is None:
            return None
        number = number_of(text)
        if number is None or number > 255:
            raise MalformedValue("Max-Forwards is not a number from 0 to 255")
        return number

    @property
    def content_type(self) -> str | None:
        """`type/subtype` in lower case without parameters, or None."""
        text = self.get("content-type")
        return None if text is None else text.partition(";")[0].strip(_SPACES).lower()

    @property
    def require(self) -> frozenset[str]:
        """Option tags of Require, in lower case."""
        return self.tokens("require")

    @property
    def supported(self) -> frozenset[str]:
        """Option tags of Supported, in lower case."""
        return self.tokens("supported")

    def _only(self, key: str) -> str:
        values = self._index.get(key)
        if not values:
            raise MalformedValue(f"there is no {key} header")
        return values[0]

    # Other messages from this one

    def with_top_via(self, via: Via) -> Self:
        """The message with its topmost Via replaced, e.g. by `top_via.seen_from(host, port)`."""
        fields = list(self.headers)
        at = next(number for number, field in enumerate(fields) if header_key(field[0]) == "via")
        rest = split_list(fields[at][1])[1:]
        fields[at] = (fields[at][0], ", ".join((str(via), *rest)))
        changed = self._with_headers(tuple(fields))
        changed._vias = (via, *self.vias[1:])
        changed._from, changed._to, changed._cseq = self._from, self._to, self._cseq
        changed._contacts = self._contacts
        return changed

    @abstractmethod
    def _with_headers(self, headers: HeaderFields) -> Self: ...

    @abstractmethod
    def _start_line(self) -> str: ...

    def encode(self) -> bytes:
        """The message as a datagram, with a Content-Length that is true, after the other fields."""
        if self._encoded is None:
            lines = [self._start_line()]
            for name, value in self.headers:
                if name != "Content-Length" and header_key(name) != "content-length":
                    lines.append(f"{name}: {value}")
            lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
            self._encoded = "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body
        return self._encoded


@final
class Request(Message):
    """A request. `method` is case-sensitive; `uri_text` is the Request-URI as it came, `uri` the same taken apart."""

    __slots__ = ("_uri", "method", "uri_text")

    def __init__(self, method: str, uri_text: str, headers: HeaderFields, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri_text = uri_text
        self._uri: Uri | None = None

    @staticmethod
    def build(
        method: str,
        uri: Uri | str,
        *,
        via: Via | Sequence[Via],
        from_: NameAddr | str,
        to: NameAddr | str,
        call_id: str,
        cseq: int,
        max_forwards: int = 70,
        routes: Iterable[NameAddr | str] = (),
        contact: NameAddr | str | None = None,
        headers: Iterable[tuple[str, HeaderValue]] = (),
        content_type: str | None = None,
        body: bytes = b"",
    ) -> Request:
        """Builds a request (RFC 3261 section 8.1.1). Raises MalformedValue for a bad method or Request-URI."""
        if not is_token(method):
            raise MalformedValue("a method is not a token")
        uri_text = str(uri)
        parsed = parse_uri(uri_text)
        fields: list[tuple[str, HeaderValue]] = [("Via", one) for one in ((via,) if isinstance(via, Via) else via)]
        fields.append(("Max-Forwards", max_forwards))
        fields.extend(("Route", route) for route in routes)
        fields.append(("From", from_))
        fields.append(("To", to))
        fields.append(("Call-ID", call_id))
        fields.append(("CSeq", f"{cseq} {method}"))
        if contact is not None:
            fields.append(("Contact", contact))
        fields.extend(headers)
        if content_type is not None:
            fields.append(("Content-Type", content_type))
        request = Request(method, uri_text, _fields(fields), body)
        request._uri = parsed
        return request

    @staticmethod
    def salvaged(method: str, uri_text: str, others: HeaderFields, vias: tuple[Via, ...]) -> Request:
        """What the parser could save of a malformed request: `vias` as read, the `others` unchecked."""
        request = Request(method, uri_text, (*(("Via", str(via)) for via in vias), *others))
        request._vias = vias
        return request

    @property
    def uri(self) -> Uri:
        """The Request-URI."""
        if self._uri is None:
            self._uri = parse_uri(self.uri_text)
        return self._uri

    def response(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        contact: NameAddr | str | None = None,
        headers: Iterable[tuple[str, HeaderValue]] = (),
        content_type: str | None = None,
        body: bytes = b"",
    ) -> Response:
        """Builds a response with what it must repeat of this request (RFC 3261 section 8.2.6 and 12.1.1).

        `to_tag` is added to a To that has no tag, except in a 100. Record-Route is repeated in 101 to 299,
        Timestamp in 100. Works on `MalformedMessage.partial` too, and then repeats what there is.
        """
        index = self._index
        fields: list[tuple[str, HeaderValue]] = [("Via", value) for value in index.get("via", ())]
        if 100 < status < 300:
            fields.extend(("Record-Route", value) for value in index.get("record-route", ()))
        if "from" in index:
            fields.append(("From", index["from"][0]))
        if "to" in index:
            to = index["to"][0]
            fields.append(("To", f"{to};tag={to_tag}" if to_tag and status != 100 and not self._has_to_tag() else to))
        if "call-id" in index:
            fields.append(("Call-ID", index["call-id"][0]))
        if "cseq" in index:
            fields.append(("CSeq", index["cseq"][0]))
        if status == 100 and "timestamp" in index:
            fields.append(("Timestamp", index["timestamp"][0]))
        if contact is not None:
            fields.append(("Contact", contact))
        fields.extend(headers)
        if content_type is not None:
            fields.append(("Content-Type", content_type))
        answer = Response(status, REASONS.get(status, "") if reason is None else _flat(reason), _fields(fields), body)
        answer._vias = self._vias
        return answer

    def _has_to_tag(self) -> bool:
        try:
            return self.to.tag is not None
        except MalformedValue:
            return True  # of a partial request: what cannot be read is repeated as it is

    def ack(self, response: Response) -> Request:
        """The ACK to a final response other than 2xx to this INVITE, within its transaction (section 17.1.1.3)."""
        return self._like("ACK", response.get("to") or self._only("to"))

    def cancel(self) -> Request:
        """The CANCEL of this request (section 9.1)."""
        return self._like("CANCEL", self._only("to"))

    def _like(self, method: str, to: str) -> Request:
        return Request.build(
            method,
            self.uri_text,
            via=self.top_via,
            from_=self._only("from"),
            to=to,
            call_id=self.call_id,
            cseq=self.cseq.number,
            routes=self.get_all("route"),
        )

    def _with_headers(self, headers: HeaderFields) -> Request:
        changed = Request(self.method, self.uri_text, headers, self.body)
        changed._uri = self._uri
        return changed

    def _start_line(self) -> str:
        return f"{self.method} {self.uri_text} SIP/2.0"

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri_text}>"


@final
class Response(Message):
    """A response. `status` is 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: HeaderFields, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    def _with_headers(self, headers: HeaderFields) -> Response:
        return Response(self.status, self.reason, headers, self.body)

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}>"
