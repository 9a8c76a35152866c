"""The settings of a server: one frozen `Config`, each field a `--option`, a `PLENARY_…` variable and a TOML key.

Precedence: command line, environment, file, default. The command line is made from this class, so the help text of a
setting is its docstring below and nothing else.
"""

import dataclasses
import ipaddress
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import cyclopts

from .keys import KEY_MAX, KEY_MIN
from .sip.config import Credentials
from .sip.digest import ALGORITHMS
from .sip.errors import MalformedValue
from .sip.uri import SipUri, parse_uri


class ConfigError(Exception):
    """A setting that can't be used. The message names the setting and says what would do."""


@dataclass(frozen=True)
class Endpoint:
    """`HOST:PORT`, `[IPv6]:PORT`. Host is a literal address or a name of this machine."""

    host: str
    port: int

    def as_reached_at(self, public_address: str) -> "Endpoint":
        """Where others reach it: the wildcard address is nobody's."""
        return Endpoint(public_address, self.port) if self.is_wildcard else self

    @classmethod
    def parse(cls, option: str, text: str) -> "Endpoint":
        """Raises ConfigError, naming the option."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"{option}: '{text}' is not HOST:PORT, such as {Settings.__dict__[option[2:]]}.")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if only programs on this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        return self.host in ("0.0.0.0", "::")


@dataclass(frozen=True)
class PortRange:
    """UDP ports of media, both ends included. A call takes two."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "PortRange":
        first, dash, last = text.partition("-")
        if not dash or not (first + last).isdigit() or not 1024 <= int(first) < int(last) <= 65535:
            raise ConfigError(f"--rtp-ports: '{text}' is not A-B with 1024 <= A < B <= 65535, such as 20000-29999.")
        return cls(int(first), int(last))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user can set, as he writes it. `Config.from_settings` makes sense of it."""

    http: str = "127.0.0.1:8080"
    """Where the REST API listens, HOST:PORT. The default lets in programs on this machine only."""
    sip: str = "127.0.0.1:5060"
    """Where phones call, HOST:PORT (UDP). The default lets in phones on this machine only."""
    data: Path = Path("plenary-data")
    """Folder of all that must survive: database, recordings, spoken texts. One server at a time may use it."""
    rtp_ports: str = "20000-29999"
    """UDP ports for media, A-B. A call takes two."""
    public_address: str = ""
    """The IP address that phones reach this server at, if it is behind NAT. Default: the address of --sip, or this
    machine's own if that is 0.0.0.0."""
    access_key: str = ""
    """The key for the REST API: it takes the place of every other key of the customer `default`. Default: one is made
    and printed at the first start. Better set as PLENARY_ACCESS_KEY."""
    sip_users: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None
    """Who may call, NAME:PASSWORD; give it once for each, in PLENARY_SIP_USERS with spaces between. Asked for by
    digest authentication."""
    sip_anonymous: bool | None = None
    """Let in callers who can't authenticate. Default: only while --sip is on loopback and nobody is named."""
    sip_realm: str = "plenary"
    """Realm of digest authentication."""
    sip_digest: str = "MD5"
    """Algorithms of digest authentication, in order: MD5, SHA-256, or both with a comma. Most phones know only MD5."""
    sip_trunk: str = ""
    """Host of the trunk, HOST or HOST:PORT, as calls name it: its challenges are answered, nobody else's."""
    sip_trunk_realm: str = ""
    """Realm that the trunk must ask in. Default: any."""
    sip_trunk_user: str = ""
    """Name that outgoing calls authenticate with when asked."""
    sip_trunk_password: str = ""
    """Password that outgoing calls authenticate with when asked. Better set as PLENARY_SIP_TRUNK_PASSWORD."""
    media_threads: int = 0
    """Threads of the media engine; each owns whole conferences. Default: one for each core."""
    orphan_timeout: float = 30.0
    """Seconds that the media engine waits for its server to come back before it closes recordings and ends."""
    event_days: int = 30
    """Days that the event log, and what is over, is kept. Recordings are kept until they are deleted."""
    fetch_private: bool = False
    """Let the `play` action fetch sound from private and loopback addresses."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A server's settings, checked. Nothing else in the program reads the environment."""

    http: Endpoint
    sip: Endpoint
    data: Path
    rtp_ports: PortRange
    public_address: str
    access_key: str
    sip_users: dict[str, str]
    sip_anonymous: bool
    sip_realm: str
    sip_digest: tuple[str, ...]
    sip_trunk: Credentials | None
    media_threads: int
    orphan_timeout_s: float
    event_days: int
    fetch_private: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> "Config":
        """Raises `ConfigError` for a value that can't be used."""
        http, sip = Endpoint.parse("--http", settings.http), Endpoint.parse("--sip", settings.sip)
        users = _users(settings.sip_users or [])
        by_default = sip.is_loopback and not users
        anonymous = by_default if settings.sip_anonymous is None else settings.sip_anonymous
        if not anonymous and not users:
            raise ConfigError(
                f"--sip {sip} can be reached from other machines, and nobody may call: "
                "give --sip-users NAME:PASSWORD, or --sip-anonymous to let in everyone."
            )
        for option, value, least in (
            ("--orphan-timeout", settings.orphan_timeout, 1),
            ("--event-days", settings.event_days, 1),
            ("--media-threads", settings.media_threads, 0),
        ):
            if value < least:
                raise ConfigError(f"{option}: {value} is less than {least}.")
        if settings.access_key and not KEY_MIN <= len(settings.access_key) <= KEY_MAX:
            raise ConfigError(f"--access-key: a key has {KEY_MIN} to {KEY_MAX} characters, better random ones.")
        return cls(
            http=http,
            sip=sip,
            data=settings.data.expanduser().absolute(),
            rtp_ports=PortRange.parse(settings.rtp_ports),
            public_address=_public_address(settings.public_address, sip),
            access_key=settings.access_key,
            sip_users=users,
            sip_anonymous=anonymous,
            sip_realm=settings.sip_realm,
            sip_digest=_algorithms(settings.sip_digest),
            sip_trunk=_trunk(settings),
            media_threads=settings.media_threads,
            orphan_timeout_s=settings.orphan_timeout,
            event_days=settings.event_days,
            fetch_private=settings.fetch_private,
        )


def check_file(path: Path) -> Path:
    """A TOML file with nothing in it but settings of the right types. Raises ConfigError, naming the key."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"--config: {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"--config: {path} is no TOML: {error}.") from error
    known = {field.name: field for field in dataclasses.fields(Settings)}
    for key, value in found.items():
        if key not in known:
            raise ConfigError(f"--config: {path}: there is no setting '{key}'; `plenary serve --help` lists them.")
        wanted = str(known[key].type)
        kind = next((kind for kind in _TOML_TYPES if kind in wanted), "str")
        if not _TOML_TYPES[kind](value):
            raise ConfigError(f"--config: {path}: {key} = {value!r} is not what it should be: {_TOML_WORDS[kind]}.")
    return path


_TOML_TYPES: dict[str, Callable[[object], bool]] = {
    "list": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in cast(list[object], value)),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
}
_TOML_WORDS = {
    "list": 'a list such as ["ann:secret"]',
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a string in quotes",
}


def check_environment(environment: Mapping[str, str]) -> None:
    """No PLENARY_ variable that means nothing: a misspelt one would be missed. Raises ConfigError."""
    known = {f"PLENARY_{field.name.upper()}" for field in dataclasses.fields(Settings)} | {"PLENARY_CONFIG"}
    for name in environment:
        if name.startswith("PLENARY_") and name not in known:
            raise ConfigError(f"There is no setting {name}; `plenary serve --help` lists them.")


def _users(entries: list[str]) -> dict[str, str]:
    users: dict[str, str] = {}
    for entry in entries:
        name, colon, password = entry.partition(":")
        if not colon or not name or not password:
            raise ConfigError("--sip-users: each must be NAME:PASSWORD, neither of them empty.")
        users[name] = password
    return users


def _trunk(settings: Settings) -> Credentials | None:
    if not settings.sip_trunk:
        if settings.sip_trunk_user or settings.sip_trunk_password:
            raise ConfigError("--sip-trunk HOST is needed too: whoever is called could ask for the trunk's password.")
        return None
    if not settings.sip_trunk_user:
        raise ConfigError("--sip-trunk-user is needed with --sip-trunk, and --sip-trunk-password if it has one.")
    try:
        uri = parse_uri(f"sip:{settings.sip_trunk}")
    except MalformedValue:
        uri = None
    if not isinstance(uri, SipUri) or uri.raw_user is not None or uri.params:
        raise ConfigError(f"--sip-trunk: '{settings.sip_trunk}' is not HOST or HOST:PORT, such as sip.example.com.")
    realm = settings.sip_trunk_realm or None
    return Credentials(settings.sip_trunk_user, settings.sip_trunk_password, uri.host, uri.port, realm)


def _algorithms(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().upper() for name in text.split(","))
    if not set(names) <= set(ALGORITHMS):
        raise ConfigError(f"--sip-digest: '{text}' names something else than {' and '.join(ALGORITHMS)}.")
    return names


def _public_address(given: str, sip: Endpoint) -> str:
    """The literal address that goes into SDP and Contact."""
    if given:
        try:
            return str(ipaddress.ip_address(given))
        except ValueError:
            raise ConfigError(f"--public-address: '{given}' is not an IP address.") from None
    if sip.host == "localhost":
        return "127.0.0.1"
    if not sip.is_wildcard:
        try:
            return str(ipaddress.ip_address(sip.host))
        except ValueError:
            raise ConfigError(f"--sip: '{sip.host}' is a name; give an address, or --public-address too.") from None
    family = socket.AF_INET6 if ":" in sip.host else socket.AF_INET
    # Connecting a datagram socket sends nothing: it only asks the kernel which address it would send from.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            raise ConfigError("--public-address is needed: this machine has no route to the outside.") from None
