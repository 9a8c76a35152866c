"""G.711, from linear 16 bit samples and back: mu-law (PCMU) and A-law (PCMA), by tables."""

import functools
from array import array

from .tones import Pcm

_MULAW_BIAS = 132
_MULAW_CLIP = 32635
_ALAW_TOGGLED = 0x55
"""G.711 has every other bit of an A-law code inverted."""


def decode(codec: str, payload: bytes) -> Pcm:
    """`codec` is `PCMU` or `PCMA`."""
    table = _decoded(codec)
    return array("h", [table[code] for code in payload])


def encode(codec: str, sound: Pcm) -> bytes:
    table = _encoded(codec)
    return bytes([table[sample >> 2] for sample in sound])


@functools.cache
def _decoded(codec: str) -> tuple[int, ...]:
    one = {"PCMU": _mulaw_sample, "PCMA": _alaw_sample}[codec]
    return tuple(one(code) for code in range(256))


@functools.cache
def _encoded(codec: str) -> bytes:
    """Codes of all samples in steps of four, finer than both laws; negative indices are negative samples."""
    one = {"PCMU": _mulaw_code, "PCMA": _alaw_code}[codec]
    return bytes(one(sample) for sample in [*range(0, 32768, 4), *range(-32768, 0, 4)])


def _mulaw_sample(code: int) -> int:
    code ^= 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((step << 3) + _MULAW_BIAS << segment) - _MULAW_BIAS
    return -magnitude if code & 0x80 else magnitude


def _mulaw_code(sample: int) -> int:
    magnitude = min(abs(sample), _MULAW_CLIP) + _MULAW_BIAS
    segment = magnitude.bit_length() - 8
    step = magnitude >> segment + 3 & 15
    return ((0x80 if sample < 0 else 0) | segment << 4 | step) ^ 0xFF


def _alaw_sample(code: int) -> int:
    code ^= _ALAW_TOGGLED
    segment, step = code >> 4 & 7, code & 15
    magnitude = (step << 4) + 8 if segment == 0 else (step << 4) + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def _alaw_code(sample: int) -> int:
    magnitude = sample if sample >= 0 else ~sample
    segment = max(0, magnitude.bit_length() - 8)
    step = magnitude >> max(4, segment + 3) & 15
    return ((0x80 if sample >= 0 else 0) | segment << 4 | step) ^ _ALAW_TOGGLED
