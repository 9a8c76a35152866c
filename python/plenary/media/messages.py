"""What the server and the media engine say to each other: the same maps as in `rust/media/src/messages.rs`.

A frame is a big-endian u32 length and that many bytes of msgpack: an array of messages, each a map with `type`.
Down go commands, an array of which the engine applies whole at one tick. Up come the welcome and events; events have
`seq`: 1, 2, 3 ... within one life of the engine. Ids are strings of 1 to 64 characters, chosen by the server.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from .errors import FrameTooLarge, MalformedFrame

PROTOCOL_VERSION = 1
FRAME_BYTES_MAX = 8 << 20
"""Longest frame that either side takes: some eight minutes of prompt."""
RATE_HZ = 8000
SAMPLE_BYTES = 2

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
"""What the engine may do on a leg, seen from it (RFC 3264 section 5.1)."""
LegRefusal = Literal["no_common_codec", "malformed_sdp", "no_ports", "unknown_leg", "wrong_state", "too_many_legs"]
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
    room_hint: str | None = None


class ApplySdp(Message, frozen=True, kw_only=True):
    """The peer's new offer: `LegAnswered`. Its answer to ours: `LegApplied`. If bad, `LegRefused`, and all stays."""

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
    max_duration_ms: int = 0
    end_of_silence_ms: int = 0


class StopRecording(Message, frozen=True, kw_only=True):
    recording: str


class GetStats(Message, frozen=True, kw_only=True):
    request: str


Command = (
    Hello | Ack | Shutdown | OpenLeg | ApplySdp | OfferLeg | CloseLeg | OpenRoom | CloseRoom | Join | Leave | SetGain
    | LoadPrompt | Play | StopPlay | SendDigits | StartRecording | StopRecording | GetStats
)  # fmt: skip


# --- Welcome and events, up ------------------------------------------------------------------------------------------


class LegSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    leg: str
    room: str | None
    direction: Direction
    negotiated: bool
    plays: list[str]


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
    buffer_ms: float = 0.0
    tick_wait_ms: float = 0.0
    """From a packet's arrival to the tick that mixes it."""
    mix_us: float = 0.0
    send_us: float = 0.0
    strangers: int = 0
    """Packets dropped because they did not come from the peer."""
    malformed: int = 0
    level_dbfs: float = 0.0
    talking: bool = False


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
    LegAnswered | LegOffered | LegApplied | LegRefused | LegClosed | LegJoined | Digit | Talking | Inactive | PlayEnded
    | DigitsSent | RecordingStarted | RecordingEnded | Stats | CommandFailed
)  # fmt: skip
Up = Welcome | Event


# --- Frames ----------------------------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_up = msgspec.msgpack.Decoder(list[Up])
_down = msgspec.msgpack.Decoder(list[Command])


def frame(messages: Iterable[Message]) -> bytes:
    """One frame that holds `messages`, which the engine does at one tick. Raises FrameTooLarge."""
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
