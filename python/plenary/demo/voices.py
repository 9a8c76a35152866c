"""Recorded human speech that Debian has, as 8 kHz sound for the callers of the demo."""

from __future__ import annotations

import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

RATE_HZ = 8000

ASTERISK = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
ALSA = Path("/usr/share/sounds/alsa")

PACKAGES = "alsa-utils asterisk-core-sounds-en-wav"


class NoVoices(Exception):
    """The recorded speech is not on this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no recorded speech ({path}): apt-get install {PACKAGES}")


@dataclass(frozen=True)
class Voice:
    """Someone who calls, and what he says."""

    name: str
    files: tuple[Path, ...]

    def speech(self) -> array[int]:
        """All that he says, one after the other: 8 kHz, 16 bit. Raises NoVoices."""
        said = array("h")
        for file in self.files:
            said.extend(_load(file))
        return said


VOICES = (
    Voice("ann", (ASTERISK / "demo-abouttotry.wav",)),
    Voice("bob", (ASTERISK / "demo-congrats.wav",)),
    Voice("eve", tuple(ALSA / f"{a}_{b}.wav" for a, b in (
        ("Front", "Center"), ("Rear", "Left"), ("Side", "Right"), ("Front", "Right"), ("Rear", "Center"),
    ))),
)  # fmt: skip


def _load(file: Path) -> array[int]:
    if not file.exists():
        raise NoVoices(file)
    with wave.open(str(file), "rb") as reader:
        assert reader.getsampwidth() == 2, file
        pcm = array("h", reader.readframes(reader.getnframes()))
        step, remainder = divmod(reader.getframerate() * reader.getnchannels(), RATE_HZ)
        assert remainder == 0, file
    # Mean over each step: a low pass that is good enough to say who speaks.
    return pcm if step == 1 else array("h", [sum(pcm[i : i + step]) // step for i in range(0, len(pcm) - step, step)])
