"""Tones and voices, measured without any library."""

import math
from array import array

from plenary.speech.sound import Sound, samples_of


def tone(hz: float, seconds: float = 0.5, rate: int = 16000, peak: float = 0.5) -> bytes:
    """A sine as signed 16 bit samples."""
    return array(
        "h", (round(32767 * peak * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(seconds * rate)))
    ).tobytes()


def level_of(sound: Sound, hz: float) -> float:
    """dBFS of the part of the sound at this frequency (Goertzel), where a full sine has -3."""
    samples = samples_of(sound.pcm)
    factor = 2 * math.cos(2 * math.pi * hz / sound.rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample / 32768 + factor * last - before
    power = (before * before + last * last - factor * before * last) * 2 / len(samples) ** 2
    return 10 * math.log10(power + 1e-20)


def rms_dbfs(sound: Sound) -> float:
    samples = samples_of(sound.pcm)
    return 10 * math.log10(sum(sample * sample for sample in samples) / len(samples) / 32768**2 + 1e-20)


def peak_dbfs(sound: Sound) -> float:
    samples = samples_of(sound.pcm)
    return 20 * math.log10(max(max(samples), -min(samples)) / 32768)


def silence_at_ends_ms(sound: Sound, dbfs: float = -50.0) -> tuple[float, float]:
    samples = samples_of(sound.pcm)
    loud = [n for n, sample in enumerate(samples) if abs(sample) > 32768 * 10 ** (dbfs / 20)]
    return loud[0] * 1000 / sound.rate, (len(samples) - 1 - loud[-1]) * 1000 / sound.rate


def pitch_hz(sound: Sound) -> float:
    """Median pitch of the voiced parts, by autocorrelation between 70 and 350 Hz."""
    samples = samples_of(sound.pcm)
    size = sound.rate * 60 // 1000
    found: list[float] = []
    for start in range(0, len(samples) - 2 * size, size):
        part = samples[start : start + 2 * size]
        energy = sum(sample * sample for sample in part[:size])
        if energy / size < 1000**2:
            continue
        lags = {
            lag: sum(a * b for a, b in zip(part[:size], part[lag:], strict=False))
            for lag in range(sound.rate // 350, sound.rate // 70)
        }
        best = max(lags, key=lambda lag: lags[lag])
        found.append(sound.rate / best)
    return sorted(found)[len(found) // 2]
