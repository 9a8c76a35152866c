"""The resources as the API shows them, field by field and in this order: one definition for core, API and store.

A resource is a value: the machines make a new one at each change (`msgspec.structs.replace`).
Ids are UUID strings, "none" is `ZERO_ID`; times are strings, "has not happened" is `NEVER` (see `ids`).
"""

from enum import StrEnum
from typing import Any

import msgspec

from .ids import NEVER, ZERO_ID


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a flow, echoed exactly as it was sent. `actions/` says what each `type` takes as `option`."""

    id: str = ZERO_ID
    """Target for jumps; zero: none."""
    next_id: str = ZERO_ID
    """Explicit successor; zero: the next action in the list."""
    type: str
    """What to do, such as `talk`. [All types](/docs/actions)."""
    option: dict[str, Any] = {}
    """How to do it; each type has its own options."""


class ConferenceType(StrEnum):
    """What a conference is for.

    `conference` is a room, which stays until it is deleted or times out, whoever is in it or nobody. `connect` puts two
    parties through to each other: the first hears ringing until the second comes; a third is told that the line is
    busy, and let go; when one of the two leaves, the other runs the `post_actions` and is let go too, and the
    conference is over.
    """

    CONFERENCE = "conference"
    """A room, which stays until it is deleted or times out, whoever is in it or nobody."""
    CONNECT = "connect"
    """Two parties put through to each other. The first hears ringing until the second comes; a third hears that the
    line is busy and is let go. When one of the two leaves, the other is let go too, and the conference is over."""


class ConferenceStatus(StrEnum):
    """How far a conference is; forward only.

    `starting` until its room can take calls, `progressing` while it can, `terminating` while it is being emptied,
    `terminated` when nobody is in it any more. Who has left the room may still hear the farewell of the `post_actions`.
    """

    STARTING = "starting"
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a conference can have beyond the contract's own fields. Defaults behave exactly as the contract says."""

    aliases: list[str] = []
    """Names (SIP user parts, numbers) that lead to this conference, each unique on the server."""


class Conference(msgspec.Struct, frozen=True, kw_only=True):
    """A room that phones call, or (`connect`) two parties who are put through to each other."""

    id: str
    """Phones call it as `sip:<id>@<host>`."""
    customer_id: str
    """Whose it is: the customer of the access key that created it."""
    type: ConferenceType
    """`conference`: a room. `connect`: two parties put through."""
    status: ConferenceStatus
    """Forward only."""
    name: str = ""
    """Free text."""
    detail: str = ""
    """Free text."""
    data: dict[str, Any] = {}
    """Yours: stored and returned as given."""
    timeout: int = 0
    """Seconds from creation after which it terminates by itself; 0: never."""
    pre_actions: list[Action] = []
    """Run, in order, for each call that enters, before it is put into the room."""
    post_actions: list[Action] = []
    """Run, in order, for each call that leaves the room with the line still up."""
    conferencecall_ids: list[str] = []
    """Who is in the room now: conferencecalls whose status is `joined`."""
    recording_id: str = ZERO_ID
    """The recording that runs now; the zero id: none."""
    recording_ids: list[str] = []
    """Every recording of it, oldest first, the running one included."""
    tm_create: str
    """When it was created."""
    tm_update: str = NEVER
    """When it last changed."""
    tm_delete: str = NEVER
    """When it was over: deleted, timed out, or left by one of two parties."""
    transcribe_id: str = ZERO_ID
    """Always the zero id: this server writes nothing down."""
    transcribe_ids: list[str] = []
    """Always empty."""
    tm_end: str = NEVER
    """When it was over; the same time as `tm_delete`."""
    settings: Settings = Settings()
    """What it has beyond these fields."""


class ConferencecallStatus(StrEnum):
    """How far a participant is; forward only.

    `joining` while he is in the `pre_actions` or on his way into the room, `joined` in the room, `leaving` when
    somebody wants him out, `leaved` once he is out. His call may go on with the `post_actions`.
    """

    JOINING = "joining"
    """In `pre_actions`, or on its way into the room."""
    JOINED = "joined"
    LEAVING = "leaving"
    """Asked to leave; not out of the room (or of `pre_actions`) yet."""
    LEAVED = "leaved"


class Conferencecall(msgspec.Struct, frozen=True, kw_only=True):
    """A participant: one stay of one call in one conference."""

    id: str
    """Its own id; a call that joins twice has two conferencecalls."""
    customer_id: str
    """Whose it is."""
    conference_id: str
    """The conference."""
    reference_type: str = "call"
    """Always `call`."""
    reference_id: str
    """The call."""
    status: ConferencecallStatus
    """Forward only. `leaved` is out of the room, though the call may still hear the farewell."""
    tm_create: str
    """When the call began to join."""
    tm_update: str = NEVER
    """When it last changed."""
    tm_delete: str = NEVER
    """Never set: who has left is `leaved`."""
    reason: str = ""
    """Why he left: `hangup`, `kicked`, `conference_deleted`, `conference_timeout`, `peer_left`, `conference_closed`,
    `media_lost`, `token_revoked`, `flow_ended`, `server_stopped`, `failed`. Empty while he is here."""
    talking: bool = False
    """Whether he speaks now, and the others hear it. It changes too often for the event log."""
    name: str = ""
    """What to call him: the name or number of his phone, or the name that he joined by in a browser."""
    kind: str = "phone"
    """`phone` or `web` (a browser)."""
    role: str = ""
    """`participant`, `listener` or `moderator`, if a join token let him in."""
    muted: bool = False
    """The others do not hear him."""
    noise_suppression: bool = False
    """Noise is taken out of what he says."""
    normaliser: bool = False
    """What he says is brought to an even loudness."""
    voice_activity: bool = True
    """What is no voice is kept out of what he sends, and `talking` is told."""
    limiter: bool = True
    """What he hears is brought down where it would be above full scale; otherwise it is cut there."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a call."""

    type: str = "sip"
    """`sip` (target `user@host[:port]`), `tel` (target E.164 with `+`), or `web`: a browser, of which `target` is
    the id of the join token (empty: an access key let it in); what it joined, of which it is the conference's id."""
    target: str = ""
    """The address itself."""
    target_name: str = ""
    """The name that the other phone shows, or that the browser joined by."""
    name: str = ""
    """A label of yours."""
    detail: str = ""
    """A note of yours."""


class CallStatus(StrEnum):
    """How far a call is; forward only.

    `dialing` and `ringing` before the answer, `progressing` after it, `terminating` (`canceling` before the answer)
    while we end it, `hangup` once it is over.
    """

    DIALING = "dialing"
    RINGING = "ringing"
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    CANCELING = "canceling"
    HANGUP = "hangup"


class CallDirection(StrEnum):
    """Who called: the phone (`incoming`) or this server (`outgoing`)."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One phone, called or calling."""

    id: str
    """Its id; a conferencecall has it as `reference_id`."""
    customer_id: str
    """Whose it is."""
    flow_id: str = ZERO_ID
    """Always the zero id: actions are given with the call or the conference."""
    activeflow_id: str = ZERO_ID
    """Always the zero id."""
    type: str = "flow"
    """`flow` (dialled by `POST /v1.0/calls`) or `conference` (came in to a conference's address)."""
    master_call_id: str = ZERO_ID
    """Always the zero id: no call begets another."""
    chained_call_ids: list[str] = []
    """Always empty."""
    recording_id: str = ZERO_ID
    """The recording of this call that runs now; the zero id: none."""
    recording_ids: list[str] = []
    """Every recording of this call, oldest first."""
    groupcall_id: str = ZERO_ID
    """Always the zero id: each destination has a call of its own."""
    source: Address
    """Who calls."""
    destination: Address
    """Who is called."""
    status: CallStatus
    """Forward only."""
    action: Action | None = None
    """The action that runs now."""
    direction: CallDirection
    """Who called."""
    mute_direction: str = ""
    """`in`: those in the room do not hear this phone. Empty: they do."""
    hangup_by: str = ""
    """`local`, `remote`, or empty while the call is up."""
    hangup_reason: str = ""
    """`normal`, `failed`, `busy`, `cancel`, `timeout`, `noanswer`, `dialout`, `media_lost`; empty while up."""
    tm_progressing: str = NEVER
    """When it was answered."""
    tm_ringing: str = NEVER
    """When it rang."""
    tm_hangup: str = NEVER
    """When it was over."""
    tm_create: str
    """When it began."""
    tm_update: str = NEVER
    """When it last changed."""
    tm_delete: str = NEVER
    """Never set: a call that is over is `hangup`."""
    on_hold: bool = False
    """The phone has put us on hold."""
    conference_id: str = ZERO_ID
    """The conference whose room (or whose pre_actions or post_actions) this call is in."""
    media_lost: bool = False
    """A browser has lost its media, as the media engine was started again: it has 15 s to join again with its seat."""


class RecordingStatus(StrEnum):
    """How far a recording is; forward only.

    `initiating` until the first sound, `recording` from then on, `stopping` once it is to end, `ended` when its file is
    complete.
    """

    INITIATING = "initiating"
    """Asked for; nothing has been heard yet."""
    RECORDING = "recording"
    STOPPING = "stopping"
    ENDED = "ended"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in a conference or on a call, as one WAV file."""

    id: str
    """Its sound is at `/v1.0/recordingfiles/<id>`."""
    customer_id: str
    """Whose it is."""
    reference_type: str
    """`conference` or `call`."""
    reference_id: str
    """The conference or the call."""
    status: RecordingStatus
    """Forward only."""
    format: str = "wav"
    """Always `wav`: 16 bit PCM, mono."""
    tm_start: str = NEVER
    """When the first sound was written."""
    tm_end: str = NEVER
    """When it ended."""
    tm_create: str
    """When it was asked for."""
    tm_update: str = NEVER
    """When it last changed."""
    tm_delete: str = NEVER
    """When it was deleted, with its file."""
    duration_ms: int = 0
    """Length of what was written; final once `ended`."""
    parts: int = 0
    """Files it consists of: one, and one more for each time the media engine had to be started again."""
    end_reason: str = ""
    """`stopped`, `duration`, `silence`, `key`, `conference_ended`, `call_ended`, `disk_error`, `media_lost`;
    empty before the end."""


class TokenRole(StrEnum):
    """What a join token lets its holder be.

    A `participant` is heard, sees who is there, and has a keypad; a `listener` hears and sees; a `moderator` may mute
    others as well.
    """

    PARTICIPANT = "participant"
    LISTENER = "listener"
    MODERATOR = "moderator"


SCOPES: dict[TokenRole, tuple[str, ...]] = {
    TokenRole.PARTICIPANT: ("join", "publish", "roster", "digits"),
    TokenRole.LISTENER: ("join", "roster"),
    TokenRole.MODERATOR: ("join", "publish", "roster", "digits", "mute_others"),
}
"""What each role may at most: join, be heard, see who is there, press keys, mute others."""


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a browser into one conference, until it expires or is taken back."""

    id: str
    """Its id, which is no secret."""
    customer_id: str
    """Whose it is."""
    conference_id: str
    """The only conference that it is good for. Once that is over it lets nobody in any more."""
    name: str = ""
    """What the others see; empty: the page asks whoever joins."""
    role: TokenRole = TokenRole.PARTICIPANT
    """What its holder is in the conference."""
    scopes: list[str] = []
    """What its holder may do: `join`, `publish` (be heard), `roster` (see who is there), `digits`, `mute_others`."""
    seats: int = 1
    """How many may be in by it at once."""
    tm_create: str
    """When it was made."""
    tm_expire: str
    """Until when it lets people in. Who is in stays beyond that, and comes back to his seat while his call is up."""
    tm_delete: str = NEVER
    """When it was taken back."""


Resource = Conference | Conferencecall | Call | Recording


EVENT_TYPES: dict[str, str] = {
    "conference_created": "A conference was created.",
    "conference_updated": "A conference changed: its fields, its status, who is in it, or its recording.",
    "conference_deleted": "A conference is over: deleted, timed out, or left by one of two parties. Once for each.",
    "conferencecall_joining": "A call is on its way into a conference; its `pre_actions` come first.",
    "conferencecall_joined": "A participant is in the room, and hears the others.",
    "conferencecall_updated": "A participant was muted or is heard again, or what is done to his voice has changed.",
    "conferencecall_leaving": "A participant is to leave: kicked, or the conference is over.",
    "conferencecall_leaved": "A participant is out of the room; `reason` says why. His call may still hear the "
    "`post_actions`.",
    "call_created": "A phone calls, or is called.",
    "call_updated": "A call changed: it is on hold or no longer, its recording began or ended.",
    "call_ringing": "A call rings, or hears us before it is answered.",
    "call_progressing": "A call was answered.",
    "call_terminating": "A call is being ended by us.",
    "call_canceling": "A phone that has not answered is not called any longer.",
    "call_hangup": "A call is over; `hangup_by` and `hangup_reason` say how.",
    "recording_created": "A recording was asked for.",
    "recording_started": "The first sound of a recording is written.",
    "recording_updated": "The media of a recording were interrupted; it goes on in another part.",
    "recording_finished": "A recording is complete; `end_reason` says why it ended.",
    "recording_deleted": "A recording was deleted, with its sound.",
    "action_failed": "An action could not be done; `cause` says why. The call goes on with the next one, or is let go.",
    "media_lost": "The media engine is gone: a new one is started, and the calls are brought back. Of a call: it "
    "cannot be.",
    "server_recovered": "The server was started again, and what was at work in this conference goes on.",
}
"""Every type of entry in the log, with its meaning."""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, with the resource as it was after it. The log is append-only.

    The store adds `position` (the reader's place in the log) when it writes the entry.
    """

    id: str
    type: str
    """One of `EVENT_TYPES`."""
    customer_id: str
    conference_id: str = ZERO_ID
    number: int = 0
    """Gapless from 1 within its conference; 0 for what belongs to none, or comes when the conference is long over."""
    tm: str
    cause: str = ""
    """What brought it about, in words a person understands."""
    data: Resource | None = None
    """The resource after the change."""
