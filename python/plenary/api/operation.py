"""What an operation of the API is, and what many of them share."""

from typing import Any, Literal

import msgspec

from ..store.views import MAX_PAGE_SIZE
from .bodies import Body

PAGE_SIZE_DEFAULT = 10
EVENTS_DEFAULT = 100
WAIT_MAX_S = 60
"""How long a request may wait for events: below the idle limits of the usual proxies."""
SDP = "application/sdp"
SDP_MAX = 64 * 1024
"""Bytes of a session description: a browser's offer of one audio stream has 4 KiB."""
PAGE_NAME_MAX = 64
"""Characters of the name that somebody joins by: what a list of people has room for."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of the query."""

    name: str
    description: str
    schema: dict[str, Any]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Name of the function in `handlers`, and `operationId`."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """With `{conference_id}` and the like for ids."""
    tag: str
    summary: str
    description: str = ""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    """Those of the request that mean something here."""
    scope: str = ""
    """What a join token needs for it; empty: join tokens are of no use here."""
    token_only: bool = False
    """Only a join token is good for it, no access key."""
    sdp: bool = False
    """The body is a session description."""
    body: type[Body] | None = None
    body_required: bool = True
    answer: type[msgspec.Struct] | None = None
    """None: not JSON; `media_type` says what."""
    media_type: str = "application/json"
    status: int = 200
    """Of its answer."""
    errors: tuple[str, ...] = ()
    """Codes that are its own, beside those that every operation of its form has."""
    public: bool = False
    """Needs no key."""
    example: Any = None
    """A body that works."""
    answer_example: Any = None


PAGE = (
    Parameter(
        name="page_size",
        description=f"How many at most, 1 to {MAX_PAGE_SIZE}.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE_DEFAULT},
    ),
    Parameter(
        name="page_token",
        description="`next_page_token` of the page before. Without it the list starts at the newest.",
        schema={"type": "string"},
    ),
)
CONFERENCE_FILTER = Parameter(
    name="conference_id",
    description="Only what belongs to this conference.",
    schema={"type": "string", "format": "uuid"},
)
