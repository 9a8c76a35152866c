"""From a datagram to a message, or to what is wrong with it (RFC 3261 section 7, 18.3 and 25).

Theory of operation. One strict and fast pass; whatever it refuses is read a second time, leniently and only far
enough to answer. Every pattern takes linear time on any text: no two neighbours in it can take the same character
and be tried in turn. RFC 4475 decides what is wrong and what is merely ugly:

- ugly: folded lines, space before the colon, compact names, any case, empty lines before the message, bytes after
  the length that Content-Length promises, bytes that are not UTF-8, characters in a user part or an unquoted display
  name that should have been escaped or quoted, headers of RFC 2543 peers (no branch, no tag, no Max-Forwards);
- wrong: everything else that the grammar of the headers which we act upon does not allow, such a header missing or
  there twice, fewer bytes than Content-Length promises, control characters, and more than the limits below.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from plenary.sip.errors import MalformedValue, SipError
from plenary.sip.header import TOKEN, Via, is_token, split_list
from plenary.sip.message import HeaderFields, Message, Request, Response, header_key, number_of
from plenary.sip.uri import MAX_URI, SipUri

MAX_DATAGRAM: Final = 65_535
"""Bytes in a message: UDP carries no more."""
MAX_HEADERS: Final = 256
"""Header fields in a message: a hundred hops of Via and Record-Route still fit."""
MAX_HEADER_LINE: Final = 8192
"""Characters in one unfolded header field: the largest real ones are Identity tokens of 2 to 4 KiB."""
MAX_BODY: Final = 16_384
"""Bytes in a body: an SDP of all codecs and candidates is below 8 KiB."""

_ONLY_ONCE: Final = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")
_LISTS: Final = ("accept", "allow", "content-encoding", "proxy-require", "require", "supported", "unsupported")
_REQUEST_LINE: Final = re.compile(rf"({TOKEN}) ([^\x00-\x20\x7f]+) SIP/([0-9]+\.[0-9]+)", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?", re.IGNORECASE | re.DOTALL)
_HEADER_LINE: Final = re.compile(rf"({TOKEN})[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOLD: Final = re.compile(r"\r\n[ \t]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_QUOTED_CONTROL: Final = re.compile(r"\\[\x00-\x09\x0b\x0c\x0e-\x7f]")
_CALL_ID: Final = re.compile(r"[^\x00-\x20\x7f]+")
_SPACES: Final = " \t"


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


class _Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def parse(data: bytes) -> Request | Response:
    """Reads one datagram. Raises MalformedMessage, and nothing else, whatever the bytes."""
    if len(data) > MAX_DATAGRAM:
        raise MalformedMessage(513, f"Message Too Large: more than {MAX_DATAGRAM} bytes")
    head, blank, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    try:
        if not blank:
            _bad("no empty line ends the headers")
        if not text.replace("\r\n", "").isprintable():
            _refuse_controls(lines)
        return _message(lines, rest)
    except _Refusal as refusal:
        raise MalformedMessage(refusal.status, refusal.reason, _salvage(lines)) from None
    except MalformedValue as wrong:
        raise MalformedMessage(400, f"Bad Request: {wrong}", _salvage(lines)) from None


def _bad(reason: str) -> NoReturn:
    raise _Refusal(400, f"Bad Request: {reason}")


def _refuse_controls(lines: list[str]) -> None:
    for line in lines:
        if not line.isprintable() and _CONTROL.search(_QUOTED_CONTROL.sub("", line)):
            _bad("a header holds a control character")


def _message(lines: list[str], rest: bytes) -> Request | Response:
    start = lines[0]
    if start[:4].upper() == "SIP/":
        found = _STATUS_LINE.fullmatch(start)
        if found is None:
            _bad("the status line does not follow the grammar")
        response = Response(int(found[1]), found[2] or "", _header_fields(lines))
        _check(response)
        response.body = _body(response, rest)
        return response
    found = _REQUEST_LINE.fullmatch(start)
    if found is None:
        _bad("the request line does not follow the grammar")
    method, uri_text, version = found.groups()
    if version != "2.0":
        raise _Refusal(505, "Version Not Supported")
    if len(uri_text) > MAX_URI:
        raise _Refusal(414, f"Request-URI Too Long: more than {MAX_URI} characters")
    request = Request(method, uri_text, _header_fields(lines))
    uri = request.uri
    if isinstance(uri, SipUri) and uri.headers:
        _bad("the Request-URI holds headers")
    _check(request)
    if request.cseq.method != method:
        _bad("CSeq names another method than the request line")
    request.body = _body(request, rest)
    return request


def _header_fields(lines: list[str]) -> HeaderFields:
    if len(lines) > MAX_HEADERS + 1:
        _bad(f"more than {MAX_HEADERS} header fields")
    fields: list[tuple[str, str]] = []
    for at in range(1, len(lines)):
        line = lines[at]
        if len(line) > MAX_HEADER_LINE:
            _bad(f"a header field is longer than {MAX_HEADER_LINE} characters")
        found = _HEADER_LINE.fullmatch(line)
        if found is None:
            _bad("a header field does not begin with a name and a colon")
        fields.append((found[1], found[2].rstrip(_SPACES)))
    return tuple(fields)


def _check(message: Message) -> None:
    """Reads every header that a typed accessor offers, so that none raises later."""
    for key in _ONLY_ONCE:
        if len(message.get_all(key)) > 1:
            _bad(f"there is more than one {key} header")
    if not message.vias:
        _bad("there is no via header")
    _ = message.from_, message.to, message.cseq, message.max_forwards
    if _CALL_ID.fullmatch(message.call_id) is None:
        _bad("Call-ID does not follow the grammar")
    _ = message.contacts, message.routes, message.record_routes
    for key in _LISTS:
        _ = message.values(key)


def _body(message: Message, rest: bytes) -> bytes:
    text = message.get("content-length")
    length = len(rest)
    if text is not None:
        promised = number_of(text)
        if promised is None:
            _bad("Content-Length is not a number")
        if promised > length:
            _bad("the body is shorter than Content-Length says")
        length = promised
    if length > MAX_BODY:
        raise _Refusal(413, f"Request Entity Too Large: a body of more than {MAX_BODY} bytes")
    return rest if length == len(rest) else rest[:length]


def _salvage(lines: list[str]) -> Request | None:
    """What a refusal needs of a request, or None where nothing may be answered."""
    start = lines[0]
    method, _, rest = start.partition(" ")
    if start[:4].upper() == "SIP/" or method == "ACK" or not is_token(method):
        return None
    fields: list[tuple[str, str]] = []
    vias: list[Via] = []
    readable = True
    for line in lines[1 : MAX_HEADERS + 1]:
        found = _HEADER_LINE.fullmatch(line)
        if found is None or len(line) > MAX_HEADER_LINE or _CONTROL.search(_QUOTED_CONTROL.sub("", line)):
            continue
        name, value = found[1], found[2].rstrip(_SPACES)
        if header_key(name) != "via":
            fields.append((name, value))
            continue
        try:
            for one in split_list(value) if readable else ():
                vias.append(Via.salvage(one))
        except MalformedValue:
            readable = False  # what lies below a broken Via would only mislead
            if not vias:
                return None
    if not vias:
        return None
    return Request.salvaged(method, rest.partition(" ")[0], tuple(fields), tuple(vias))
