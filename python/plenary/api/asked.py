"""A request on its way to the function that answers it, and what that gives back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from ..core.resources import JoinToken
from .bodies import Body
from .decode import Query
from .reply import FileReply, Reply

B = TypeVar("B", bound=Body)

Answer = bytes | msgspec.Struct | Reply | FileReply
"""Bytes are JSON, a struct is going to be."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A checked request."""

    customer: str = ""
    """Empty for public operations."""
    id: str = ""
    """The first id in the path, if there is one."""
    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    """All of them, by their names."""
    token: JoinToken | None = None
    """Who asks holds this; None: an access key."""
    query: Query = field(default_factory=dict[str, str])
    body: Body | None = None
    text: str = ""
    """The body, where it is an SDP."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    disconnected: Callable[[], Awaitable[None]]
    """Returns once nobody waits for the answer any more."""

    def body_as(self, kind: type[B]) -> B:
        assert isinstance(self.body, kind)
        return self.body
