"""What we refuse, for those who look after the server: a count by status, and a few INVITEs to name in the log."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from plenary.sip.config import Address
from plenary.sip.message import Request

NAMED_PER_S: Final = 10
"""INVITEs that are named in a second: enough to see what is wrong with a phone; of a flood the count tells."""

MAX_SHOWN: Final = 100
"""Characters of what a stranger wrote."""


class RefusedInvite(msgspec.Struct, frozen=True):
    """`called` is the Request-URI, `caller` what From says, both cut short and in printable ASCII."""

    status: int
    source: Address
    called: str
    caller: str


class Refusals:
    """Counts each final response of 300 and more once. `by_status` is never more than 400 numbers."""

    def __init__(self) -> None:
        self.by_status: Counter[int] = Counter()
        self._named: list[RefusedInvite] = []
        self._second = 0
        self._in_second = 0

    def note(self, request: Request, status: int, source: Address) -> None:
        """Takes note of a refusal. Of INVITEs, one that was cancelled (487) or only asked for its credentials is none
        that anybody has to hear of."""
        self.by_status[status] += 1
        is_routine = status == 487 or (status == 401 and request.get("authorization") is None)
        if request.method == "INVITE" and not is_routine and len(self._named) < NAMED_PER_S:
            caller = request.get("from") or ""
            self._named.append(RefusedInvite(status, source, _shown(request.uri_text), _shown(caller)))

    def named(self, now: float) -> list[RefusedInvite]:
        """The INVITEs that were refused since the last time, but no more than `NAMED_PER_S` in a second. Drained."""
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        named, self._named = self._named[: NAMED_PER_S - self._in_second], []
        self._in_second += len(named)
        return named


def _shown(text: str) -> str:
    return ascii(text[:MAX_SHOWN])[1:-1][:MAX_SHOWN]
