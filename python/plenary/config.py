"""The settings of a server: one frozen `Config`, each field a `--option`, a `PLENARY_…` variable and a TOML key.

Precedence: command line, environment, file, default. The command line is made from this class, so the help text of a
setting is its docstring below and nothing else.
"""

import contextlib
import dataclasses
import difflib
import ipaddress
import os
import socket
import ssl
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast, get_args

import cyclopts

from .keys import KEY_MAX, KEY_MIN
from .media.messages import CODECS, Encryption
from .sip.config import Credentials
from .sip.digest import ALGORITHMS
from .sip.errors import MalformedValue
from .sip.uri import SipUri, parse_uri

SIP_LISTENERS_MAX = 8
"""A socket each, which costs nothing; more is a mistake in a file."""
WEBRTC_PORT_MAX = 65_535 - 256
"""Leaves a port for each thread of a large machine."""


NEAR = 0.75
"""How much of two names must be the same (`difflib`) for one to be taken for the other misspelt."""


class ConfigError(Exception):
    """A setting that can't be used. The message names the setting and says what would do."""


@dataclass(frozen=True)
class Endpoint:
    """`HOST:PORT`, `[IPv6]:PORT`. Host is a literal address or a name of this machine."""

    host: str
    port: int

    @classmethod
    def parse(cls, option: str, text: str, form: str = "HOST:PORT, such as 127.0.0.1:8080") -> "Endpoint":
        """Raises ConfigError, naming the option and the `form` that it should have."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"{option}: '{text}' is not {form}.")
        return cls(host, int(port))

    def as_reached_at(self, public_address: str) -> "Endpoint":
        """Where others reach it: the wildcard address is nobody's."""
        return Endpoint(public_address, self.port) if self.is_wildcard else self

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def literal(self) -> str:
        """The host as an address that is spelled in one way; a name that is not localhost as it is."""
        host = "127.0.0.1" if self.host == "localhost" else self.host
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(host))
        return host

    @property
    def is_loopback(self) -> bool:
        """True if only programs on this machine can reach it."""
        return not self.is_name and ipaddress.ip_address(self.literal).is_loopback

    @property
    def is_name(self) -> bool:
        """Of no address, as far as it can be told without asking others."""
        try:
            ipaddress.ip_address(self.literal)
        except ValueError:
            return True
        return False

    @property
    def is_wildcard(self) -> bool:
        return self.host in ("0.0.0.0", "::")

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    def collides_with(self, other: "Endpoint") -> bool:
        """Whether the two can't be listened on at once. Port 0 is whichever is free."""
        same = self.is_wildcard or other.is_wildcard or self.literal == other.literal
        return self.port == other.port != 0 and same


@dataclass(frozen=True)
class SipListener:
    """Where phones call, and what is done there about their encryption."""

    at: Endpoint
    srtp: Encryption
    public_host: str
    """The literal address that phones are told in its place: goes into Via and Contact."""


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


@dataclass(frozen=True)
class Tls:
    """Files of a certificate chain and its key, which are there and belong together."""

    cert: Path
    key: Path


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user can set, as he writes it. `Config.from_settings` makes sense of it."""

    http: str = "127.0.0.1:8080"
    """Where the REST API listens, HOST:PORT. The default lets in programs on this machine only."""
    sip: Annotated[tuple[str, ...], cyclopts.Parameter(negative=(), show_default=" ".join)] = ("127.0.0.1:5060",)
    """Where phones call, HOST:PORT (UDP), or HOST:PORT?srtp=POLICY with a policy of its own instead of --sip-srtp; give
    it once for each, in PLENARY_SIP with spaces between. Calls are placed by the first that others can reach. The
    default lets in phones on this machine only."""
    data: Path = Path("plenary-data")
    """Folder of all that must survive: database, recordings, spoken texts. One server at a time may use it."""
    rtp_ports: str = "20000-29999"
    """UDP ports for media, A-B. A call takes two."""
    public_address: str = ""
    """The IP address that phones reach this server at, if it is behind NAT. Default: the address of --sip (of the first
    that others can reach), or this machine's own if that is 0.0.0.0."""
    access_key: str = ""
    """The key for the REST API: it takes the place of every other key of the customer `default`. Default: one is made
    and printed at the first start. Better set as PLENARY_ACCESS_KEY."""
    sip_users: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None
    """Who may call, NAME:PASSWORD; give it once for each, in PLENARY_SIP_USERS with spaces between. Asked for by
    digest authentication."""
    sip_anonymous: bool | None = None
    """Let in callers who can't authenticate. Default: only while every --sip is on loopback and nobody is named."""
    sip_realm: str = "plenary"
    """Realm of digest authentication."""
    sip_digest: str = "MD5"
    """Algorithms of digest authentication, in order: MD5, SHA-256, or both with a comma. Most phones know only MD5."""
    sip_srtp: str = "optional"
    """Encryption of phones' media (SRTP, by SDES or DTLS): `never`, `optional` (who offers it gets it) or `required`
    (who does not is refused), for each --sip that names none."""
    sip_trunk: str = ""
    """Host of the trunk, HOST or HOST:PORT, as calls name it: its challenges are answered, nobody else's."""
    sip_trunk_realm: str = ""
    """Realm that the trunk must ask in. Default: any."""
    sip_trunk_user: str = ""
    """Name that outgoing calls authenticate with when asked."""
    sip_trunk_password: str = ""
    """Password that outgoing calls authenticate with when asked. Better set as PLENARY_SIP_TRUNK_PASSWORD."""
    codecs: str = ",".join(CODECS)
    """What calls may use, in order of preference, with commas: opus, G722, PCMU, PCMA."""
    webrtc_port: int = 19_000
    """First port for browsers, UDP and TCP; each media thread takes one from there on. 0: no browsers."""
    http_cert: str = ""
    """Certificate chain (PEM) that makes the REST API and the join page HTTPS; with --http-key. Browsers on other
    machines let a page use the microphone only so."""
    http_key: str = ""
    """Private key (PEM) of --http-cert."""
    recording_rate: int = 16_000
    """Samples per second of recordings: 8000, 16000 or 48000."""
    noise_suppression: bool = False
    """Take noise out of what participants say, unless the API says otherwise. Costs a little CPU for each."""
    normaliser: bool = False
    """Bring participants to an even loudness, unless the API says otherwise."""
    voice_activity: bool = True
    """Keep out of the mix what is no voice, unless the API says otherwise. Off: all that participants send is heard."""
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
    sip: tuple[SipListener, ...]
    """One or more; all IPv4 or all IPv6. Calls are placed by the first that others can reach."""
    data: Path
    rtp_ports: PortRange
    public_address: str
    access_key: str
    sip_users: dict[str, str]
    sip_anonymous: bool
    sip_realm: str
    sip_digest: tuple[str, ...]
    sip_trunk: Credentials | None
    codecs: tuple[str, ...]
    webrtc_port: int
    tls: Tls | None
    recording_rate: int
    noise_suppression: bool
    normaliser: bool
    voice_activity: bool
    media_threads: int
    orphan_timeout_s: float
    event_days: int
    fetch_private: bool

    @property
    def threads(self) -> int:
        """Of the media engine."""
        return self.media_threads or os.cpu_count() or 1

    @property
    def rtp_address(self) -> str:
        """Media comes in where phones call: if that is on several networks, at all of this machine's addresses."""
        hosts = {one.at.host for one in self.sip if not one.at.is_loopback}
        if len(hosts) > 1:
            return "::" if self.sip[0].at.is_ipv6 else "0.0.0.0"
        return hosts.pop() if hosts else self.public_address

    @classmethod
    def from_settings(cls, settings: Settings) -> "Config":
        """Raises `ConfigError` for a value that can't be used."""
        places = _sip_places(settings.sip, _encryption("--sip-srtp", settings.sip_srtp))
        public_address = _public_address(settings.public_address, [at for at, _ in places])
        users = _users(settings.sip_users or [])
        exposed = [at for at, _ in places if not at.is_loopback]
        by_default = not exposed and not users
        anonymous = by_default if settings.sip_anonymous is None else settings.sip_anonymous
        if not anonymous and not users:
            why = f"--sip {exposed[0]} can be reached from other machines, and nobody" if exposed else "Nobody"
            raise ConfigError(f"{why} may call: give --sip-users NAME:PASSWORD, or --sip-anonymous to let in everyone.")
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
            http=Endpoint.parse("--http", settings.http),
            sip=tuple(
                SipListener(at, srtp, _public_host(at, settings.public_address, public_address)) for at, srtp in places
            ),
            data=settings.data.expanduser().absolute(),
            rtp_ports=PortRange.parse(settings.rtp_ports),
            public_address=public_address,
            access_key=settings.access_key,
            sip_users=users,
            sip_anonymous=anonymous,
            sip_realm=settings.sip_realm,
            sip_digest=_algorithms(settings.sip_digest),
            sip_trunk=_trunk(settings),
            codecs=_codecs(settings.codecs),
            webrtc_port=_webrtc_port(settings.webrtc_port),
            tls=_tls(settings.http_cert, settings.http_key),
            recording_rate=_recording_rate(settings.recording_rate),
            noise_suppression=settings.noise_suppression,
            normaliser=settings.normaliser,
            voice_activity=settings.voice_activity,
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
    "tuple": lambda value: isinstance(value, str) or _TOML_TYPES["list"](value),
    "list": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in cast(list[object], value)),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
}
_TOML_WORDS = {
    "tuple": "a string in quotes, or a list of such",
    "list": 'a list such as ["ann:secret"]',
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a string in quotes",
}


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """A sentence for each PLENARY_ variable that means nothing: a misspelt one would be missed. None is an error:
    container platforms set some of their own for a service of this name."""
    known = [f"PLENARY_{field.name.upper()}" for field in dataclasses.fields(Settings)] + ["PLENARY_CONFIG"]
    sentences: list[str] = []
    for name in sorted(environment):
        if name.startswith("PLENARY_") and name not in known:
            near = difflib.get_close_matches(name, known, 1, NEAR)
            hint = f"did you mean {near[0]}?" if near else "`plenary serve --help` lists them."
            sentences.append(f"There is no setting {name}; {hint}")
    return sentences


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


def _sip_places(texts: Sequence[str], default: Encryption) -> list[tuple[Endpoint, Encryption]]:
    if not 1 <= len(texts) <= SIP_LISTENERS_MAX:
        raise ConfigError(f"--sip: {len(texts)} addresses are not 1 to {SIP_LISTENERS_MAX}.")
    places: list[tuple[Endpoint, Encryption]] = []
    for text in texts:
        place, mark, parameter = text.partition("?")
        at = Endpoint.parse("--sip", place, "HOST:PORT or HOST:PORT?srtp=POLICY, such as 0.0.0.0:5061?srtp=required")
        name, _, value = parameter.partition("=")
        if mark and name != "srtp":
            raise ConfigError(f"--sip: {text}: there is no parameter '{name}', only srtp.")
        for other, _ in places:
            if at.collides_with(other):
                raise ConfigError(f"--sip: {other} and {at} are the same place; take another port for one of them.")
            if at.is_ipv6 != other.is_ipv6:
                raise ConfigError(f"--sip: {other} and {at} are IPv4 and IPv6; all calls share one address for media.")
        places.append((at, _encryption(f"--sip: {text}", value) if mark else default))
    return places


def _encryption(option: str, text: str) -> Encryption:
    found: Encryption | None = next((policy for policy in get_args(Encryption) if policy == text), None)
    if found is None:
        raise ConfigError(f"{option}: '{text}' is none of {', '.join(get_args(Encryption))}.")
    return found


def _codecs(text: str) -> tuple[str, ...]:
    known = {codec.lower(): codec for codec in CODECS}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ConfigError(f"--codecs: '{text}' is not one or more of {', '.join(CODECS)}, with commas, each once.")
    return tuple(known[name] for name in names)


def _webrtc_port(port: int) -> int:
    if port and not 1024 <= port <= WEBRTC_PORT_MAX:
        raise ConfigError(f"--webrtc-port: {port} is not 0 (no browsers) or 1024 to {WEBRTC_PORT_MAX}.")
    return port


def _recording_rate(rate: int) -> int:
    if rate not in (8_000, 16_000, 48_000):
        raise ConfigError(f"--recording-rate: {rate} is not 8000, 16000 or 48000.")
    return rate


def _tls(cert: str, key: str) -> Tls | None:
    if not cert and not key:
        return None
    if not cert or not key:
        raise ConfigError("--http-cert and --http-key are needed together.")
    found = Tls(Path(cert).expanduser().absolute(), Path(key).expanduser().absolute())
    for option, path, what in (
        ("--http-cert", found.cert, b"CERTIFICATE-----"),
        ("--http-key", found.key, b"PRIVATE KEY-----"),
    ):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{option}: {path} can't be read: {error.strerror}.") from None
        if what not in content:
            name = "certificate" if option == "--http-cert" else "private key"
            raise ConfigError(f"{option}: {path} holds no {name} in PEM form.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(found.cert, found.key, _no_password)
    except _Locked:
        raise ConfigError(f"--http-key: {found.key} is locked with a password; give a key without one.") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"--http-key: {found.key} is the key of another certificate than {found.cert} (--http-cert)."
            ) from None
        option, path = _damaged(found)
        raise ConfigError(f"{option}: {path} is damaged, or of a kind that can't be used: {error}.") from None
    return found


class _Locked(Exception):
    """A private key wants a password."""


def _no_password() -> str:
    raise _Locked


def _damaged(tls: Tls) -> tuple[str, Path]:
    """Which of the two OpenSSL does not take."""
    try:
        # Takes certificates alone; what they are good for does not matter here.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_verify_locations(tls.cert)
    except ssl.SSLError:
        return "--http-cert", tls.cert
    return "--http-key", tls.key


def _public_address(given: str, sip: Sequence[Endpoint]) -> str:
    """The literal address that goes into SDP: one for all calls, as the media engine has no other."""
    if given:
        try:
            return str(ipaddress.ip_address(given))
        except ValueError:
            raise ConfigError(f"--public-address: '{given}' is not an IP address.") from None
    at = next((at for at in sip if not at.is_loopback), sip[0])
    if not at.is_wildcard:
        return _literal(at)
    family = socket.AF_INET6 if at.is_ipv6 else socket.AF_INET
    # Connecting a datagram socket sends nothing: it only asks the kernel which address it would send from.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            raise ConfigError("--public-address is needed: this machine has no route to the outside.") from None


def _literal(at: Endpoint) -> str:
    if at.is_name:
        raise ConfigError(f"--sip: '{at.host}' is a name; give an address, or --public-address too.")
    return at.literal


def _public_host(at: Endpoint, given: str, public_address: str) -> str:
    """Nothing outside of this machine leads to a socket on loopback; what is given is for all others."""
    return public_address if not at.is_loopback and (given or at.is_wildcard) else _literal(at)
