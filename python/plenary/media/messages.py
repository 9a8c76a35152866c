"""What the server and the media engine say to each other: the same maps as in `rust/media/src/messages.rs`.

A frame is a big-endian u32 length and that many bytes of msgpack: an array of messages, each a map with `type`.
Down go commands, an array of which the engine does in order and between two ticks; only after one that may make a
browser's keys (a page's leg, an offer for a leg) a tick that is due comes first. Up come the welcome and events;
events have `seq`: 1, 2, 3 ... within one life of the engine. Ids are strings of 1 to 64 characters, chosen by the
server.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from .errors import FrameTooLarge, MalformedFrame

PROTOCOL_VERSION = 2
FRAME_BYTES_MAX = 16 << 20
"""Longest frame that either side takes: some eight minutes of prompt."""
RATE_HZ = 8000
"""Of what names no other: the engine takes 8, 16 and 48 kHz."""
SAMPLE_BYTES = 2
CODECS = ("opus", "G722", "PCMU", "PCMA")
"""Encoding names (RFC 7587, RFC 3551) of what the engine speaks, in its order of preference."""

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
"""What the engine may do on a leg, seen from it (RFC 3264 section 5.1)."""
Transport = Literal["rtp", "webrtc"]
"""How a leg's packets travel: as a phone's (RTP, SRTP by SDES, DTLS-SRTP), or as a browser's (ICE and DTLS-SRTP)."""
Encryption = Literal["never", "optional", "required"]
"""What is done about a phone that offers SRTP, and about one that does not."""
LegRefusal = Literal[
    "no_common_codec",
    "malformed_sdp",
    "no_ports",
    "unknown_leg",
    "wrong_state",
    "too_many_legs",
    "encryption_required",
    "encryption_refused",
    "webrtc_off",
]
PlayEnd = Literal["finished", "stopped", "unknown_prompt", "leg_closed"]
RecordingEnd = Literal["stopped", "duration", "silence", "room_closed", "leg_closed", "disk_error", "shutdown"]


def _tag(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=_tag):
    """One map of a frame; `type` is the class's name in snake case."""


# --- Commands, down --------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """First of each connection. `engine` and `acked` are what the server knows; "" and 0 acknowledge nothing."""

    version: int
    engine: str
    acked: int


class Ack(Message, frozen=True, kw_only=True):
    """The server has committed everything up to `seq`; the engine may forget it."""

    seq: int


class Shutdown(Message, frozen=True, kw_only=True):
    """Close the recordings and exit."""


class OpenLeg(Message, frozen=True, kw_only=True):
    """With the peer's offer: answered by `LegAnswered`. Without: by `LegOffered`. Or by `LegRefused`."""

    leg: str
    sdp: str | None = None
    like: str | None = None
    """Without an offer: the last SDP that an engine before this one made for the call. Ours goes on from there."""
    keys: str | None = None
    """With `like`: what that engine said last in `LegKeyed`."""
    room_hint: str | None = None
    transport: Transport = "rtp"
    srtp: Encryption = "optional"
    codecs: Sequence[str] = CODECS
    """Encoding names, in order of preference."""
    noise_suppression: bool = False
    normaliser: bool = False
    voice_activity: bool = True
    limiter: bool = True


class ApplySdp(Message, frozen=True, kw_only=True):
    """The peer's new offer: `LegAnswered`. Its answer to ours: `LegApplied`. If bad, `LegRefused`, and all stays.

    On a leg of WebRTC an offer restarts ICE, or, with another fingerprint, puts a new peer in the place of the old one.
    """

    leg: str
    kind: Literal["offer", "answer"]
    sdp: str


class OfferLeg(Message, frozen=True, kw_only=True):
    leg: str


class CloseLeg(Message, frozen=True, kw_only=True):
    leg: str


class OpenRoom(Message, frozen=True, kw_only=True):
    room: str


class CloseRoom(Message, frozen=True, kw_only=True):
    room: str


class Join(Message, frozen=True, kw_only=True):
    leg: str
    room: str


class Leave(Message, frozen=True, kw_only=True):
    leg: str


class SetGain(Message, frozen=True, kw_only=True):
    """How loud `listener` hears `speaker` (None: everyone that is not named otherwise), 0 to 4."""

    room: str
    listener: str
    speaker: str | None = None
    gain: float


class SetMuted(Message, frozen=True, kw_only=True):
    """Whether nobody in its room hears what the leg says. A new leg is not muted."""

    leg: str
    muted: bool


class SetProcessing(Message, frozen=True, kw_only=True):
    """What is done to what the leg says before it is mixed, and to what it hears."""

    leg: str
    noise_suppression: bool
    normaliser: bool
    voice_activity: bool = True
    """What is no voice is not mixed, and `Talking` is told."""
    limiter: bool = True
    """Of what it hears: without it, what is above full scale is cut."""


class LoadPrompt(Message, frozen=True, kw_only=True):
    """`pcm` is mono, 16 bit little-endian; `prompt` names its content."""

    prompt: str
    rate: int = RATE_HZ
    pcm: bytes


class Tone(msgspec.Struct, frozen=True, kw_only=True):
    frequency_hz: float
    duration_ms: int
    level_dbfs: float


class Play(Message, frozen=True, kw_only=True):
    """Exactly one of `prompt` and `tone`, in place of what the leg hears of its room; queues behind others."""

    leg: str
    play: str
    prompt: str | None = None
    tone: Tone | None = None
    loop: bool = False


class StopPlay(Message, frozen=True, kw_only=True):
    leg: str
    play: str


class SendDigits(Message, frozen=True, kw_only=True):
    """RFC 4733 to the peer; `DigitsSent` follows."""

    leg: str
    digits: str
    duration_ms: int = 100
    pause_ms: int = 100


class StartRecording(Message, frozen=True, kw_only=True):
    """Exactly one of `room` and `leg`. Limits of 0 mean none."""

    recording: str
    room: str | None = None
    leg: str | None = None
    path: str
    rate: int = RATE_HZ
    max_duration_ms: int = 0
    end_of_silence_ms: int = 0


class StopRecording(Message, frozen=True, kw_only=True):
    recording: str


class GetStats(Message, frozen=True, kw_only=True):
    request: str


Command = (
    Hello | Ack | Shutdown | OpenLeg | ApplySdp | OfferLeg | CloseLeg | OpenRoom | CloseRoom | Join | Leave | SetGain
    | SetMuted | SetProcessing | LoadPrompt | Play | StopPlay | SendDigits | StartRecording | StopRecording | GetStats
)  # fmt: skip


# --- Welcome and events, up ------------------------------------------------------------------------------------------


class LegSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    leg: str
    room: str | None
    direction: Direction
    negotiated: bool
    plays: list[str]
    muted: bool = False
    connected: bool = False
    """The keys of its SRTP are agreed (DTLS), and ICE has found a path."""
    keys: str | None = None
    """As in `LegKeyed`."""


class RecordingSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    recording: str
    path: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that the engine holds."""

    legs: list[LegSnapshot] = []
    rooms: list[str] = []
    recordings: list[RecordingSnapshot] = []
    prompts: list[str] = []


class Welcome(Message, frozen=True, kw_only=True):
    """Answers `Hello`. The unacknowledged events follow, the newest of which has `last_seq` (0: there is none)."""

    version: int
    engine: str
    """Random, new with each start of the process."""
    snapshot: Snapshot
    last_seq: int


class LegStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the leg was opened, and gauges."""

    leg: str
    room: str | None = None
    packets_received: int = 0
    packets_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    concealed_ms: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    buffer_ms: float | None = None
    """How long its packets wait in the jitter buffer, beyond the wait for the tick. None until one was played."""
    tick_wait_ms: float | None = None
    """From a packet's arrival to the tick that mixes it. None until one was played."""
    mix_us: float = 0.0
    send_us: float = 0.0
    strangers: int = 0
    """Packets dropped because they did not come from the peer."""
    malformed: int = 0
    level_dbfs: float = 0.0
    talking: bool = False
    codec: str | None = None
    """Encoding name of what it is sent; None before one is agreed on."""
    heard_codec: str | None = None
    """Of what it sends, which may be another one that it has offered. None until a packet was played."""
    sample_rate_hz: int | None = None
    transport: Literal["rtp", "srtp", "dtls", "webrtc"] | None = None
    stretched_ms: int = 0
    """Sound that was played slower or faster than it was said."""
    fec_ms: int = 0
    """Lost sound that was brought back by the codec's forward error correction."""
    starved: int = 0
    """Ticks without sound of it while it was saying something."""
    target_ms: float | None = None
    """The delay that the jitter buffer wants to have."""
    decode_us: float | None = None
    encode_us: float | None = None
    """None while what it hears is encoded for others as well, by one of them."""
    loss_percent: float | None = None
    """What was lost of the peer's packets in the last seconds."""
    loss_out_percent: float | None = None
    """What the peer lost of ours in the last seconds, by its own report: many phones send none."""
    noise_suppression: bool = False
    normaliser: bool = False
    voice_activity: bool = True
    limiter: bool = True
    gain_db: float | None = None
    """What the normaliser adds now."""


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    legs: int = 0
    rooms: int = 0
    recordings: int = 0
    ticks: int = 0
    late_ticks: int = 0
    tick_us_p50: float = 0.0
    tick_us_p99: float = 0.0
    prompts_bytes: int = 0
    threads: int = 0
    decodes: int = 0
    encodes: int = 0
    """Frames that were encoded; each may have been sent to many."""
    shared_encodes: int = 0
    """Frames that were sent without being encoded once more."""
    starved: int = 0
    unsent: int = 0
    """Packets for listeners of large rooms that there was no time to send, and RTCP reports whose port is taken."""


class EngineEvent(Message, frozen=True, kw_only=True):
    """Numbered within the engine's life, from 1, in order; talk and stats may be missing after a long absence."""

    seq: int


class LegAnswered(EngineEvent, frozen=True, kw_only=True):
    leg: str
    sdp: str
    direction: Direction


class LegOffered(EngineEvent, frozen=True, kw_only=True):
    leg: str
    sdp: str


class LegApplied(EngineEvent, frozen=True, kw_only=True):
    leg: str
    direction: Direction


class LegRefused(EngineEvent, frozen=True, kw_only=True):
    leg: str
    reason: LegRefusal
    detail: str


class LegClosed(EngineEvent, frozen=True, kw_only=True):
    leg: str
    stats: LegStats


class LegJoined(EngineEvent, frozen=True, kw_only=True):
    leg: str
    room: str


class LegConnected(EngineEvent, frozen=True, kw_only=True):
    """The keys are agreed with the peer (and ICE is through): now it hears us. Again after each restart of ICE."""

    leg: str


class LegKeyed(EngineEvent, frozen=True, kw_only=True):
    """A handshake with a phone has given `keys`: for an engine that goes on after this one, for nobody else's eyes."""

    leg: str
    keys: str


class Digit(EngineEvent, frozen=True, kw_only=True):
    leg: str
    digit: str
    duration_ms: int


class Talking(EngineEvent, frozen=True, kw_only=True):
    leg: str
    talking: bool


class Inactive(EngineEvent, frozen=True, kw_only=True):
    """Nothing came from the peer for too long; once, until packets come again."""

    leg: str
    silent_ms: int


class PlayEnded(EngineEvent, frozen=True, kw_only=True):
    leg: str
    play: str
    reason: PlayEnd


class DigitsSent(EngineEvent, frozen=True, kw_only=True):
    leg: str


class RecordingStarted(EngineEvent, frozen=True, kw_only=True):
    """The first sound is written; an empty room is waited for."""

    recording: str


class RecordingEnded(EngineEvent, frozen=True, kw_only=True):
    recording: str
    reason: RecordingEnd
    duration_ms: int
    bytes: int
    detail: str


class Stats(EngineEvent, frozen=True, kw_only=True):
    request: str
    legs: list[LegStats]
    engine: EngineStats


class CommandFailed(EngineEvent, frozen=True, kw_only=True):
    """`subject` is the id that the command is about; both are empty for a malformed frame."""

    command: str
    subject: str
    reason: str


Event = (
    LegAnswered | LegOffered | LegApplied | LegRefused | LegClosed | LegJoined | LegConnected | LegKeyed | Digit
    | Talking | Inactive | PlayEnded | DigitsSent | RecordingStarted | RecordingEnded | Stats | CommandFailed
)  # fmt: skip
Up = Welcome | Event


# --- Frames ----------------------------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_up = msgspec.msgpack.Decoder(list[Up])
_down = msgspec.msgpack.Decoder(list[Command])


def frame(messages: Iterable[Message]) -> bytes:
    """One frame that holds `messages`, which the engine does in order. Raises FrameTooLarge."""
    body = _encoder.encode(list(messages))
    if len(body) > FRAME_BYTES_MAX:
        raise FrameTooLarge(f"{len(body)} bytes in one frame, {FRAME_BYTES_MAX} are allowed; send fewer at a time")
    return len(body).to_bytes(4, "big") + body


def frames(messages: Sequence[Message]) -> bytes:
    """As few frames as hold `messages`, in their order. Raises FrameTooLarge if one alone is too large."""
    try:
        return frame(messages)
    except FrameTooLarge:
        if len(messages) == 1:
            raise
    half = len(messages) // 2
    return frames(messages[:half]) + frames(messages[half:])


def decode_up(body: bytes) -> list[Up]:
    """What the engine said in one frame. Raises MalformedFrame."""
    try:
        return _up.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame(f"the media engine sent what is no event: {error}") from error


def decode_down(body: bytes) -> list[Command]:
    """What the server said in one frame. Raises MalformedFrame."""
    try:
        return _down.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame(f"the server sent what is no command: {error}") from error


class Frames:
    """Cuts a byte stream into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """The bodies that are whole now. Raises FrameTooLarge: the stream is then of no use any more."""
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4], "big")
            if length > FRAME_BYTES_MAX:
                raise FrameTooLarge(f"a frame of {length} bytes was announced, {FRAME_BYTES_MAX} are allowed")
            if len(self._buffer) - start - 4 < length:
                break
            bodies.append(bytes(self._buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del self._buffer[:start]
        return bodies
