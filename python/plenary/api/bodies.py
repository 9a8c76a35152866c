"""The bodies that requests carry, and what the core is asked with them.

Their docstrings are the texts of the API documentation. Unknown fields are refused, numbers have bounds; what a name, a
text or an action's option may hold is the core's to say.
"""

from typing import Annotated, Any, Literal

import msgspec

from ..core import ids
from ..core.ids import ZERO_ID
from ..core.limits import RECORDING_MAX_S, TIMEOUT_MAX_S
from ..core.resources import Action, Address, ConferenceStatus, ConferenceType, Settings, TokenRole

UUID_PATTERN = f"^{ids.UUID_PATTERN}$"
KEYS_PATTERN = "^[0-9*#A-D]{1,32}$"
STAMP_PATTERN = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$"

TOKEN_EXPIRY_MAX_S = 366 * 86_400
"""A year: a link that is to live longer is better renewed."""

Uuid = Annotated[str, msgspec.Meta(pattern=UUID_PATTERN, max_length=36)]
Stamp = Annotated[str, msgspec.Meta(pattern=STAMP_PATTERN, max_length=26)]
Timeout = Annotated[int, msgspec.Meta(ge=0, le=TIMEOUT_MAX_S)]
RecordingSeconds = Annotated[int, msgspec.Meta(ge=0, le=RECORDING_MAX_S)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request's body."""


class ActionBody(Body, frozen=True, kw_only=True):
    """One step of a flow."""

    id: Uuid = ZERO_ID
    """A name for this action that others can jump to."""
    next_id: Uuid = ZERO_ID
    """Where to go on after this action; the zero id is the next one in the list."""
    type: str
    """What to do, such as `talk`. [All types](/docs/actions)."""
    option: dict[str, Any] = {}
    """How to do it; each type has its own options."""

    def action(self) -> Action:
        return Action(id=self.id, next_id=self.next_id, type=self.type, option=self.option)


class AddressBody(Body, frozen=True, kw_only=True):
    """One end of a call."""

    type: Literal["sip", "tel"] = "sip"
    """How to read `target`."""
    target: str
    """`user@host[:port]` for `sip`, `+` and the number for `tel`."""
    target_name: str = ""
    """The name that the other phone shows."""
    name: str = ""
    """A label of yours."""
    detail: str = ""
    """A note of yours."""

    def address(self) -> Address:
        return Address(
            type=self.type, target=self.target, target_name=self.target_name, name=self.name, detail=self.detail
        )


class CreateConferenceBody(Body, frozen=True, kw_only=True):
    """A new conference. Only `type` must be given."""

    type: ConferenceType
    """`conference`: a room that stays until it is deleted or times out. `connect`: two parties put through."""
    name: str = ""
    """Free text."""
    detail: str = ""
    """Free text."""
    data: dict[str, Any] = {}
    """Yours: stored and returned as given."""
    timeout: Timeout = 0
    """Seconds from creation after which the conference terminates by itself; 0: never."""
    pre_actions: list[ActionBody] = []
    """Run, in order, for each call that enters, before it is put into the room."""
    post_actions: list[ActionBody] = []
    """Run, in order, for each call that leaves the room with the line still up."""
    settings: Settings = Settings()
    """What a conference can have beyond these fields. The defaults change nothing."""


class UpdateConferenceBody(Body, frozen=True, kw_only=True):
    """Replaces `name`, `detail`, `data`, `timeout`, `pre_actions`, `post_actions` and `settings`.

    What is left out is reset to its default. The other fields are read-only: they may be there, so that you can send
    back what you got. `id`, `customer_id` and `type` must then be what they are; the rest is checked for form only.
    """

    name: str = ""
    """Free text."""
    detail: str = ""
    """Free text."""
    data: dict[str, Any] = {}
    """Yours: stored and returned as given."""
    timeout: Timeout = 0
    """Seconds from creation after which the conference terminates by itself; 0: never."""
    pre_actions: list[ActionBody] = []
    """Run, in order, for each call that enters from now on, before it is put into the room."""
    post_actions: list[ActionBody] = []
    """Run, in order, for each call that leaves the room with the line still up."""
    settings: Settings = Settings()
    """What a conference can have beyond these fields."""
    id: Uuid | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    customer_id: Uuid | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    type: ConferenceType | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    status: ConferenceStatus | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    conferencecall_ids: list[Uuid] | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    recording_id: Uuid | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    recording_ids: list[Uuid] | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    tm_create: Stamp | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    tm_update: Stamp | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    tm_delete: Stamp | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    transcribe_id: Uuid | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    transcribe_ids: list[Uuid] | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""
    tm_end: Stamp | msgspec.UnsetType = msgspec.UNSET
    """Read-only."""


class StartRecordingBody(Body, frozen=True, kw_only=True):
    """How to record. All of it may be left out."""

    format: Literal["wav"] = "wav"
    """16 bit PCM, mono."""
    duration: RecordingSeconds = 0
    """Seconds after which it ends by itself; 0: no limit."""
    end_of_silence: RecordingSeconds = 0
    """Seconds of silence after which it ends by itself; 0: no limit."""


class CreateCallsBody(Body, frozen=True, kw_only=True):
    """Phones to ring."""

    source: AddressBody
    """Who calls, as the phones show it."""
    destinations: Annotated[list[AddressBody], msgspec.Meta(min_length=1)]
    """One call is made to each."""
    actions: list[ActionBody] = []
    """Run, in order, for each call once it is answered."""


class CreateTokenBody(Body, frozen=True, kw_only=True):
    """Who is to be let in. All of it may be left out."""

    name: str = ""
    """What the others see, at most 64 characters; empty: whoever joins chooses."""
    role: TokenRole = TokenRole.PARTICIPANT
    """What he is in the conference."""
    scopes: Annotated[list[str], msgspec.Meta(max_length=16)] | None = None
    """What he may do: `join`, and some of what his role may; left out: all of that."""
    expiry: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_EXPIRY_MAX_S)] = 86_400
    """Seconds from now until the token lets nobody in any more. Who is in by then stays."""
    seats: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 10
    """How many may be in by it at once."""


class DigitsBody(Body, frozen=True, kw_only=True):
    """Keys that are pressed, in their order."""

    digits: Annotated[str, msgspec.Meta(pattern=KEYS_PATTERN)]
    """1 to 32 of `0123456789*#ABCD`."""


class ProcessingBody(Body, frozen=True, kw_only=True):
    """What is done to what he says before the others hear it, and to what he hears. What is left out goes back to its
    default."""

    noise_suppression: bool = False
    """Noise is taken out of what he says."""
    normaliser: bool = False
    """It is brought to an even loudness, slowly."""
    voice_activity: bool = True
    """What is no voice is kept out of what he sends, and `talking` is told. Without it, all that he sends is heard,
    also faint music and the noise of his room, and `talking` stays `false`."""
    limiter: bool = True
    """What he hears is brought down where it would be above full scale. Without it, it is cut there."""


class EmptyBody(Body, frozen=True, kw_only=True):
    """Nothing."""
