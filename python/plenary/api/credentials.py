"""Who asks: a customer by his access key, or somebody with a join token, who may do what it names and nothing else."""

from ..core.resources import JoinToken
from .deps import ApiDeps
from .problems import Problem

KEY_MAX = 512
"""Characters of an access key that are looked at."""

_WANTED = {"www-authenticate": 'Bearer realm="plenary"'}
REFUSED = {"www-authenticate": 'Bearer realm="plenary", error="invalid_token"'}
"""Headers of a 401 (RFC 6750 section 3)."""


async def authenticated(key: str | None, scope: str, deps: ApiDeps) -> tuple[str, JoinToken | None]:
    """The customer, and the join token if it is one. `scope` is what such a token needs here; empty: none helps.

    Raises `Problem`.
    """
    if not key:
        raise Problem(
            "authentication_required",
            "Send your access key: 'Authorization: Bearer KEY', or '?accesskey=KEY'.",
            headers=_WANTED,
        )
    if deps.tokens.looks_like_one(key):
        if not scope:
            raise Problem("scope_missing", "A join token can't do this: send an access key.")
        token = await deps.tokens.verify(key)
        if scope not in token.scopes:
            raise Problem("scope_missing", f"This join token has not the scope '{scope}'.")
        return token.customer_id, token
    customer = await deps.customer_of(key) if len(key) <= KEY_MAX else None
    if customer is None:
        raise Problem("invalid_credentials", "This access key is not valid.", headers=REFUSED)
    return customer, None
