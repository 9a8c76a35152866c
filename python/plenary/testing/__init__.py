"""What tests of Plenary, and of applications that stand on it, are made of.

`Phone` is a virtual SIP phone on real sockets, `Voice` what it says and hears; `tone`, `tones_in` and their like make
sound and say what is in it. `Clock` and `Network` are a clock that only the test moves and a lossy network, for the
sans-I/O parts. `engine` runs a media engine and speaks its messages; `coroutines` lets pytest run coroutines.
"""

from .clock import Clock
from .network import Network, Path
from .phone import CallRefused, Phone
from .rtp import Heard, Reception
from .tones import Pcm, level_dbfs, mixed, onset_s, silence, tone, tone_level_dbfs, tones_in
from .voice import NotInCall, PhoneError, Voice

__all__ = [
    "CallRefused",
    "Clock",
    "Heard",
    "Network",
    "NotInCall",
    "Path",
    "Pcm",
    "Phone",
    "PhoneError",
    "Reception",
    "Voice",
    "level_dbfs",
    "mixed",
    "onset_s",
    "silence",
    "tone",
    "tone_level_dbfs",
    "tones_in",
]
