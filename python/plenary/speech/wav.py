"""WAV files: what we read of others' (tolerantly), and the one kind that we write.

Read: PCM of 8 bit (unsigned) and 16 bit, mu-law and A-law, one or two channels, 8 to 48 kHz, plain or in the
extensible form. Sizes in the header may be wrong, as they are in what a program writes into a pipe: then the file's
own length counts. Unknown chunks are stepped over.
"""

import struct
from enum import StrEnum

import msgspec

from .errors import AudioMalformed
from .sound import Sound

RATES = range(8_000, 48_001)
"""Hz that we can convert."""

_MAX_CHUNKS = 1_000
"""Chunks before the sound; ordinary files have fewer than ten."""

_EXTENSIBLE = 0xFFFE


class Encoding(StrEnum):
    PCM_U8 = "unsigned 8 bit"
    PCM_S16 = "signed 16 bit little-endian"
    MU_LAW = "G.711 mu-law"
    A_LAW = "G.711 A-law"

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return 2 if self is Encoding.PCM_S16 else 1


_ENCODINGS: dict[tuple[int, int], Encoding] = {
    (1, 8): Encoding.PCM_U8,
    (1, 16): Encoding.PCM_S16,
    (6, 8): Encoding.A_LAW,
    (7, 8): Encoding.MU_LAW,
}
"""By format tag and bits of a sample."""


class Wav(msgspec.Struct, frozen=True):
    rate: int
    channels: int
    encoding: Encoding
    data: bytes
    """Whole frames (a sample of each channel)."""

    @property
    def duration_ms(self) -> int:
        return len(self.data) // (self.encoding.width * self.channels) * 1000 // self.rate


def parse(file: bytes) -> Wav:
    """Raises `AudioMalformed` for all that is not as above."""
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise AudioMalformed("This is no WAV file.")
    form: tuple[int, int, Encoding] | None = None
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(file):
            raise AudioMalformed("The WAV file ends before its sound begins.")
        name, size = file[at : at + 4], int.from_bytes(file[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            if form is None:
                raise AudioMalformed("The WAV file has sound before it says of which format.")
            rate, channels, encoding = form
            data = file[at : at + size]
            frame = encoding.width * channels
            return Wav(rate, channels, encoding, data[: len(data) - len(data) % frame])
        if name == b"fmt ":
            form = _format(file[at : at + size])
        at += size + size % 2
    raise AudioMalformed("The WAV file has too many chunks before its sound.")


def _format(chunk: bytes) -> tuple[int, int, Encoding]:
    if len(chunk) < 16:
        raise AudioMalformed("The WAV file has a format chunk that is too short.")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")  # the sub-format begins with the tag that is meant
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise AudioMalformed(
            f"The WAV file has a format that is not played here (tag {tag}, {bits} bit):"
            " save it as PCM of 16 bit, mu-law or A-law."
        )
    if channels not in (1, 2):
        raise AudioMalformed(f"The WAV file has {channels} channels: save it with one or two.")
    if rate not in RATES:
        raise AudioMalformed(f"The WAV file has a rate of {rate} Hz: save it with 8000 to 48000 Hz.")
    return rate, channels, encoding


def write(sound: Sound) -> bytes:
    """A WAV file of it."""
    return (
        struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + len(sound.pcm), b"WAVE"),
            *(b"fmt ", 16, 1, 1, sound.rate, sound.rate * 2, 2, 16),
            *(b"data", len(sound.pcm)),
        )
        + sound.pcm
    )
