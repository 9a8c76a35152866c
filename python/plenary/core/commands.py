"""Everything that the switch can want done. The server commits first, then performs them in this order.

Each is named by the ids of its resources (a call's leg in the engine has the call's id, a room the conference's), so
that doing one twice does no harm.
"""

import msgspec

from .errors import Refusal
from .resources import Resource


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Do something."""


# --- Signalling ----------------------------------------------------------------------------------------------------


class RingCall(Command, frozen=True, kw_only=True):
    """180 Ringing to the phone that calls."""

    call: str


class ProgressCall(Command, frozen=True, kw_only=True):
    """183 Session Progress: the phone that calls hears us before we answer."""

    call: str
    sdp: str


class AnswerCall(Command, frozen=True, kw_only=True):
    """200 OK to the phone that calls."""

    call: str
    sdp: str


class RefuseCall(Command, frozen=True, kw_only=True):
    """A final refusal to the phone that calls."""

    call: str
    status: int
    reason: str = ""
    """A sentence for the phone."""
    why: str = ""
    """The reason in `LegRefused`, if it is the media's."""


class PlaceCall(Command, frozen=True, kw_only=True):
    """INVITE to a phone."""

    call: str
    target: str
    """SIP URI."""
    source: str
    """What the phone shows: SIP URI of the caller."""
    source_name: str
    sdp: str


class HangUp(Command, frozen=True, kw_only=True):
    """Ends the call in whatever state it is: BYE, CANCEL or a refusal."""

    call: str
    reason: str = ""


class SendOffer(Command, frozen=True, kw_only=True):
    """re-INVITE: our new offer."""

    call: str
    sdp: str


class AnswerOffer(Command, frozen=True, kw_only=True):
    """200 to the phone's re-INVITE or UPDATE."""

    call: str
    sdp: str


class RefuseOffer(Command, frozen=True, kw_only=True):
    """Refuses the phone's re-INVITE or UPDATE; the session goes on as it was."""

    call: str
    status: int
    why: str = ""
    """The reason in `LegRefused`, if it is the media's."""


# --- Media engine --------------------------------------------------------------------------------------------------


class OpenLeg(Command, frozen=True, kw_only=True):
    """Makes the call's media. With the phone's offer the engine answers it, without it makes one.

    Said again of a leg that is there, it is answered again."""

    call: str
    sdp: str | None
    conference: str | None = None
    """Where it is likely to go: lets the engine put it on the right thread at once."""
    like: str | None = None
    """Where there is no offer: what an engine said of this call last, so that ours goes on where that one ended."""
    web: bool = False
    """The peer is a browser."""
    noise_suppression: bool = False
    normaliser: bool = False
    voice_activity: bool = True
    limiter: bool = True


class SetMuted(Command, frozen=True, kw_only=True):
    """Whether nobody in the room hears the call. A new leg is not muted."""

    call: str
    muted: bool


class SetProcessing(Command, frozen=True, kw_only=True):
    """What is done to what the call says before it is mixed, and to what it hears."""

    call: str
    noise_suppression: bool
    normaliser: bool
    voice_activity: bool
    limiter: bool


class ApplySdp(Command, frozen=True, kw_only=True):
    call: str
    kind: str
    """`offer` (the phone's new one) or `answer` (to ours)."""
    sdp: str


class OfferLeg(Command, frozen=True, kw_only=True):
    """Makes a new offer on the call's media."""

    call: str


class CloseLeg(Command, frozen=True, kw_only=True):
    call: str


class OpenRoom(Command, frozen=True, kw_only=True):
    conference: str


class CloseRoom(Command, frozen=True, kw_only=True):
    conference: str


class JoinRoom(Command, frozen=True, kw_only=True):
    call: str
    conference: str


class LeaveRoom(Command, frozen=True, kw_only=True):
    call: str


class Tone(msgspec.Struct, frozen=True, kw_only=True):
    frequency_hz: float
    duration_ms: int
    level_dbfs: float = -16.0


class Play(Command, frozen=True, kw_only=True):
    """Plays a prompt or a tone to one call, in place of what it hears of the room."""

    call: str
    play: str
    prompt: str | None = None
    tone: Tone | None = None
    loop: bool = False


class StopPlay(Command, frozen=True, kw_only=True):
    call: str
    play: str


class StartRecording(Command, frozen=True, kw_only=True):
    """Exactly one of `conference` and `call`. A `part` above 1 goes on after the engine was started again."""

    recording: str
    part: int
    rate: int = 8_000
    """Samples per second; the same for all parts."""
    conference: str | None = None
    call: str | None = None
    duration_ms: int = 0
    """0: no limit."""
    end_of_silence_ms: int = 0


class StopRecording(Command, frozen=True, kw_only=True):
    recording: str


class RemoveRecordingFiles(Command, frozen=True, kw_only=True):
    recording: str


# --- Prompts -------------------------------------------------------------------------------------------------------


class PreparePrompt(Command, frozen=True, kw_only=True):
    """Speaks `text`, or fetches `url`, and loads the sound into the engine. Exactly one of the two is given."""

    request: str
    text: str | None = None
    gender: str = "neutral"
    language: str = "en-US"
    url: str | None = None


class DropPrompt(Command, frozen=True, kw_only=True):
    """Nobody waits for this request any more; no event follows."""

    request: str


# --- API -----------------------------------------------------------------------------------------------------------


class Reply(Command, frozen=True, kw_only=True):
    """Answers a request: what it asked for as it is now, or why not."""

    ask: int
    result: Resource | list[Resource] | Refusal
