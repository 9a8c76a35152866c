"""Session timers, as far as a peer can insist on one (RFC 4028).

We never refresh a session ourselves: a 2xx of ours names the peer as the refresher. A peer that only offers a timer
gets none; calls whose phone has vanished end by what the media engine sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plenary.sip.message import Request, number_of
from plenary.sip.stack import Stack
from plenary.sip.timers import Timer

if TYPE_CHECKING:
    from plenary.sip.call import Call

MIN_SESSION_S: Final = 90
"""The shortest session interval there is (RFC 4028 section 5)."""

DEFAULT_SESSION_S: Final = 1800
"""The interval for a peer that wants a session timer and names none (RFC 4028 section 4)."""

MAX_SESSION_S: Final = 86_400
"""The longest that is waited for a refresh."""


class SessionTimer:
    """`interval_s` is the session interval; 0: there is none."""

    def __init__(self, stack: Stack, call: Call) -> None:
        self._stack = stack
        self._call = call
        self.interval_s = 0

    def accept(self, request: Request, now: float) -> tuple[tuple[str, str], ...]:
        """The fields for the 2xx to an INVITE or UPDATE, which is a refresh as well (section 9)."""
        if "timer" not in request.require and not self.interval_s:
            return ()
        asked = number_of((request.get("session-expires") or "").partition(";")[0].strip())
        self.interval_s = min(asked or self.interval_s or DEFAULT_SESSION_S, MAX_SESSION_S)
        self.start(now)
        return (("Require", "timer"), ("Session-Expires", f"{self.interval_s};refresher=uac"))

    def start(self, now: float) -> None:
        """Waits for the next refresh, if there is an interval. The call ends when SESSION fires."""
        if self.interval_s:
            self._stack.timers.set(self._call, Timer.SESSION, now + max(self.interval_s, MIN_SESSION_S))
