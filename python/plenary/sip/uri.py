"""URIs as SIP uses them: sip and sips taken apart, every other scheme kept whole (RFC 3261 section 19.1).

Parts keep the spelling in which they came, escapes included, so that a URI leaves as it arrived
(RFC 4475 section 3.1.1.3 and 3.1.1.5); `user`, `password` and `param()` give the unescaped text.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias
from urllib.parse import quote, unquote

import msgspec

from plenary.sip.errors import MalformedValue

MAX_URI: Final = 2048
"""Characters in a URI: no phone sends more than a few hundred; what is longer is an attack or a mistake."""

MAX_HOST: Final = 253
"""Characters in a host name (RFC 1035 section 2.3.4)."""

Parameters: TypeAlias = tuple[tuple[str, str | None], ...]
"""Names with values in their order, spelled as they came; None where a parameter has no `=`."""

_SIP_URI: Final = re.compile(
    r"""(?P<scheme>[Ss][Ii][Pp][Ss]?):
        (?:(?P<user>[^\x00-\x20\x7f"<>@:\\]+)(?::(?P<password>[^\x00-\x20\x7f"<>@:\\]*))?@)?
        (?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9._-]{1,255}))
        (?::(?P<port>[0-9]{1,5}))?
        (?P<params>;[^\x00-\x20\x7f"<>@?]+)?
        (?:\?(?P<headers>[^\x00-\x20\x7f"<>@]+))?""",
    re.VERBOSE,
)
_OTHER_URI: Final = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*):([^\x00-\x20\x7f"<>]+)""")
_LABEL: Final = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_RESERVED: Final = frozenset(";/?:@&=+$,%")
_USER_UNESCAPED: Final = "-_.!~*'()&=+$,;?/"
_PARAM_UNESCAPED: Final = "-_.!~*'()[]/:&+$"
_ALWAYS_COMPARED: Final = ("transport", "user", "ttl", "method", "maddr")


def unescape(text: str) -> str:
    """Undoes percent escapes; bytes that are not UTF-8 become lone surrogates, as in message text."""
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _escape(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def _comparable(text: str) -> str:
    """Escapes of unreserved characters undone, the others in upper case (RFC 3261 section 19.1.4)."""

    def one(found: re.Match[str]) -> str:
        code = int(found[0][1:], 16)
        char = chr(code)
        return char if 0x20 < code < 0x7F and char not in _RESERVED else found[0].upper()

    return _ESCAPE.sub(one, text) if "%" in text else text


def _pairs(text: str, separator: str) -> Parameters:
    found: list[tuple[str, str | None]] = []
    for part in text.split(separator):
        name, equals, value = part.partition("=")
        if not name:
            raise MalformedValue("a URI holds a parameter without a name")
        found.append((name, value if equals else None))
    return tuple(found)


def _joined(pairs: Parameters, separator: str) -> str:
    return separator.join(name if value is None else f"{name}={value}" for name, value in pairs)


class SipUri(msgspec.Struct, frozen=True):
    """`sip:user:password@host:port;params?headers`.

    `scheme` is "sip" or "sips". `host` is without the brackets of an IPv6 reference and in the spelling in which
    it came. `raw_user`, `raw_password`, `params` and `headers` are still escaped.
    `==` compares spelling; `matches` compares as RFC 3261 section 19.1.4 says.
    """

    host: str
    raw_user: str | None = None
    port: int | None = None
    params: Parameters = ()
    scheme: str = "sip"
    raw_password: str | None = None
    headers: Parameters = ()

    @staticmethod
    def make(
        host: str,
        user: str | None = None,
        port: int | None = None,
        params: Parameters = (),
        *,
        scheme: str = "sip",
    ) -> SipUri:
        """Builds a URI from plain text: escapes `user` and the values of `params` where the grammar asks."""
        return SipUri(
            host=host,
            raw_user=None if user is None else _escape(user, _USER_UNESCAPED),
            port=port,
            params=tuple(
                (_escape(name, _PARAM_UNESCAPED), None if value is None else _escape(value, _PARAM_UNESCAPED))
                for name, value in params
            ),
            scheme=scheme,
        )

    @property
    def user(self) -> str | None:
        """The user part without escapes, or None."""
        return None if self.raw_user is None else unescape(self.raw_user)

    @property
    def password(self) -> str | None:
        """The password without escapes, or None."""
        return None if self.raw_password is None else unescape(self.raw_password)

    def param(self, name: str) -> str | None:
        """The unescaped value of a parameter, "" for one without value, None when it is absent."""
        for key, value in self.params:
            if key.lower() == name:
                return "" if value is None else unescape(value)
        return None

    def has_param(self, name: str) -> bool:
        """Whether the parameter is there, with or without a value. `name` in lower case."""
        return any(key.lower() == name for key, _ in self.params)

    @property
    def hostport(self) -> str:
        """`host`, `host:port`, `[v6]:port`."""
        return join_hostport(self.host, self.port)

    def without_headers(self) -> SipUri:
        """The URI as it may stand in a Request-URI: headers never do (RFC 3261 section 19.1.1)."""
        return msgspec.structs.replace(self, headers=()) if self.headers else self

    def matches(self, other: Uri) -> bool:
        """Whether both name the same resource (RFC 3261 section 19.1.4)."""
        if not isinstance(other, SipUri):
            return False
        if (self.scheme, self.host.lower(), self.port) != (other.scheme, other.host.lower(), other.port):
            return False
        if _comparable(self.raw_user or "") != _comparable(other.raw_user or ""):
            return False
        if _comparable(self.raw_password or "") != _comparable(other.raw_password or ""):
            return False
        ours, theirs = _comparable_pairs(self.params), _comparable_pairs(other.params)
        if any(ours.get(name) != theirs.get(name) for name in ours.keys() & theirs.keys()):
            return False
        if any((name in ours) != (name in theirs) for name in _ALWAYS_COMPARED):
            return False
        return _comparable_pairs(self.headers) == _comparable_pairs(other.headers)

    def __str__(self) -> str:
        text = f"{self.scheme}:"
        if self.raw_user is not None:
            text += self.raw_user
            if self.raw_password is not None:
                text += f":{self.raw_password}"
            text += "@"
        text += self.hostport
        if self.params:
            text += ";" + _joined(self.params, ";")
        if self.headers:
            text += "?" + _joined(self.headers, "&")
        return text


class OtherUri(msgspec.Struct, frozen=True):
    """A URI of any other scheme (tel, http, urn, ...): `scheme` in lower case, and all that follows the colon."""

    scheme: str
    rest: str

    @property
    def user(self) -> str | None:
        """What plays the part of the user: the number of a tel URI without its visual separators (RFC 3966)."""
        if self.scheme != "tel":
            return None
        number = unescape(self.rest.partition(";")[0])
        return number.translate(_VISUAL_SEPARATORS)

    def matches(self, other: Uri) -> bool:
        """Whether both are the same but for the case of the scheme."""
        return self == other

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri: TypeAlias = SipUri | OtherUri

_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")


def _comparable_pairs(pairs: Parameters) -> dict[str, str]:
    return {_comparable(name).lower(): _comparable(value or "").lower() for name, value in pairs}


def is_host(text: str) -> bool:
    """Whether this can be a host: an IPv4 or IPv6 address, or a name as DNS has them (RFC 1123 section 2.1)."""
    if ":" in text or text.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True
    return len(text) <= MAX_HOST and _HOST_NAME.fullmatch(text) is not None


def join_hostport(host: str, port: int | None) -> str:
    """`host`, `host:port`, `[v6]` or `[v6]:port`."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def parse_uri(text: str) -> Uri:
    """Reads a URI without any space around it. Raises MalformedValue."""
    if len(text) > MAX_URI:
        raise MalformedValue(f"a URI is longer than {MAX_URI} characters")
    found = _SIP_URI.fullmatch(text)
    if found is None:
        other = _OTHER_URI.fullmatch(text)
        if other is None or other[1].lower() in ("sip", "sips"):
            raise MalformedValue("a URI does not follow the grammar")
        return OtherUri(other[1].lower(), other[2])
    if "%" in text and _BAD_ESCAPE.search(text):
        raise MalformedValue("a URI holds a percent sign without two hexadecimal digits")
    scheme, user, password, v6, host, port_text, params, headers = found.groups()
    port = None if port_text is None else int(port_text)
    if port is not None and not 0 < port < 65536:
        raise MalformedValue("a URI names a port outside 1 to 65535")
    return SipUri(
        host=v6 or host,
        raw_user=user,
        port=port,
        params=_pairs(params[1:], ";") if params else (),
        scheme=scheme.lower(),
        raw_password=password,
        headers=_pairs(headers, "&") if headers else (),
    )
