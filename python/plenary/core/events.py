"""Everything that can happen. `Switch.handle` takes each of them, in any order and at any time.

Four sources: the signalling (a phone did something), the media engine, the prompts (speech, fetched audio), and
requests of the API's user. Time is no event: `Switch.fire(now)`.
"""

import msgspec

from .resources import Action, Address, ConferenceType, Settings


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened."""


# --- Signalling: what phones do -----------------------------------------------------------------------------------


class CallOffered(Event):
    """A phone calls: an INVITE came in."""

    call: str
    """Id of the new call, chosen by the signalling."""
    user: str
    """User part of the address that was called: a conference id or an alias."""
    source: Address
    destination: Address
    sdp: str | None
    """The phone's offer; None: it wants ours (late offer)."""
    username: str = ""
    """Who proved to be calling (digest), empty for an anonymous caller that the listener lets in."""


class CallRinging(Event):
    """The phone that we called rings."""

    call: str


class CallAnswered(Event):
    """The phone that we called was picked up."""

    call: str
    sdp: str | None


class CallRefused(Event):
    """The phone that we called said no, or nothing: the call is over."""

    call: str
    status: int
    """SIP status code, 408 if nothing came."""
    reason: str = ""


class CallAcked(Event):
    """The phone that called us has confirmed our answer."""

    call: str
    sdp: str | None
    """Its answer, where our answer to the call was the offer."""


class CallEnded(Event):
    """The call is over: the phone hung up or cancelled, or cannot be reached."""

    call: str
    reason: str
    """`bye`, `cancel`, `ack_timeout`, `offer_timeout`, `transport`, `session_expired`."""


class SdpOffered(Event):
    """The phone changes the session: hold, resume, another codec or address (re-INVITE, UPDATE)."""

    call: str
    sdp: str | None
    """None: it wants our offer."""


class SdpAnswered(Event):
    """The phone answered our new offer."""

    call: str
    sdp: str | None


class SdpRefused(Event):
    """The phone refused our new offer; the session goes on as it was."""

    call: str
    status: int


class DigitPressed(Event):
    """A key was pressed: RFC 4733 through the engine, or INFO through the signalling."""

    call: str
    digit: str
    """One of `0123456789*#ABCD`."""
    duration_ms: int = 0


# --- Media engine --------------------------------------------------------------------------------------------------


class LegAnswered(Event):
    """The engine answered the phone's offer."""

    call: str
    sdp: str
    direction: str
    """What we may do, seen from the server: `sendrecv`, `sendonly`, `recvonly`, `inactive` (RFC 3264)."""


class LegOffered(Event):
    """The engine made an offer for us to send."""

    call: str
    sdp: str


class LegApplied(Event):
    """The engine took the phone's answer."""

    call: str
    direction: str


class LegRefused(Event):
    """The engine can't do what the phone's SDP asks for. A leg that was there goes on as it was."""

    call: str
    reason: str
    """`no_common_codec`, `malformed_sdp`, `no_ports`, `too_many_legs`, `unknown_leg`, `wrong_state`."""
    detail: str = ""


class LegClosed(Event):
    """The engine has let go of the call's media, at our word or because it failed."""

    call: str


class LegJoined(Event):
    """The call is in the room's mix."""

    call: str
    conference: str


class LegInactive(Event):
    """Nothing was heard of the phone for too long."""

    call: str
    silent_ms: int


class TalkingChanged(Event):
    call: str
    talking: bool


class PlayEnded(Event):
    call: str
    play: str
    reason: str
    """`finished`, `stopped`, `unknown_prompt`, `leg_closed`."""


class RecordingStarted(Event):
    """The first sound is written."""

    recording: str


class RecordingEnded(Event):
    recording: str
    reason: str
    """`stopped`, `duration`, `silence`, `room_closed`, `leg_closed`, `disk_error`, `shutdown`, `engine_lost`."""
    duration_ms: int
    """Length of the part that ended."""
    detail: str = ""


class LegSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    call: str
    conference: str | None
    direction: str
    negotiated: bool
    plays: list[str] = []


class EngineReady(Event):
    """The engine is connected, and every event of it from before has been handled.

    What the engine holds is in here; the switch brings it to what should be. `restarted` is true if it is not the
    engine that the switch last spoke to: then it holds nothing of ours.
    """

    restarted: bool
    legs: list[LegSnapshot] = []
    conferences: list[str] = []
    """Rooms that it holds."""
    recordings: list[str] = []


class EngineLost(Event):
    """The engine is gone or does not answer. `EngineReady` follows when there is one again."""


# --- Prompts -------------------------------------------------------------------------------------------------------


class PromptReady(Event):
    """What was asked for by `PreparePrompt` is loaded into the engine."""

    request: str
    prompt: str
    """Name of the prompt for `Play`: a hash of its content."""
    duration_ms: int


class PromptFailed(Event):
    request: str
    reason: str
    """A sentence for the event log."""


# --- Requests of the API's user ------------------------------------------------------------------------------------


class Request(Event):
    """Asked through the API. Answered by exactly one `Reply` with the same `ask`."""

    ask: int
    customer: str


class CreateConference(Request):
    type: ConferenceType
    name: str = ""
    detail: str = ""
    data: dict[str, object] = {}
    timeout: int = 0
    pre_actions: list[Action] = []
    post_actions: list[Action] = []
    settings: Settings = Settings()


class UpdateConference(Request):
    """Replaces all of these fields: what a PUT leaves out is reset to its default."""

    conference: str
    name: str = ""
    detail: str = ""
    data: dict[str, object] = {}
    timeout: int = 0
    pre_actions: list[Action] = []
    post_actions: list[Action] = []
    settings: Settings = Settings()


class DeleteConference(Request):
    conference: str


class StartConferenceRecording(Request):
    conference: str
    format: str = "wav"
    duration: int = 0
    """Seconds after which it ends by itself; 0: no limit."""
    end_of_silence: int = 0
    """Seconds of silence after which it ends by itself; 0: no limit."""


class StopConferenceRecording(Request):
    conference: str


class KickConferencecall(Request):
    conferencecall: str


class DeleteRecording(Request):
    recording: str


class CreateCalls(Request):
    """One outgoing call to each destination; each runs `actions` once it is answered."""

    source: Address
    destinations: list[Address]
    actions: list[Action] = []


class HangUpCall(Request):
    call: str
