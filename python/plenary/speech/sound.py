"""Sound in memory, and the few things done to it: level, silence at the ends."""

import math
import sys
from array import array
from operator import mul
from typing import Final

import msgspec

RATE: Final = 16_000
"""Hz, of all prompts: more than a telephone carries, and as much as a voice needs."""

SOUND_MAX_S = 480
"""The longest prompt: 8 minutes, 14.6 MiB. It goes to the engine in one message of at most 16 MiB."""

TARGET_RMS_DBFS = -20.0
"""Level of speech: as loud as callers with a usual phone."""

PEAK_DBFS = -3.0
"""No sample louder than this: G.711 and mixing need the room."""

SILENT_DBFS = -50.0
"""Quieter than this, after levelling, is silence."""

KEEP_SILENCE_MS = 60
"""What is left of the silence at either end, so that soft consonants are not cut."""

_BLOCK_MS = 10
_QUIET_DB = 35.0
"""Blocks this much below the loudest are pauses: they do not count for the level."""


class Sound(msgspec.Struct, frozen=True):
    """Mono sound. `pcm`: signed 16 bit little-endian samples, `rate` of them a second."""

    rate: int
    pcm: bytes

    @property
    def duration_ms(self) -> int:
        return len(self.pcm) // 2 * 1000 // self.rate


def samples_of(pcm: bytes) -> "array[int]":
    """Samples as numbers. An odd byte at the end is left out."""
    samples = array("h", pcm[: len(pcm) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def bytes_of(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def _energies(samples: "array[int]", block: int) -> list[float]:
    """Mean square of each block of samples; the last may be short."""
    return [
        sum(map(mul, part, part)) / len(part)
        for part in (samples[start : start + block] for start in range(0, len(samples), block))
    ]


def _full_scale(dbfs: float) -> float:
    return 32768.0 * 10.0 ** (dbfs / 20.0)


def levelled(sound: Sound) -> Sound:
    """Speech at `TARGET_RMS_DBFS` (pauses left out of account), or less where peaks would pass `PEAK_DBFS`.

    Silence stays silence.
    """
    samples = samples_of(sound.pcm)
    energies = _energies(samples, sound.rate * _BLOCK_MS // 1000)
    loudest = max(energies, default=0.0)
    if loudest == 0.0:
        return sound
    spoken = [energy for energy in energies if energy >= loudest * 10.0 ** (-_QUIET_DB / 10.0)]
    rms = math.sqrt(sum(spoken) / len(spoken))
    peak = max(max(samples), -min(samples))
    gain = min(_full_scale(TARGET_RMS_DBFS) / rms, _full_scale(PEAK_DBFS) / peak)
    return Sound(sound.rate, bytes_of(array("h", [int(sample * gain) for sample in samples])))


def trimmed(sound: Sound) -> Sound:
    """Without the silence at both ends but for `KEEP_SILENCE_MS`. Nothing but silence: nothing is left."""
    samples = samples_of(sound.pcm)
    block = sound.rate * _BLOCK_MS // 1000
    floor = _full_scale(SILENT_DBFS) ** 2
    loud = [index for index, energy in enumerate(_energies(samples, block)) if energy > floor]
    if not loud:
        return Sound(sound.rate, b"")
    keep = sound.rate * KEEP_SILENCE_MS // 1000
    start = max(0, loud[0] * block - keep)
    end = (loud[-1] + 1) * block + keep
    return Sound(sound.rate, bytes_of(samples[start:end]))
