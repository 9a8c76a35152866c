"""The values inside header fields: lists, parameters, name-addr, Via, CSeq (RFC 3261 sections 20 and 25).

Every reader takes a value that is unfolded and stripped, and raises MalformedValue. Parameters keep their
spelling, quotes included, so that what is passed on is what came; `param()` gives the text inside the quotes.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from plenary.sip.errors import MalformedValue
from plenary.sip.uri import Parameters, Uri, join_hostport, parse_uri

MAX_CSEQ: Final = 2**31 - 1
"""RFC 3261 section 8.1.1.5: a sequence number is less than 2**31."""

MAX_LIST: Final = 256
"""Values in one header field list; as many as headers in a message, since either form means the same."""

TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
_QUOTED: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'

_PARAM: Final = re.compile(
    rf"""[ \t]*;[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({_QUOTED}|[^\x00-\x20\x7f",;<>]+))?""", re.DOTALL
)
_ELEMENT: Final = re.compile(rf"""(?:[^",<]+|{_QUOTED}|<[^>]*>)*""", re.DOTALL)
_NAME_ADDR: Final = re.compile(rf"""(?:({_QUOTED})[ \t]*|([^\x00-\x08\x0a-\x1f\x7f"<>,;:\\]*))<([^<>]*)>""", re.DOTALL)
_ADDR_SPEC: Final = re.compile(r"""[^\x00-\x20\x7f"<>;?,]+""")
_VIA: Final = re.compile(
    rf"""SIP[ \t]*/[ \t]*({TOKEN})[ \t]*/[ \t]*({TOKEN})[ \t]+
    (?:\[([0-9A-Fa-f:.]{{2,45}})\]|([A-Za-z0-9._-]{{1,255}}))(?:[ \t]*:[ \t]*([0-9]{{1,5}}))?""",
    re.VERBOSE | re.IGNORECASE,
)
_CSEQ: Final = re.compile(rf"([0-9]+)[ \t]+({TOKEN})")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_IS_TOKEN: Final = re.compile(TOKEN)
_SPACES: Final = " \t"


def is_token(text: str) -> bool:
    """Whether the text is a `token` of RFC 3261 section 25.1."""
    return _IS_TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Makes a quoted-string. Line breaks cannot stand in one and become spaces."""
    flat = text.replace("\r", " ").replace("\n", " ")
    return '"' + flat.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """The text of a quoted-string, or the text itself when it is not quoted."""
    if len(text) < 2 or text[0] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def split_list(value: str) -> list[str]:
    """Splits at commas outside quotes and angle brackets; each element stripped, empty ones left out."""
    if "," not in value:
        return [value] if value else []
    if '"' in value or "<" in value:
        parts: list[str] = []
        at = 0
        while True:
            found = _ELEMENT.match(value, at)
            assert found is not None, "the pattern matches the empty text"
            at = found.end()
            parts.append(found[0])
            if at == len(value):
                break
            if value[at] != ",":
                raise MalformedValue("a quote or an angle bracket is not closed")
            at += 1
    else:
        parts = value.split(",")
    if len(parts) > MAX_LIST:
        raise MalformedValue(f"a list holds more than {MAX_LIST} values")
    return [stripped for part in parts if (stripped := part.strip(_SPACES))]


def parse_params(text: str, at: int = 0) -> Parameters:
    """Reads `;name=value;name...` from position `at` to the end of the text."""
    found: list[tuple[str, str | None]] = []
    end = len(text)
    while at < end:
        one = _PARAM.match(text, at)
        if one is None:
            if text[at:].strip(_SPACES):
                raise MalformedValue("parameters do not follow the grammar")
            break
        name, value = one.groups()
        found.append((name, value))
        at = one.end()
    return tuple(found)


def find_param(params: Parameters, name: str) -> str | None:
    """The unquoted value of a parameter, "" for one without value, None when it is absent. Name in lower case."""
    for key, value in params:
        if key == name or key.lower() == name:
            return "" if value is None else unquote(value)
    return None


def show_params(params: Parameters) -> str:
    """`;name=value;name`, the inverse of `parse_params`."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def with_param(params: Parameters, name: str, value: str | None) -> Parameters:
    """The parameters with this one set in its old place, or at the end. `value` as it is to be sent."""
    if any(key.lower() == name for key, _ in params):
        return tuple((key, value) if key.lower() == name else (key, old) for key, old in params)
    return (*params, (name, value))


class NameAddr(msgspec.Struct, frozen=True):
    """`"name" <uri>;params`: From, To, Contact, Route, Record-Route (RFC 3261 section 20.10).

    `name` is the display name without quotes, "" when there is none.
    """

    uri: Uri
    name: str = ""
    params: Parameters = ()

    @staticmethod
    def parse(text: str) -> NameAddr:
        """Reads one value. Without angle brackets a `;` begins parameters of the header, not of the URI."""
        bracketed = _NAME_ADDR.match(text)
        if bracketed is not None:
            quoted, plain, uri = bracketed.groups()
            name = unquote(quoted) if quoted is not None else plain.strip(_SPACES)
            return NameAddr(parse_uri(uri), name, parse_params(text, bracketed.end()))
        bare = _ADDR_SPEC.match(text)
        if bare is None:
            raise MalformedValue("an address is neither <uri> nor a bare URI")
        return NameAddr(parse_uri(bare[0]), "", parse_params(text, bare.end()))

    def param(self, name: str) -> str | None:
        """The unquoted value of a parameter, "" for one without value, None when absent. Name in lower case."""
        return find_param(self.params, name)

    @property
    def tag(self) -> str | None:
        """The tag of From or To; None when there is none."""
        return find_param(self.params, "tag") or None

    def with_tag(self, tag: str) -> NameAddr:
        """The same address with this tag."""
        return NameAddr(self.uri, self.name, with_param(self.params, "tag", tag))

    def __str__(self) -> str:
        address = f"<{self.uri}>{show_params(self.params)}"
        return f"{quote(self.name)} {address}" if self.name else address


class Via(msgspec.Struct, frozen=True):
    """`SIP/2.0/transport host:port;params` (RFC 3261 section 20.42, RFC 3581).

    `transport` in upper case. `host` without brackets.
    """

    transport: str
    host: str
    port: int | None = None
    params: Parameters = ()

    @staticmethod
    def parse(text: str) -> Via:
        """Reads one value with SIP version 2.0."""
        via, version, at = Via._head(text)
        if version != "2.0":
            raise MalformedValue("a Via has a SIP version that is not 2.0")
        return Via(via.transport, via.host, via.port, parse_params(text, at))

    @staticmethod
    def salvage(text: str) -> Via:
        """Reads as much as a refusal needs: any version, and the parameters only as far as they are good."""
        via, _, at = Via._head(text)
        params: list[tuple[str, str | None]] = []
        while (found := _PARAM.match(text, at)) is not None:
            params.append((found[1], found[2]))
            at = found.end()
        return Via(via.transport, via.host, via.port, tuple(params))

    @staticmethod
    def _head(text: str) -> tuple[Via, str, int]:
        found = _VIA.match(text)
        if found is None:
            raise MalformedValue("a Via does not follow the grammar")
        version, transport, v6, host, port_text = found.groups()
        port = None if port_text is None else int(port_text)
        if port is not None and not 0 < port < 65536:
            raise MalformedValue("a Via names a port outside 1 to 65535")
        return Via(transport.upper(), v6 or host, port, ()), version, found.end()

    def param(self, name: str) -> str | None:
        """The unquoted value of a parameter, "" for one without value, None when absent. Name in lower case."""
        return find_param(self.params, name)

    @property
    def branch(self) -> str | None:
        """The branch; None in messages of RFC 2543 peers."""
        return find_param(self.params, "branch") or None

    @property
    def received(self) -> str | None:
        """The address from which the message came, if a hop saw fit to note it."""
        return find_param(self.params, "received") or None

    @property
    def wants_rport(self) -> bool:
        """Whether `rport` is there, empty or filled (RFC 3581 section 4)."""
        return find_param(self.params, "rport") is not None

    @property
    def rport(self) -> int | None:
        """The port from which the message came, once a hop has filled it in."""
        text = find_param(self.params, "rport")
        if not text or len(text) > 5 or not (text.isascii() and text.isdigit()):
            return None
        return int(text)

    @property
    def sent_by(self) -> str:
        """`host` or `host:port`, as transactions are told apart by it (RFC 3261 section 17.2.3)."""
        return join_hostport(self.host, self.port)

    def seen_from(self, host: str, port: int) -> Via:
        """Notes where the message came from (RFC 3261 section 18.2.1, RFC 3581 section 4).

        `received` when the address differs from sent-by or rport is asked for; `rport` when it is asked for. What the
        peer itself wrote into them is overwritten: a response never goes where a stranger tells it to.
        """
        params = self.params
        if self.wants_rport:
            params = with_param(params, "rport", str(port))
        elif host == self.host and self.received is None:
            return self
        return Via(self.transport, self.host, self.port, with_param(params, "received", host))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{show_params(self.params)}"


class CSeq(msgspec.Struct, frozen=True):
    """Sequence number and method (RFC 3261 section 20.16)."""

    number: int
    method: str

    @staticmethod
    def parse(text: str) -> CSeq:
        """Reads `number method`."""
        found = _CSEQ.fullmatch(text)
        if found is None or len(found[1]) > 32:
            raise MalformedValue("a CSeq is not a number and a method")
        number = int(found[1])
        if number > MAX_CSEQ:
            raise MalformedValue(f"a CSeq number is greater than {MAX_CSEQ}")
        return CSeq(number, found[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
