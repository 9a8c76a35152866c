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
    option: dict[str, Any] = {}


class ConferenceType(StrEnum):
    CONFERENCE = "conference"
    """A room, which stays until it is deleted or times out."""
    CONNECT = "connect"
    """Two parties put through to each other; it ends when one of them leaves."""


class ConferenceStatus(StrEnum):
    """Forward only."""

    STARTING = "starting"
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a conference can have beyond the contract's own fields. Defaults behave exactly as the contract says."""

    aliases: list[str] = []
    """Names (SIP user parts, numbers) that lead to this conference, each unique on the server."""


class Conference(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    customer_id: str
    type: ConferenceType
    status: ConferenceStatus
    name: str = ""
    detail: str = ""
    data: dict[str, Any] = {}
    timeout: int = 0
    """Seconds from creation after which it terminates by itself; 0: never."""
    pre_actions: list[Action] = []
    post_actions: list[Action] = []
    conferencecall_ids: list[str] = []
    """Who is in the room now: conferencecalls whose status is `joined`."""
    recording_id: str = ZERO_ID
    recording_ids: list[str] = []
    tm_create: str
    tm_update: str = NEVER
    tm_delete: str = NEVER
    transcribe_id: str = ZERO_ID
    transcribe_ids: list[str] = []
    tm_end: str = NEVER
    settings: Settings = Settings()


class ConferencecallStatus(StrEnum):
    """Forward only."""

    JOINING = "joining"
    """In `pre_actions`, or on its way into the room."""
    JOINED = "joined"
    LEAVING = "leaving"
    """Asked to leave; not out of the room (or of `pre_actions`) yet."""
    LEAVED = "leaved"


class Conferencecall(msgspec.Struct, frozen=True, kw_only=True):
    """A participant: one row for each time that a call joins."""

    id: str
    customer_id: str
    conference_id: str
    reference_type: str = "call"
    reference_id: str
    """The call."""
    status: ConferencecallStatus
    tm_create: str
    tm_update: str = NEVER
    tm_delete: str = NEVER
    reason: str = ""
    """Why he left: `hangup`, `kicked`, `conference_deleted`, `conference_timeout`, `peer_left`, `conference_closed`,
    `media_lost`, `flow_ended`, `server_stopped`, `failed`. Empty while he is here."""
    talking: bool = False


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a call."""

    type: str = "sip"
    """`sip` (target `user@host[:port]`) or `tel` (target E.164 with `+`)."""
    target: str = ""
    target_name: str = ""
    """Display name."""
    name: str = ""
    detail: str = ""


class CallStatus(StrEnum):
    DIALING = "dialing"
    RINGING = "ringing"
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    CANCELING = "canceling"
    HANGUP = "hangup"


class CallDirection(StrEnum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    customer_id: str
    flow_id: str = ZERO_ID
    activeflow_id: str = ZERO_ID
    type: str = "flow"
    """`flow` (dialled by `POST /v1.0/calls`) or `conference` (came in to a conference's address)."""
    master_call_id: str = ZERO_ID
    chained_call_ids: list[str] = []
    recording_id: str = ZERO_ID
    recording_ids: list[str] = []
    groupcall_id: str = ZERO_ID
    source: Address
    destination: Address
    status: CallStatus
    action: Action | None = None
    """The action that runs now."""
    direction: CallDirection
    mute_direction: str = ""
    hangup_by: str = ""
    """`local`, `remote`, or empty while the call is up."""
    hangup_reason: str = ""
    """`normal`, `failed`, `busy`, `cancel`, `timeout`, `noanswer`, `dialout`, `media_lost`; empty while up."""
    tm_progressing: str = NEVER
    tm_ringing: str = NEVER
    tm_hangup: str = NEVER
    tm_create: str
    tm_update: str = NEVER
    tm_delete: str = NEVER
    on_hold: bool = False
    """The phone has put us on hold."""
    conference_id: str = ZERO_ID
    """The conference whose room (or whose pre_actions or post_actions) this call is in."""


class RecordingStatus(StrEnum):
    """Forward only."""

    INITIATING = "initiating"
    """Asked for; nothing has been heard yet."""
    RECORDING = "recording"
    STOPPING = "stopping"
    ENDED = "ended"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    customer_id: str
    reference_type: str
    """`conference` or `call`."""
    reference_id: str
    status: RecordingStatus
    format: str = "wav"
    tm_start: str = NEVER
    """When the first sound was written."""
    tm_end: str = NEVER
    tm_create: str
    tm_update: str = NEVER
    tm_delete: str = NEVER
    duration_ms: int = 0
    """Length of what was written; final once `ended`."""
    parts: int = 0
    """Files it consists of: one, and one more for each time the media engine had to be started again."""
    end_reason: str = ""
    """`stopped`, `duration`, `silence`, `key`, `conference_ended`, `call_ended`, `disk_error`, `media_lost`;
    empty before the end."""


Resource = Conference | Conferencecall | Call | Recording


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, with the resource as it was after it. The log is append-only.

    The store adds `position` (the reader's place in the log) when it writes the entry.
    """

    id: str
    type: str
    """`conference_created`, `conference_updated`, `conference_deleted`, `conferencecall_joining`, `..._joined`,
    `..._leaving`, `..._leaved`, `call_created`, `call_updated`, `call_ringing`, `call_progressing`,
    `call_terminating`, `call_canceling`, `call_hangup`, `recording_created`, `recording_started`,
    `recording_finished`, `recording_deleted`, `action_failed`, `server_recovered`, `media_lost`."""
    customer_id: str
    conference_id: str = ZERO_ID
    number: int = 0
    """Gapless from 1 within its conference; 0 for what belongs to none, or comes when the conference is long over."""
    tm: str
    cause: str = ""
    """What brought it about, in words a person understands."""
    data: Resource | None = None
    """The resource after the change."""
