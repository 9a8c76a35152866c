"""Sound for tests: tones to say, and what tones are in the sound that was heard.

Pcm is mono, 16 bit, at 8 kHz unless another rate is given. Levels are in dBFS, where a sine of full scale has 0
(AES17).
"""

import functools
import math
from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

RATE_HZ = 8000
FULL_SCALE = 32767
SILENCE_DBFS = -100.0
"""Level of digital silence, instead of minus infinity."""
QUIETEST_DBFS = -45.0
"""What is below this is the noise of G.711 and of concealment, not a tone that somebody says."""

Pcm: TypeAlias = "array[int]"
"""`array("h")`: samples."""


def tone(frequency_hz: float, seconds: float, level_dbfs: float = -16.0, rate_hz: int = RATE_HZ) -> Pcm:
    """A sine that begins at a zero crossing."""
    amplitude = FULL_SCALE * 10 ** (level_dbfs / 20)
    step = 2 * math.pi * frequency_hz / rate_hz
    return array("h", [round(amplitude * math.sin(step * i)) for i in range(round(seconds * rate_hz))])


def silence(seconds: float) -> Pcm:
    return array("h", bytes(2 * round(seconds * RATE_HZ)))


def mixed(*sounds: Pcm) -> Pcm:
    """The sum, as long as the longest; saturates."""
    longest = max(map(len, sounds), default=0)
    padded = [sound + array("h", bytes(2 * (longest - len(sound)))) for sound in sounds]
    return array("h", [max(-32768, min(32767, sum(samples))) for samples in zip(*padded, strict=True)])


def level_dbfs(sound: Pcm) -> float:
    """Root mean square, `SILENCE_DBFS` for digital silence."""
    if not sound:
        return SILENCE_DBFS
    return _dbfs(math.sqrt(2 * sum(sample * sample for sample in sound) / len(sound)))


def tone_level_dbfs(sound: Pcm, frequency_hz: float, rate_hz: int = RATE_HZ) -> float:
    """How much of one frequency is in `sound` (Goertzel's algorithm under a Hann window)."""
    if len(sound) < 2:
        return SILENCE_DBFS
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / rate_hz)
    before = last = 0.0
    for sample, weight in zip(sound, _hann(len(sound)), strict=True):
        before, last = last, sample * weight + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return _dbfs(4 * math.sqrt(max(power, 0.0)) / len(sound))


def tones_in(
    sound: Pcm, among: Iterable[float], quietest_dbfs: float = QUIETEST_DBFS, range_db: float = 25.0
) -> set[float]:
    """Those frequencies of `among` that are heard: not below `quietest_dbfs`, nor `range_db` below the loudest."""
    levels = {frequency: tone_level_dbfs(sound, frequency) for frequency in among}
    least = max(quietest_dbfs, max(levels.values(), default=0.0) - range_db)
    return {frequency for frequency, level in levels.items() if level >= least}


def onset_s(sound: Pcm, threshold_dbfs: float = QUIETEST_DBFS) -> float | None:
    """When `sound` begins to be heard, in seconds from its start, to the sample; None if it never does."""
    least = FULL_SCALE * 10 ** (threshold_dbfs / 20)
    return next((i / RATE_HZ for i, sample in enumerate(sound) if abs(sample) >= least), None)


def steepest_step(sound: Pcm) -> int:
    """The largest difference of two neighbours: a click is steeper than any tone of its level."""
    return max((abs(after - before) for before, after in pairwise(sound)), default=0)


def _dbfs(amplitude: float) -> float:
    return SILENCE_DBFS if amplitude <= 0 else max(SILENCE_DBFS, 20 * math.log10(amplitude / FULL_SCALE))


@functools.lru_cache(maxsize=8)
def _hann(length: int) -> tuple[float, ...]:
    return tuple(0.5 - 0.5 * math.cos(2 * math.pi * i / (length - 1)) for i in range(length))
