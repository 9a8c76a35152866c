"""Recorded speech to send through networks: prompts of Debian's packages, joined to clips of eight seconds and more."""

import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

Sound = NDArray[np.float64]

ALSA = Path("/usr/share/sounds/alsa")
ASTERISK = Path("/usr/share/asterisk/sounds")

# Speakers of asterisk-core-sounds-*-g722: 16 kHz, women and men, five languages.
SPEAKERS = ["en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU"]
# They take 94 MB, so that setup leaves them out.
PACKAGES = " ".join(f"asterisk-core-sounds-{name[:2]}-g722" for name in SPEAKERS)
CLIP_S = 8.0
PAUSE_S = 0.3
# As ITU-T P.56 has it, nearly: root mean square of what isn't silence, full scale being 1.
LEVEL = 10 ** (-26 / 20)


class NoSpeech(Exception):
    """The recordings are not installed."""


@dataclass(frozen=True)
class Clip:
    """A speaker's speech at 16 kHz, full scale being 1: first some to get used to, then what is scored."""

    name: str
    before: Sound
    scored: Sound


def clips(impair: Path, scratch: Path, per_speaker: int) -> list[Clip]:
    """Clips of all speakers that are installed; `impair` decodes G.722."""
    found = [clip for speaker in SPEAKERS for clip in _of_speaker(speaker, impair, scratch, per_speaker)]
    if (ALSA / "Front_Center.wav").exists():
        words = [_wav(path) for path in sorted(ALSA.glob("*_*.wav"))]
        found.append(Clip("alsa", _joined(words[:3]), _joined(words)))
    if not found:
        raise NoSpeech(f"no recorded speech: apt-get install alsa-utils {PACKAGES}")
    return found


def speakers_missing() -> int:
    return sum(not (ASTERISK / speaker).exists() for speaker in SPEAKERS)


def at_rate(sound: Sound, rate: int) -> bytes:
    """16-bit samples, as the example reads them."""
    if rate == 8_000:
        sound = resample_poly(sound, 1, 2)
    return np.clip(np.round(sound * 32_768), -32_768, 32_767).astype("<i2").tobytes()


def _of_speaker(speaker: str, impair: Path, scratch: Path, count: int) -> list[Clip]:
    # Sentences, not single words, and as many as are asked for, spread over the alphabet.
    files = [path for path in sorted((ASTERISK / speaker).glob("*.g722")) if 16_000 < path.stat().st_size < 48_000]
    if len(files) < 8 * (count + 1):
        return []
    pieces: list[list[Sound]] = []
    for first in range(count + 1):
        piece: list[Sound] = []
        for path in files[first :: count + 1]:
            piece.append(_g722(path, impair, scratch))
            if sum(map(len, piece)) >= CLIP_S * 16_000:
                break
        pieces.append(piece)
    before = _joined(pieces.pop())[: 4 * 16_000]
    return [Clip(f"{speaker}-{n}", before, _joined(piece)) for n, piece in enumerate(pieces)]


def _g722(path: Path, impair: Path, scratch: Path) -> Sound:
    to = scratch / "decoded.raw"
    subprocess.run([impair], input=f"decode\tG722\t{path}\t{to}\n", text=True, check=True, capture_output=True)
    return np.fromfile(to, dtype="<i2").astype(np.float64) / 32_768


def _wav(path: Path) -> Sound:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2), path
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return resample_poly(pcm.astype(np.float64) / 32_768, 1, 3)


def _joined(pieces: list[Sound]) -> Sound:
    pause = np.zeros(int(PAUSE_S * 16_000))
    sound = np.concatenate([part for piece in pieces for part in (pause, piece)] + [pause])
    loud = sound[np.abs(sound) > 0.01]
    return sound * (LEVEL / np.sqrt(np.mean(loud**2)))
