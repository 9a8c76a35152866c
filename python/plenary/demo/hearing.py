"""Was this sound in that one? Told by cross-correlation, from what a caller said and what another received.

First the place is looked for at a thousand values a second: few enough for plain Python, and enough to tell one
recording from another. There the two are laid upon each other to the sample.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import log10
from operator import mul

RATE_HZ = 8000
STEP = 8
"""Samples that become one value: 8 kHz to 1 kHz."""
HEARD_ABOVE = 0.5
"""Gain from which a voice counts as heard: half as loud as it was said. The mixer gives 1."""
UNHEARD_BELOW = 0.2
"""Gain below which a voice counts as not there: what different speech has in common by chance."""


@dataclass(frozen=True)
class Match:
    """The best place for one sound in another."""

    gain: float
    """How loud it is there: 1 as said, 0 absent (least squares)."""
    correlation: float
    """-1 to 1: how much of what is heard there is this sound."""
    at_ms: int
    """Where it begins."""

    @property
    def is_heard(self) -> bool:
        return self.gain >= HEARD_ABOVE

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
    energy = sum(map(mul, needle, needle))
    if places < 1 or not energy:
        return Match(0.0, 0.0, 0)
    # The hay is not copied for each place: `map` stops with the needle, so a view of its rest is enough.
    view = memoryview(hay)
    _, place = max((sum(map(mul, needle, view[place:])), place) for place in range(places))
    return max(
        (_laid_upon(said, heard, at) for at in range(max(0, (place - 1) * STEP), (place + 1) * STEP + 1)),
        key=lambda match: match.gain,
    )


def _laid_upon(said: array[int], heard: array[int], at: int) -> Match:
    there = memoryview(heard)[at : at + len(said)]
    both = sum(map(mul, said, there))
    energy, energy_there = sum(map(mul, said, said)), sum(map(mul, there, there))
    correlation = both / (energy * energy_there) ** 0.5 if energy_there else 0.0
    return Match(both / energy, correlation, at * 1000 // RATE_HZ)


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
