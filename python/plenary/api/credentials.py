"""Who asks: a customer by his access key, or somebody with a join token, who may do what it names and nothing else."""

from ..core.resources import JoinToken
from .deps import ApiDeps
from .operation import Operation
from .problems import Problem

KEY_MAX = 512
"""Characters of an access key that are looked at."""

_SEND_TOKEN = "Send a join token: 'Authorization: Bearer TOKEN'. POST /v1.0/conferences/{id}/tokens makes one."

_WANTED = {"www-authenticate": 'Bearer realm="plenary"'}
REFUSED = {"www-authenticate": 'Bearer realm="plenary", error="invalid_token"'}
"""Headers of a 401 (RFC 6750 section 3)."""


async def authenticated(key: str | None, operation: Operation, deps: ApiDeps) -> tuple[str, JoinToken | None]:
    """The customer who may ask for this operation, and the join token if it is one. Raises `Problem`."""
    if not key:
        send_key = "Send your access key: 'Authorization: Bearer KEY', or '?accesskey=KEY'."
        sentence = _SEND_TOKEN if operation.token_only else send_key
        raise Problem("authentication_required", sentence, headers=_WANTED)
    scope = operation.scope
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
    if operation.token_only:
        raise Problem("join_token_required", f"This is an access key. {_SEND_TOKEN}")
    return customer, None
