"""A recording is a folder named by its id, with a WAV file for each part: `<id>/1.wav`, `<id>/2.wav`, ...

The media engine writes them: a header of 44 bytes, then mono samples of 16 bit, the header renewed with each flush.
What counts here is the length of the files, and of their headers only the rate, which is that of all parts: after a
crash a header may be behind its data, and all data is sound. So a recording can be read at any moment, while it runs as
after its end, and is always one whole WAV file: the parts one after the other behind a header that is made for as much
as is there.

Everything here blocks for the disk: call it from a thread.
"""

import contextlib
import os
import re
import shutil
import struct
from pathlib import Path

from ..core.ids import UUID_PATTERN

RATES = (8_000, 16_000, 48_000)
"""Hz. What has another rate in its header, or none yet, counts as the first."""

HEADER_BYTES = 44
"""Of each part, and of what is read."""

DATA_MAX = 0xFFFF_FFFF - HEADER_BYTES
"""Bytes of sound that a WAV header can tell: three days."""

PARTS_MAX = 256
"""Parts of a recording that are read: as many files are open meanwhile. No engine should fail more often."""

_ID = re.compile(UUID_PATTERN)
_PART = re.compile(r"[1-9][0-9]{0,5}\.wav", re.ASCII)


def header(data_bytes: int, rate: int = RATES[0]) -> bytes:
    """Of a WAV file with this much sound: PCM, one channel, 16 bit."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", HEADER_BYTES - 8 + data_bytes, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16),
        *(b"data", data_bytes),
    )


def _data_bytes(file: int) -> int:
    """Whole samples behind the header of an open part, as far as it has got."""
    return max(0, os.fstat(file).st_size - HEADER_BYTES) & ~1


def _rate(file: int) -> int:
    """Of an open part, as its header says."""
    found = int.from_bytes(os.pread(file, 4, 24), "little")
    return found if found in RATES else RATES[0]


class OpenRecording:
    """A recording as one WAV file, as long as it was when it was opened, even if it is removed meanwhile."""

    def __init__(self, parts: list[int]) -> None:
        """`parts`: open file descriptors in their order, owned from now on."""
        self._parts: list[tuple[int, int, int]] = []
        """(where in the whole it begins, its bytes of sound, descriptor)."""
        at = HEADER_BYTES
        for part in parts:
            data = min(_data_bytes(part), HEADER_BYTES + (DATA_MAX & ~1) - at)
            self._parts.append((at, data, part))
            at += data
        self.size = at
        """Bytes, header included."""
        self._rate = _rate(parts[0]) if parts else RATES[0]
        self._header = header(at - HEADER_BYTES, self._rate)

    @property
    def duration_ms(self) -> int:
        return (self.size - HEADER_BYTES) // 2 * 1000 // self._rate

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer at the end. What the disk has lost meanwhile reads as silence."""
        assert offset >= 0
        assert length >= 0
        end = min(offset + length, self.size)
        pieces = [self._header[offset:end]]
        for begin, data, part in self._parts:
            first, last = max(offset, begin), min(end, begin + data)
            if first < last:
                piece = self._pread(part, HEADER_BYTES + first - begin, last - first)
                pieces.append(piece.ljust(last - first, b"\0"))
        return b"".join(pieces)

    def close(self) -> None:
        for _, _, part in self._parts:
            os.close(part)
        self._parts = []

    @staticmethod
    def _pread(part: int, at: int, length: int) -> bytes:
        pieces: list[bytes] = []
        while length > 0 and (piece := os.pread(part, length, at)):
            pieces.append(piece)
            at += len(piece)
            length -= len(piece)
        return b"".join(pieces)


class RecordingFiles:
    """The recordings below one folder. No name in a path ever comes from a user but an id, which must be a UUID."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def part(self, recording: str, part: int) -> Path:
        """Where the engine is to write this part (from 1); makes the folder. What fails there, the engine reports."""
        assert _ID.fullmatch(recording), recording
        assert part >= 1
        folder = self._folder / recording
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{part}.wav"

    def open(self, recording: str) -> OpenRecording | None:
        """The recording as it is now; None if no part has been begun, it was removed, or this is no id.

        Raises `OSError` if the files are there and can't be read.
        """
        opened: list[int] = []
        try:
            for path in self._parts(recording)[:PARTS_MAX]:
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            for part in opened:
                os.close(part)
            if isinstance(error, FileNotFoundError):
                return None  # removed at this moment
            raise
        return OpenRecording(opened) if opened else None

    def duration_ms(self, recording: str) -> int:
        """Length of all that is there of it; 0 also for what can't be read."""
        try:
            recorded = self.open(recording)
        except OSError:
            return 0
        if recorded is None:
            return 0
        try:
            return recorded.duration_ms
        finally:
            recorded.close()

    def remove(self, recording: str) -> None:
        """Deletes all of its parts; nothing happens if there are none. Raises `OSError` if the disk does not let it."""
        assert _ID.fullmatch(recording), recording
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder / recording)

    def ids(self) -> list[str]:
        """Of all recordings that have a folder, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name))

    def is_empty(self, recording: str) -> bool:
        """No part has been begun."""
        return not self._parts(recording)

    def _parts(self, recording: str) -> list[Path]:
        if not _ID.fullmatch(recording):
            return []
        try:
            found = [path for path in (self._folder / recording).iterdir() if _PART.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda path: int(path.stem))
