"""Was this sound in that one? Told by cross-correlation, from what a caller said and what another received.

First the place is looked for at a thousand values a second: few enough for plain Python, and enough to tell one
recording from another. There the two are laid upon each other to the sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from math import log10
from operator import mul
from statistics import fmean

RATE_HZ = 8000
STEP = 8
"""Samples that become one value: 8 kHz to 1 kHz."""
WINDOW_S = 0.4
"""Pieces that are laid upon each other one by one: a jitter buffer may put in or leave out a packet between two."""
SHIFT_MS = 60
"""How far a piece may be from where the whole has its best place: three packets."""
QUIET = 0.1
"""Share of the mean power below which a piece says nothing: a pause."""
HEARD_ABOVE = 0.8
"""Gain from which a voice counts as heard. The mixer gives 1; G.711 and other voices move it by hundredths, a packet
that the sending phone was late with by a tenth."""
UNHEARD_BELOW = 0.2
"""Gain below which a voice counts as not there: what different speech has in common by chance."""


@dataclass(frozen=True)
class Match:
    """The best place for one sound in another."""

    gain: float
    """How loud all of it is there at once: 1 as said, 0 absent (least squares)."""
    piecewise_gain: float
    """The same piece by piece, each where it fits best; the mean."""
    correlation: float
    """-1 to 1: how much of what is heard there is this sound."""
    at_ms: int
    """Where it begins."""

    @property
    def is_heard(self) -> bool:
        return self.piecewise_gain >= HEARD_ABOVE

    @property
    def is_absent(self) -> bool:
        return self.gain < UNHEARD_BELOW


def find(said: array[int], heard: array[int], window_ms: int | None = None) -> Match:
    """Looks for `said` in `heard` (both 8 kHz, 16 bit), beginning within the first `window_ms` of it.

    None: anywhere that all of `said` fits. Silence is never found.
    """
    needle, hay = _slow(said), _slow(heard)
    places = len(hay) - len(needle) + 1
    if window_ms is not None:
        places = min(places, window_ms * RATE_HZ // STEP // 1000 + 1)
    if places < 1 or not any(needle):
        return Match(0.0, 0.0, 0.0, 0)
    place = _best_place(needle, hay, range(places))
    at = max(_around(place), key=lambda at: _gain(said, heard, at))
    pieces = [
        max(
            _gain(piece, heard, one)
            for near in (expected, _best_place(_slow(piece), hay, nearby))
            for one in _around(near)
        )
        for piece, expected, nearby in _pieces(said, place, len(hay))
    ]
    there = memoryview(heard)[at : at + len(said)]
    energy, energy_there = sum(map(mul, said, said)), sum(map(mul, there, there))
    gain = _gain(said, heard, at)
    correlation = gain * (energy / energy_there) ** 0.5 if energy_there else 0.0
    return Match(gain, fmean(pieces) if pieces else 0.0, correlation, at * 1000 // RATE_HZ)


def _pieces(said: array[int], place: int, hay_length: int) -> Iterator[tuple[array[int], int, range]]:
    """Pieces of what was said that are no pauses, where in the hay each should be, and where it may be."""
    size, shift = int(WINDOW_S * RATE_HZ), SHIFT_MS * RATE_HZ // STEP // 1000
    power = sum(map(mul, said, said)) / len(said)
    for first in range(0, len(said) - size + 1, size):
        piece = said[first : first + size]
        around = place + first // STEP
        nearby = range(max(0, around - shift), min(around + shift, hay_length - size // STEP) + 1)
        if nearby and sum(map(mul, piece, piece)) / size > QUIET * power:
            yield piece, around, nearby


def _best_place(needle: array[float], hay: array[float], places: range) -> int:
    # The hay is not copied for each place: `map` stops with the needle, so a view of its rest is enough.
    view = memoryview(hay)
    return max(places, key=lambda place: sum(map(mul, needle, view[place:])))


def _around(place: int) -> range:
    """Samples around a place in the slow sound."""
    return range(max(0, (place - 1) * STEP), (place + 1) * STEP + 1)


def _gain(said: array[int], heard: array[int], at: int) -> float:
    energy = sum(map(mul, said, said))
    return sum(map(mul, said, memoryview(heard)[at:])) / energy if energy else 0.0


def level_dbfs(pcm: array[int]) -> float:
    """Root mean square, 0 dBFS being a full-scale square wave; -inf for silence."""
    power = sum(map(mul, pcm, pcm)) / max(1, len(pcm))
    return 10 * log10(power / 32768**2) if power else float("-inf")


def _slow(pcm: array[int]) -> array[float]:
    """1 kHz, without offset: mean over two steps (a triangle over three), so that little folds back."""
    sums = [sum(pcm[i : i + STEP]) for i in range(0, len(pcm) - STEP + 1, STEP)]
    smooth = [(a + 2 * b + c) / (4 * STEP) for a, b, c in zip(sums, sums[1:], sums[2:], strict=False)]
    mean = sum(smooth) / len(smooth) if smooth else 0.0
    return array("d", [value - mean for value in smooth])
