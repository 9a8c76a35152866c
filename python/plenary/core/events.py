"""Everything that can happen. `Switch.handle` takes each of them, in any order and at any time.

Four sources: the signalling (a phone did something), the media engine, the prompts (speech, fetched audio), and
requests of the API's user. Time is no event: `Switch.fire(now)`.
"""

import msgspec

from .resources import Action, Address, Call, Conference, Conferencecall, ConferenceType, Recording, Settings


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened."""


# --- Signalling: what phones do -----------------------------------------------------------------------------------


class CallOffered(Event, frozen=True, kw_only=True):
    """A phone calls: an INVITE came in."""

    call: str
    """Id of the new call, chosen by the signalling."""
    user: str
    """User part of the address that was called: a conference id or an alias."""
    source: Address
    destination: Address
    sdp: str | None
    """The phone's offer; None: it wants ours (late offer)."""
    stored: Conference | None = None
    """The conference as the store has it, where the address is that of one which is over (see `Request`)."""
    username: str = ""
    """Who proved to be calling (digest), empty for an anonymous caller that the listener lets in."""


class CallRinging(Event, frozen=True, kw_only=True):
    """The phone that we called rings."""

    call: str


class CallAnswered(Event, frozen=True, kw_only=True):
    """The phone that we called was picked up."""

    call: str
    sdp: str | None


class CallRefused(Event, frozen=True, kw_only=True):
    """The phone that we called said no, or nothing: the call is over."""

    call: str
    status: int
    """SIP status code, 408 if nothing came."""
    reason: str = ""


class CallAcked(Event, frozen=True, kw_only=True):
    """The phone that called us has confirmed our answer."""

    call: str
    sdp: str | None
    """Its answer, where our answer to the call was the offer."""


class CallEnded(Event, frozen=True, kw_only=True):
    """The call is over: the phone hung up or cancelled, or cannot be reached."""

    call: str
    reason: str
    """`bye`, `cancel`, `ack_timeout`, `offer_timeout`, `transport`, `session_expired`."""


class SdpOffered(Event, frozen=True, kw_only=True):
    """The phone changes the session: hold, resume, another codec or address (re-INVITE, UPDATE)."""

    call: str
    sdp: str | None
    """None: it wants our offer."""


class SdpAnswered(Event, frozen=True, kw_only=True):
    """The phone answered our new offer."""

    call: str
    sdp: str | None


class SdpRefused(Event, frozen=True, kw_only=True):
    """The phone refused our new offer; the session goes on as it was."""

    call: str
    status: int


class DigitPressed(Event, frozen=True, kw_only=True):
    """A key was pressed: RFC 4733 through the engine, or INFO through the signalling."""

    call: str
    digit: str
    """One of `0123456789*#ABCD`."""
    duration_ms: int = 0


# --- Media engine --------------------------------------------------------------------------------------------------


class LegAnswered(Event, frozen=True, kw_only=True):
    """The engine answered the phone's offer."""

    call: str
    sdp: str
    direction: str
    """What we may do, seen from the server: `sendrecv`, `sendonly`, `recvonly`, `inactive` (RFC 3264)."""


class LegOffered(Event, frozen=True, kw_only=True):
    """The engine made an offer for us to send."""

    call: str
    sdp: str


class LegApplied(Event, frozen=True, kw_only=True):
    """The engine took the phone's answer."""

    call: str
    direction: str


class LegRefused(Event, frozen=True, kw_only=True):
    """The engine can't do what the phone's SDP asks for. A leg that was there goes on as it was."""

    call: str
    reason: str
    """`no_common_codec`, `malformed_sdp`, `no_ports`, `too_many_legs`, `unknown_leg`, `wrong_state`,
    `encryption_required`, `encryption_refused`, `webrtc_off`."""
    detail: str = ""


class LegClosed(Event, frozen=True, kw_only=True):
    """The engine has let go of the call's media, at our word or because it failed."""

    call: str


class LegJoined(Event, frozen=True, kw_only=True):
    """The call is in the room's mix."""

    call: str
    conference: str


class LegConnected(Event, frozen=True, kw_only=True):
    """The keys of the call's media are agreed and a path to the peer is found: what we say arrives.

    Said of a browser, each time that it has looked for a path, and of a phone that encrypts by DTLS."""

    call: str


class JoinFailed(Event, frozen=True, kw_only=True):
    """The engine could not put the call into the room."""

    call: str
    reason: str
    """In words."""


class LegInactive(Event, frozen=True, kw_only=True):
    """Nothing was heard of the phone for too long."""

    call: str
    silent_ms: int


class TalkingChanged(Event, frozen=True, kw_only=True):
    call: str
    talking: bool


class PlayEnded(Event, frozen=True, kw_only=True):
    call: str
    play: str
    reason: str
    """`finished`, `stopped`, `unknown_prompt`, `leg_closed`."""


class RecordingStarted(Event, frozen=True, kw_only=True):
    """The first sound is written."""

    recording: str


class RecordingEnded(Event, frozen=True, kw_only=True):
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
    muted: bool = False


class EngineReady(Event, frozen=True, kw_only=True):
    """The engine is connected, and every event of it from before has been handled.

    What the engine holds is in here; the switch brings it to what should be. `restarted` is true if it is not the
    engine that the switch last spoke to: then it holds nothing of ours.
    """

    restarted: bool
    legs: list[LegSnapshot] = []
    conferences: list[str] = []
    """Rooms that it holds."""
    recordings: list[str] = []
    recorded_ms: dict[str, int] = {}
    """Where `restarted`: recording -> length of what the lost engine has left on disk of it, in all parts."""


class EngineLost(Event, frozen=True, kw_only=True):
    """The engine is gone or does not answer. `EngineReady` follows when there is one again."""


# --- Prompts -------------------------------------------------------------------------------------------------------


class PromptReady(Event, frozen=True, kw_only=True):
    """What was asked for by `PreparePrompt` is loaded into the engine."""

    request: str
    prompt: str
    """Name of the prompt for `Play`: a hash of its content."""
    duration_ms: int


class PromptFailed(Event, frozen=True, kw_only=True):
    request: str
    reason: str
    """A sentence for the event log."""


# --- Requests of the API's user ------------------------------------------------------------------------------------


class Request(Event, frozen=True, kw_only=True):
    """Asked through the API. Answered by exactly one `Reply` with the same `ask`.

    The switch holds only what is at work (`Switch.holds(id)`). For anything else the server reads the resource from
    the store and hands it in as `stored`: what is over never changes again, so that cannot be out of date.
    """

    ask: int
    customer: str


class CreateConference(Request, frozen=True, kw_only=True):
    type: ConferenceType
    name: str = ""
    detail: str = ""
    data: dict[str, object] = {}
    timeout: int = 0
    pre_actions: list[Action] = []
    post_actions: list[Action] = []
    settings: Settings = Settings()


class UpdateConference(Request, frozen=True, kw_only=True):
    """Replaces all of these fields: what a PUT leaves out is reset to its default."""

    conference: str
    name: str = ""
    detail: str = ""
    data: dict[str, object] = {}
    timeout: int = 0
    pre_actions: list[Action] = []
    post_actions: list[Action] = []
    settings: Settings = Settings()
    stored: Conference | None = None


class DeleteConference(Request, frozen=True, kw_only=True):
    conference: str
    stored: Conference | None = None


class StartConferenceRecording(Request, frozen=True, kw_only=True):
    conference: str
    format: str = "wav"
    duration: int = 0
    """Seconds after which it ends by itself; 0: no limit."""
    end_of_silence: int = 0
    """Seconds of silence after which it ends by itself; 0: no limit."""
    stored: Conference | None = None


class StopConferenceRecording(Request, frozen=True, kw_only=True):
    conference: str
    stored: Conference | None = None


class KickConferencecall(Request, frozen=True, kw_only=True):
    conferencecall: str
    stored: Conferencecall | None = None


class MuteConferencecall(Request, frozen=True, kw_only=True):
    """Whether the others hear him."""

    conferencecall: str
    muted: bool
    stored: Conferencecall | None = None


class ProcessConferencecall(Request, frozen=True, kw_only=True):
    """What is done to what he says before the others hear it, and to what he hears."""

    conferencecall: str
    noise_suppression: bool
    normaliser: bool
    voice_activity: bool
    limiter: bool
    stored: Conferencecall | None = None


class DeleteRecording(Request, frozen=True, kw_only=True):
    recording: str
    stored: Recording | None = None


class CreateCalls(Request, frozen=True, kw_only=True):
    """One outgoing call to each destination; each runs `actions` once it is answered."""

    source: Address
    destinations: list[Address]
    actions: list[Action] = []


class HangUpCall(Request, frozen=True, kw_only=True):
    call: str
    stored: Call | None = None


# --- Requests of browsers: what a phone does by signalling ----------------------------------------------------------


class JoinConference(Request, frozen=True, kw_only=True):
    """A page joins, with its offer; or comes back to its `seat`: then it is the same call, with a new session.

    The reply is the call. Its session is answered by `AnswerCall` or `AnswerOffer`, or refused, as a phone's is.
    """

    conference: str
    call: str
    """Id of the new call, if it is one; chosen by the door."""
    sdp: str
    name: str
    seat: str
    """What the page calls its place; empty: it has none to come back to."""
    token: str = ""
    """Id of the token that lets it in; empty: an access key does."""
    role: str = ""
    speaks: bool = True
    """False: a listener, whom nobody hears."""
    seats_max: int = 0
    """How many may be in by this token at once; 0: no limit."""
    expired: bool = False
    """The token leads back to a seat that is taken, and to no new one."""
    stored: Conference | None = None


class PageRequest(Request, frozen=True, kw_only=True):
    """Of a page about the call that it made; the reply is the call."""

    conference: str
    call: str
    token: str | None = None
    """Id of the token that it was let in by; None: an access key asks, and may ask about any."""
    stored: Call | None = None


class RestartSession(PageRequest, frozen=True, kw_only=True):
    """The page looks for another path (ICE restart). Answered by `AnswerOffer`, or refused."""

    sdp: str


class LeaveConference(PageRequest, frozen=True, kw_only=True):
    """The page hangs up."""


class MuteSelf(PageRequest, frozen=True, kw_only=True):
    """The page mutes, or unmutes. An access key that asks about who came by a token is somebody else."""

    muted: bool


class PressDigits(PageRequest, frozen=True, kw_only=True):
    """Keys of the page's keypad, in their order."""

    digits: str


class EndToken(Request, frozen=True, kw_only=True):
    """Lets go of everybody who was let in by a token that is taken back, and lets in nobody more by it. The reply is
    the calls of those who were in."""

    token: str


# --- The server itself ---------------------------------------------------------------------------------------------


class ServerStopping(Event, frozen=True, kw_only=True):
    """The server was told to end: every call is let go, recordings are closed, nothing new begins.

    Conferences stay as they are; the next server goes on with them.
    """
