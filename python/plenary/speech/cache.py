"""What was spoken once, on disk and in memory, by the hash of what was asked for.

A cache in the strict sense: all of it can be deleted at any time. A file is written beside its place and moved there,
so a name never stands for half a sound; one that is damaged all the same counts as missing. The least recently used
goes first when there is too much, on disk (by the files' times) as in memory. Not for two processes at once.
"""

import contextlib
import os
from collections import OrderedDict
from pathlib import Path

from .errors import AudioMalformed
from .sound import RATE, Sound
from .wav import parse, write

DISK_MAX_BYTES = 512 * 1024 * 1024
"""Nine hours of sound."""

MEMORY_MAX_BYTES = 32 * 1024 * 1024
"""Half an hour of sound: the greetings of today."""

_HEADER = 44
_UNFINISHED = ".part"


class SoundCache:
    """Blocking file work, some milliseconds at most: call it from a thread, one call at a time."""

    def __init__(self, folder: Path, disk_max: int = DISK_MAX_BYTES, memory_max: int = MEMORY_MAX_BYTES) -> None:
        """Makes the folder if need be; goes on with what is in it. Raises `OSError`."""
        self._folder = folder
        self._disk_max = disk_max
        self._memory_max = memory_max
        self._sizes: OrderedDict[str, int] = OrderedDict()
        """Of the files, by key, least recently used first."""
        self._sounds: OrderedDict[str, Sound] = OrderedDict()
        self.failures = 0
        """Writes that the disk refused: the sound was played, and will be spoken again."""
        folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[float, str, int]] = []
        for path in folder.iterdir():
            if path.suffix == _UNFINISHED:
                path.unlink(missing_ok=True)
            elif path.suffix == ".wav":
                about = path.stat()
                found.append((about.st_mtime, path.stem, about.st_size))
        for _, key, size in sorted(found):
            self._sizes[key] = size
        self._shrink()

    @property
    def disk_bytes(self) -> int:
        return sum(self._sizes.values())

    @property
    def memory_bytes(self) -> int:
        return sum(len(sound.pcm) for sound in self._sounds.values())

    def get(self, key: str) -> Sound | None:
        """The sound under `key` (a hash in hexadecimal), None if there is none."""
        sound = self._sounds.get(key)
        if sound is None:
            sound = self._read(key)
            if sound is None:
                return None
            self._remember(key, sound)
        if key in self._sounds:
            self._sounds.move_to_end(key)
        if key in self._sizes:
            self._sizes.move_to_end(key)
            with contextlib.suppress(OSError):
                os.utime(self._path(key))
        return sound

    def put(self, key: str, sound: Sound) -> None:
        """Keeps the sound. A disk that refuses is counted in `failures`, no more: nothing is lost but time."""
        self._remember(key, sound)
        path = self._path(key)
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            unfinished.write_bytes(write(sound))
            unfinished.replace(path)
        except OSError:
            self.failures += 1
            with contextlib.suppress(OSError):
                unfinished.unlink()
            return
        self._sizes[key] = _HEADER + len(sound.pcm)
        self._sizes.move_to_end(key)
        self._shrink()

    def _path(self, key: str) -> Path:
        assert key.isalnum(), "keys are hashes"
        return self._folder / f"{key}.wav"

    def _read(self, key: str) -> Sound | None:
        if key not in self._sizes:
            return None
        path = self._path(key)
        try:
            file = path.read_bytes()
            sound = Sound(RATE, parse(file).data)
            if file == write(sound):
                return sound
        except (OSError, AudioMalformed):
            pass
        self._sizes.pop(key, None)
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def _remember(self, key: str, sound: Sound) -> None:
        self._sounds[key] = sound
        self._sounds.move_to_end(key)
        while self._sounds and self.memory_bytes > self._memory_max:
            self._sounds.popitem(last=False)

    def _shrink(self) -> None:
        while self._sizes and self.disk_bytes > self._disk_max:
            key, _ = self._sizes.popitem(last=False)
            with contextlib.suppress(OSError):
                self._path(key).unlink()
