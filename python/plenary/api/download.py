"""A recording as a file over HTTP: ranges and validators (RFC 9110, sections 13 and 14)."""

import re

from .deps import RecordingFile
from .problems import Problem
from .reply import FileReply, Reply

MEDIA_TYPE = "audio/wav"

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """(first byte, length) of the one range that is asked for.

    None if there is none that we serve: another unit, several ranges, a malformed header. All of these are ignored
    (RFC 9110, section 14.2). A range outside the file raises 416.
    """
    match = _RANGE.fullmatch(header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise _unsatisfiable(size)
        return size - length, length
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise _unsatisfiable(size)
    end = min(int(last), size - 1) if last else size - 1
    return int(first), end - int(first) + 1


def _unsatisfiable(size: int) -> Problem:
    return Problem(
        "range_not_satisfiable",
        f"The recording is {size} bytes long.",
        headers={"content-range": f"bytes */{size}", "accept-ranges": "bytes"},
    )


def etag_of(recording: str, file: RecordingFile) -> str:
    """Changes with the length: a file that grows also changes its header."""
    return f'"{recording}-{file.size}"'


def matches(header: str, etag: str) -> bool:
    """Whether `If-None-Match` names this version (weak comparison, RFC 9110, section 13.1.2)."""
    return header.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in header.split(",")]


async def answer(recording: str, file: RecordingFile, headers: dict[str, str]) -> FileReply | Reply:
    """`headers` are the request's, lower case. The file is closed when the answer has been sent."""
    try:
        etag = etag_of(recording, file)
        common = {
            "accept-ranges": "bytes",
            "etag": etag,
            "cache-control": "private, no-cache",
            "content-disposition": f'attachment; filename="recording-{recording}.wav"',
        }
        if matches(headers.get("if-none-match", ""), etag):
            await file.close()
            return Reply(b"", status=304, headers=common)
        wanted = headers.get("range")
        if wanted is not None and headers.get("if-range", etag).strip() != etag:
            wanted = None
        part = byte_range(wanted, file.size) if wanted is not None else None
    except BaseException:
        await file.close()
        raise
    if part is None:
        return FileReply(file, first=0, length=file.size, status=200, media_type=MEDIA_TYPE, headers=common)
    first, length = part
    common["content-range"] = f"bytes {first}-{first + length - 1}/{file.size}"
    return FileReply(file, first=first, length=length, status=206, media_type=MEDIA_TYPE, headers=common)
