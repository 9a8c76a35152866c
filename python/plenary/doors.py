"""The API's doors to the server: reads of the database and of files, each in a thread: no call waits for a disk."""

from .api.answers import CallStatistics
from .recordings.files import OpenRecording
from .server import Server
from .store.views import Listing, Page


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

    async def wait(self, after: int, timeout_s: float) -> None:
        await self._server.wait_for_events(after, timeout_s)


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
