"""The API's doors to the server: reads of the database and of files, each in a thread: no call waits for a disk."""

import hashlib
from collections.abc import Callable

from .api.answers import CallStatistics
from .recordings.files import OpenRecording
from .server import Server
from .store.views import Listing, Page

KEYS_REMEMBERED = 1_000
"""Access keys in use at the same time; beyond that all are looked up anew."""
KEY_REMEMBERED_S = 5.0
"""How long a key that was taken back may still be good."""


class Customers:
    """`api.deps.ApiDeps.customer_of` over the store, which asks it once in a while for each key that is in use.

    Only good keys are remembered, and of those the hash: guesses fill nothing, and no key stays in memory.
    """

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._known: dict[bytes, tuple[str, float]] = {}

    async def of(self, key: str) -> str | None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        customer, until = self._known.get(digest, (None, 0.0))
        if customer is not None and self._clock() < until:
            return customer
        customer = await self._server.read(self._server.store.customer_of, key)
        self._known.pop(digest, None)
        if customer is not None:
            if len(self._known) >= KEYS_REMEMBERED:
                self._known.clear()
            self._known[digest] = (customer, self._clock() + KEY_REMEMBERED_S)
        return customer


class Views:
    """`api.deps.Views` over the store."""

    def __init__(self, server: Server) -> None:
        self._read = server.read
        self._views = server.store.views

    async def conference(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.conference, customer, id)

    async def conferencecall(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.conferencecall, customer, id)

    async def recording(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.recording, customer, id)

    async def call(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.call, customer, id)

    async def conferences(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.conferences, customer, page)

    async def conferencecalls(self, customer: str, page: Page, conference: str | None = None) -> Listing:
        return await self._read(self._views.conferencecalls, customer, page, conference)

    async def recordings(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.recordings, customer, page)

    async def calls(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.calls, customer, page)

    async def events(self, customer: str, after: int, limit: int, conference: str | None) -> list[tuple[int, bytes]]:
        return await self._read(self._views.events, customer, after, limit, conference)


def statistics(server: Server, call: str) -> CallStatistics | None:
    """What the engine last said of the call's media."""
    found = server.statistics_of(call)
    if found is None:
        return None
    return CallStatistics(
        call_id=call, **{name: getattr(found, name) for name in CallStatistics.__struct_fields__ if name != "call_id"}
    )


class LogTail:
    """`api.deps.LogTail` over the server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def position(self) -> int:
        return self._server.last_position

    async def wait(self, customer: str, after: int, timeout_s: float) -> None:
        await self._server.wait_for_events(customer, after, timeout_s)


class RecordingFile:
    """`api.deps.RecordingFile` over the parts on disk."""

    def __init__(self, server: Server, recording: OpenRecording) -> None:
        self._read = server.read
        self._recording = recording

    @property
    def size(self) -> int:
        return self._recording.size

    async def read(self, offset: int, length: int) -> bytes:
        return await self._read(self._recording.read, offset, length)

    async def close(self) -> None:
        await self._read(self._recording.close)


class RecordingFiles:
    """`api.deps.RecordingFiles` over the data folder."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def open(self, recording: str) -> RecordingFile | None:
        found = await self._server.read(self._server.files.open, recording)
        return None if found is None else RecordingFile(self._server, found)
