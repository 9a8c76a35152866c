"""What goes back to the client."""

import asyncio
from typing import TYPE_CHECKING, Any

from litestar.response.base import ASGIResponse

from .deps import RecordingFile

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

CHUNK = 256 * 1024
"""Bytes read from a file at once: eight seconds of sound, and little to hold for each slow client."""


class Reply(ASGIResponse):
    """A whole answer."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        media_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(body=body, status_code=status, media_type=media_type, headers=headers)


class FileReply(ASGIResponse):
    """Part or all of a file, read as fast as the client takes it. Closes the file."""

    def __init__(
        self, file: RecordingFile, *, first: int, length: int, status: int, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status, media_type=media_type, headers=headers, content_length=length)
        self._file = file
        self._first = first
        self._length = length

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        gone: asyncio.Future[Any] = asyncio.ensure_future(disconnected(receive))
        try:
            headers = self.encode_headers()
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
            sent = 0
            wanted = 0 if scope["plenary"].head else self._length  # type: ignore[typeddict-item]
            while sent < wanted and not gone.done():
                chunk = await self._file.read(self._first + sent, min(CHUNK, wanted - sent))
                sent += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._file.close()


async def disconnected(receive: "Receive") -> None:
    """Returns when the client has gone. (A body that a GET carries is of no interest.)"""
    while (await receive())["type"] != "http.disconnect":
        pass
