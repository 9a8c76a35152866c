"""Join tokens as they travel: JSON Web Tokens (RFC 7519), signed by HMAC-SHA256 (RFC 7515, `HS256`), and nothing else.

The header is one fixed string, compared as it is: there is no other algorithm to be talked into. What a token says is
only looked at once its signature is right.
"""

import base64
import binascii
import hmac

import msgspec

from ..core.ids import is_id
from ..core.resources import JoinToken, TokenRole

KEY_BYTES = 32
"""Of the key that signs: as many as the hash has (RFC 7518 section 3.2)."""
TOKEN_MAX = 1024
"""Characters: the longest that `sign` makes have some 700."""


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7519 section 4: `jti` and `exp` as there, `scope` as in RFC 8693; the rest is ours."""

    jti: str
    exp: int
    customer: str
    conference: str
    name: str
    role: TokenRole
    scope: str


class BadToken(Exception):
    """Not signed by this key, or not whole."""


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')
"""What each of our tokens begins with."""


def looks_like_one(text: str) -> bool:
    return text.startswith(f"{HEADER}.")


def sign(token: JoinToken, expires: int, key: bytes) -> str:
    """`expires` is `token.tm_expire` in seconds since the epoch."""
    claims = _Claims(
        jti=token.id,
        exp=expires,
        customer=token.customer_id,
        conference=token.conference_id,
        name=token.name,
        role=token.role,
        scope=" ".join(token.scopes),
    )
    signed = f"{HEADER}.{_encoded(msgspec.json.encode(claims))}"
    return f"{signed}.{_encoded(_signature(signed, key))}"


def verify(text: str, key: bytes) -> tuple[str, int]:
    """The id of a token and when it expires. Raises BadToken."""
    signed, dot, signature = text.rpartition(".")
    if not dot or len(text) > TOKEN_MAX or not text.isascii() or not looks_like_one(signed):
        raise BadToken
    if not hmac.compare_digest(signature, _encoded(_signature(signed, key))):
        raise BadToken
    payload = signed.removeprefix(f"{HEADER}.")
    try:
        raw = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        claims = msgspec.json.decode(raw, type=_Claims)
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadToken from error
    if not is_id(claims.jti):
        raise BadToken
    return claims.jti, claims.exp


def _signature(signed: str, key: bytes) -> bytes:
    return hmac.digest(key, signed.encode(), "sha256")
