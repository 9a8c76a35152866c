"""Digest authentication, both sides (RFC 7616, RFC 8760; RFC 3261 section 22).

Theory of operation. The server's nonces carry the time at which they were made and are signed, so that nothing is
stored for a peer that has not proven anything yet. Once a user has answered a nonce correctly, the counts (`nc`) used
with it are kept, as a sliding window like that of SRTP: a captured answer is good for nothing, while two requests that
overtake each other on their way both pass. What is kept is bounded; a nonce that fell out of it is stale.

A correct answer to a nonce that is no longer good (old, used up, or of a server with another secret) is `stale`: the
phone tries again on its own, without asking its user.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from plenary.sip.errors import MalformedValue
from plenary.sip.header import TOKEN, quote, unquote
from plenary.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from plenary.sip.message import Request

LIFETIME: Final = 300.0
"""Seconds for which a nonce is good: long enough for the re-INVITEs of a call set-up, short enough to bound memory."""
MAX_NONCES: Final = 65_536
"""Answered nonces kept for the replay check: 150 calls a second times LIFETIME, and a reserve."""
NC_WINDOW: Final = 64
"""How far a request may come late, in counts: a phone has a handful of requests in flight."""
MAX_CREDENTIALS: Final = 4
"""Authorization fields looked at in a request: one for each algorithm, and for another realm's proxy."""
MAX_PARAMETERS: Final = 32
"""Parameters in one challenge or answer; the RFC defines fourteen."""

_AUTH_PARAM: Final = re.compile(
    rf"""[ \t,]*({TOKEN})[ \t]*=[ \t]*("[^"\\]*(?:\\.[^"\\]*)*"|[^\x00-\x20\x7f",]+)[ \t]*(?=,|$)""", re.DOTALL
)
_NC: Final = re.compile(r"[0-9A-Fa-f]{8}")
_NONCE: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})-([0-9a-f]{32})")

_Hash = Callable[[bytes], str]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


_OFFERED: Final[Mapping[str, _Hash]] = {"SHA-256": _sha256, "MD5": _md5}

ALGORITHMS: Final = tuple(_OFFERED)
"""What a `Challenger` can offer, the best first."""

_ANSWERED: Final[Mapping[str, _Hash]] = {
    "SHA-256-SESS": _sha256,
    "SHA-256": _sha256,
    "MD5-SESS": _md5,
    "MD5": _md5,
}
"""What the client answers, the best first."""


class Verdict(msgspec.Struct, frozen=True):
    """`username` is who proved to know the password; None: challenge (again), with `stale` as it is here.

    `is_wrong`: a challenge of ours that still holds was answered with another password, or for a user that we do not
    have. Then there is no use in asking again (RFC 3261 section 21.4.4).
    """

    username: str | None
    stale: bool = False
    is_wrong: bool = False


class _Used(msgspec.Struct):
    """The counts used with a nonce: the highest, and below it a bit for each of the last NC_WINDOW."""

    made_ms: int
    highest: int = 0
    seen: int = 0


class Challenger:
    """The server's side: makes challenges and checks the answers, for one realm.

    `users` are names with passwords. `secret` signs the nonces: any bytes that others cannot guess; kept over a
    restart, phones need not be challenged anew. `now` is seconds of a clock that never goes back. `algorithms` are
    offered in this order, a field for each (RFC 8760 section 2.3); only MD5 by default, because phones of before that
    RFC fail at the second field and at any other algorithm.
    """

    def __init__(
        self, realm: str, users: Mapping[str, str], secret: bytes, algorithms: tuple[str, ...] = ("MD5",)
    ) -> None:
        assert algorithms, "a challenge names an algorithm"
        assert set(algorithms) <= set(ALGORITHMS), algorithms
        self._realm = realm
        self._algorithms = algorithms
        self._users = users
        self._secret = secret
        self._made = 0
        self._used: dict[str, _Used] = {}  # in the order of first use
        self._forgotten_ms = -1  # nonces made until then may have been used, and are no longer known

    def challenge(self, now: float, *, stale: bool = False) -> tuple[tuple[str, str], ...]:
        """The WWW-Authenticate fields of a 401, one for each algorithm."""
        self._made += 1
        value = f"{int(now * 1000):x}-{self._made:x}"
        common = f'realm={quote(self._realm)}, nonce="{value}-{self._signature(value)}", qop="auth"'
        ending = ", stale=true" if stale else ""
        return tuple(("WWW-Authenticate", f"Digest {common}, algorithm={name}{ending}") for name in self._algorithms)

    def check(self, request: Request, now: float) -> Verdict:
        """Checks the Authorization fields of a request; the first good one counts. Never raises."""
        stale = is_wrong = False
        looked_at = 0
        for value in request.get_all("authorization"):
            params = _auth_params(value)
            if params is None or params.get("realm") != self._realm:
                continue
            looked_at += 1
            if looked_at > MAX_CREDENTIALS:
                break
            proven = self._is_proven(params, request)
            if proven is None:
                continue
            made_ms = self._made_ms(params["nonce"], now)
            if not proven:
                is_wrong |= made_ms is not None
            elif made_ms is not None and self._use(params["nonce"], made_ms, params.get("nc"), now):
                return Verdict(params["username"])
            else:
                stale = True
        return Verdict(None, stale, is_wrong and not stale)

    def _is_proven(self, params: Mapping[str, str], request: Request) -> bool | None:
        """Whether this answer was made with the user's password, whatever the nonce is worth; None: it is no answer to
        a challenge of ours, or was made for another request. The same work for unknown users."""
        algorithm = params.get("algorithm", "MD5").upper()
        digest = _OFFERED[algorithm] if algorithm in self._algorithms else None
        username, nonce, uri = params.get("username"), params.get("nonce"), params.get("uri")
        answer, qop = params.get("response"), params.get("qop")
        if digest is None or username is None or nonce is None or uri is None or answer is None:
            return None
        if not _same_target(uri, request):
            return None
        tail = nonce
        if qop is not None:
            nc, cnonce = params.get("nc"), params.get("cnonce")
            if qop.lower() != "auth" or nc is None or cnonce is None or _NC.fullmatch(nc) is None:
                return None
            tail = f"{nonce}:{nc}:{cnonce}:{qop}"
        password = self._users.get(username)
        secret = digest(_bytes(f"{username}:{self._realm}:{password or ''}"))
        expected = digest(_bytes(f"{secret}:{tail}:{digest(_bytes(f'{request.method}:{uri}'))}"))
        right = hmac.compare_digest(expected.encode(), _bytes(answer.lower()))
        return right and password is not None

    def _made_ms(self, nonce: str, now: float) -> int | None:
        """When we made this nonce; None if we did not, or too long ago."""
        found = _NONCE.fullmatch(nonce)
        if found is None or not hmac.compare_digest(self._signature(f"{found[1]}-{found[2]}"), found[3]):
            return None
        made_ms = int(found[1], 16)
        return made_ms if made_ms <= int(now * 1000) <= made_ms + LIFETIME * 1000 else None

    def _use(self, nonce: str, made_ms: int, nc: str | None, now: float) -> bool:
        """Takes note that a count of a nonce is used up; False when it was before.

        Without qop there is no count (RFC 2069 phones): such a nonce is good once.
        """
        used = self._used.get(nonce)
        if used is None:
            if made_ms <= self._forgotten_ms:
                return False
            self._forget(int(now * 1000))
            used = self._used[nonce] = _Used(made_ms)
        count = 1 if nc is None else int(nc, 16)
        if count > used.highest:
            used.seen = (used.seen << min(count - used.highest, NC_WINDOW) | 1) & ((1 << NC_WINDOW) - 1)
            used.highest = count
            return True
        bit = 1 << (used.highest - count) if used.highest - count < NC_WINDOW else 0
        if count == 0 or not bit or used.seen & bit:
            return False
        used.seen |= bit
        return True

    def _forget(self, now_ms: int) -> None:
        """Makes room: nonces past their lifetime go, then the one first used."""
        while self._used:
            nonce, used = next(iter(self._used.items()))
            if used.made_ms + LIFETIME * 1000 >= now_ms and len(self._used) < MAX_NONCES:
                return
            del self._used[nonce]
            self._forgotten_ms = max(self._forgotten_ms, used.made_ms)

    def _signature(self, value: str) -> str:
        return hmac.digest(self._secret, _bytes(f"{value}-{self._realm}"), "sha256").hex()[:32]


def authorize(
    method: str,
    uri: str,
    challenges: Iterable[str],
    user: str,
    password: str,
    *,
    cnonce: str,
    nc: int = 1,
    body: bytes = b"",
    realm: str | None = None,
) -> str | None:
    """The client's side: the value of (Proxy-)Authorization that answers the best of these challenges.

    `challenges` are the values of WWW-Authenticate or Proxy-Authenticate, `uri` the Request-URI as it is sent, `cnonce`
    unpredictable text, `nc` how often this nonce has been answered, this time included.
    None when there is no Digest challenge with an algorithm and a qop that we know, and with `realm` if that is given.
    """
    ranks = list(_ANSWERED)
    best: tuple[int, dict[str, str]] | None = None
    for challenge in challenges:
        params = _auth_params(challenge)
        if params is None or "realm" not in params or "nonce" not in params:
            continue
        if realm is not None and params["realm"] != realm:
            continue
        algorithm = params.get("algorithm", "MD5").upper()
        if algorithm not in _ANSWERED or ("qop" in params and _best_qop(params["qop"]) is None):
            continue
        rank = ranks.index(algorithm)
        if best is None or rank < best[0]:
            best = (rank, params)
    return None if best is None else _answer(best[1], method, uri, user, password, cnonce, nc, body)


def _answer(
    params: Mapping[str, str], method: str, uri: str, user: str, password: str, cnonce: str, nc: int, body: bytes
) -> str:
    algorithm = params.get("algorithm", "MD5")
    digest = _ANSWERED[algorithm.upper()]
    realm, nonce = params["realm"], params["nonce"]
    qop = _best_qop(params["qop"]) if "qop" in params else None
    secret = digest(_bytes(f"{user}:{realm}:{password}"))
    session = algorithm.upper().endswith("-SESS")
    if session:
        secret = digest(_bytes(f"{secret}:{nonce}:{cnonce}"))
    what = f"{method}:{uri}:{digest(body)}" if qop == "auth-int" else f"{method}:{uri}"
    tail = nonce if qop is None else f"{nonce}:{nc:08x}:{cnonce}:{qop}"
    response = digest(_bytes(f"{secret}:{tail}:{digest(_bytes(what))}"))
    fields = [
        f"username={quote(user)}",
        f"realm={quote(realm)}",
        f"nonce={quote(nonce)}",
        f"uri={quote(uri)}",
        f'response="{response}"',
    ]
    if "algorithm" in params:
        fields.append(f"algorithm={algorithm}")
    if qop is not None or session:
        fields.append(f"cnonce={quote(cnonce)}")
    if qop is not None:
        fields += [f"qop={qop}", f"nc={nc:08x}"]
    if "opaque" in params:
        fields.append(f"opaque={quote(params['opaque'])}")
    return "Digest " + ", ".join(fields)


def _best_qop(offered: str) -> str | None:
    options = {option.strip().lower() for option in offered.split(",")}
    return next((qop for qop in ("auth", "auth-int") if qop in options), None)


def _auth_params(value: str) -> dict[str, str] | None:
    """The parameters of a Digest challenge or answer, unquoted, by name in lower case.

    None for other schemes, for what does not follow the grammar, and for a parameter that is there twice.
    """
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        return None
    params: dict[str, str] = {}
    at = 0
    while (found := _AUTH_PARAM.match(rest, at)) is not None:
        name = found[1].lower()
        if name in params or len(params) == MAX_PARAMETERS:
            return None
        params[name] = unquote(found[2])
        at = found.end()
    return None if rest[at:].strip(" \t,") else params


def _same_target(uri: str, request: Request) -> bool:
    """Whether an answer was made for this target.

    A proxy may rewrite where a request goes, but not whom it is for; so only the user part must be the same when the
    URIs differ. An answer for one number is of no use to dial another.
    """
    if uri == request.uri_text:
        return True
    try:
        signed, target = parse_uri(uri), request.uri
    except MalformedValue:
        return False
    return isinstance(signed, SipUri) and isinstance(target, SipUri) and signed.user == target.user


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
