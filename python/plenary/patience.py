"""HTTP connections that can't be kept waiting by their clients: half a request does not hold one for ever.

uvicorn limits how long a connection may be idle between two requests. Here each request's head, and then its body, has
to be there within `REQUEST_S`. Beyond `connections_max()` the connection that has been waited for longest gives way to
a new one; one whose request is being answered never does.
"""

import asyncio
import resource
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""For a head, and again for a body."""
CONNECTIONS_MAX = 2_000
"""Connections at once: applications and their long polls, not a crowd."""
FILES_MAX = 65_536
"""File descriptors are asked for up to here: enough for all connections and files of recordings."""


def raise_file_limit() -> None:
    """As many open files as we may have: what a shell starts with (often 1024) is soon used up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_max() -> int:
    """Half of the files may be connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, soft // 2)


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with an end to its patience."""

    waiting: ClassVar[dict["PatientProtocol", None]] = {}
    """Those whose client owes us a request or the rest of one, the longest first."""
    _too_late: asyncio.TimerHandle | None = None
    _awaited: object = None
    """What the time runs for: the state that the client was in when it began."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > connections_max():
            longest = next(iter(self.waiting), self)
            longest.transport.abort()
            longest._watch(h11.CLOSED)
        if not transport.is_closing():
            self._watch(self.conn.their_state)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch(self.conn.their_state)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        idle = not self.conn.trailing_data[0]
        self._watch(h11.DONE if idle and self.conn.their_state is h11.IDLE else self.conn.their_state)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch(h11.CLOSED)

    def _watch(self, state: object) -> None:
        """Lets the time run anew if the client owes us something else than before, and stops it if nothing."""
        if state is self._awaited:
            return
        self._awaited = state
        self.waiting.pop(self, None)
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None
        if state is h11.IDLE or state is h11.SEND_BODY:
            self.waiting[self] = None
            self._too_late = self.loop.call_later(REQUEST_S, self.transport.abort)
