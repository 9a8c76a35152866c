"""Any sound that `wav` reads, as 16 kHz mono 16 bit: the work of sox, run as a separate program.

Its resampler has a pass band of 95 % and keeps aliases below -100 dB; a text of three seconds costs about 5 ms. The
server itself never touches a sample more than once or twice, so that long prompts do not hold up the signalling.
"""

from .errors import AudioTooLarge
from .program import Program, run
from .sound import RATE, SOUND_MAX_S, Sound
from .wav import Encoding, Wav

SOX = Program("sox", "sox")

CONVERT_TIMEOUT_S = 10.0
"""For at most 8 minutes of sound: sox needs about a second on a slow machine."""

_HOW: dict[Encoding, list[str]] = {
    Encoding.PCM_U8: ["-e", "unsigned-integer", "-b", "8"],
    Encoding.PCM_S16: ["-e", "signed-integer", "-b", "16", "-L"],
    Encoding.MU_LAW: ["-e", "mu-law", "-b", "8"],
    Encoding.A_LAW: ["-e", "a-law", "-b", "8"],
}


async def to_prompt(wav: Wav) -> Sound:
    """Two channels are mixed into one. Raises `AudioTooLarge` above `SOUND_MAX_S`, and what `program.run` raises."""
    if wav.duration_ms > SOUND_MAX_S * 1000:
        raise AudioTooLarge(
            f"The sound lasts {wav.duration_ms // 1000} s, one prompt may have {SOUND_MAX_S} s: make it shorter."
        )
    if not wav.data or (wav.rate, wav.channels, wav.encoding) == (RATE, 1, Encoding.PCM_S16):
        return Sound(RATE, wav.data)
    came = ["-t", "raw", "-r", str(wav.rate), "-c", str(wav.channels), *_HOW[wav.encoding], "-"]
    goes = ["-t", "raw", "-r", str(RATE), "-c", "1", *_HOW[Encoding.PCM_S16], "-"]
    mix = ["remix", "-"] if wav.channels > 1 else []
    rate = ["rate", "-h"] if wav.rate != RATE else []
    limit = (SOUND_MAX_S + 1) * RATE * 2
    pcm = await run(SOX, ["-V1", "-D", *came, *goes, *mix, *rate], wav.data, limit=limit, timeout_s=CONVERT_TIMEOUT_S)
    return Sound(RATE, pcm[: len(pcm) & ~1])
