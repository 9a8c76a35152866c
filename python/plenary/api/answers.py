"""What operations answer with, beside the resources themselves.

Lists and events are put together from JSON that the store has; their structs are for the description.
"""

from typing import Annotated, Any

import msgspec

from ..core.resources import Call, Conference, Conferencecall, LogEntry, Recording


class CallStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How the media of a call fare, as the media engine said at most two seconds ago. `null`: not measured (yet)."""

    call_id: str
    packets_received: int
    packets_sent: int
    bytes_received: int
    bytes_sent: int
    lost: int
    """RTP packets that never came (RFC 3550 A.3)."""
    late: int
    """Packets that came too late to be played."""
    duplicate: int
    reordered: int
    concealed_ms: int
    """Sound that was made up for what was lost or late."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550 A.8)."""
    round_trip_ms: float | None
    """To the phone and back, by RTCP."""
    buffer_ms: float
    """Delay of the jitter buffer."""
    tick_wait_ms: float
    """From a packet's arrival to the tick that mixes it."""
    mix_us: float
    """Time the tick takes to mix."""
    send_us: float
    """Time the tick takes to send."""
    strangers: int
    """Packets dropped because another address sent them."""
    malformed: int
    level_dbfs: float
    """Loudness of what the phone says; 0 is full scale."""
    talking: bool


class ConferencePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of conferences, newest first."""

    result: list[Conference]
    next_page_token: str
    """What to send as `page_token` for the next page; empty: this is the last one."""


class ConferencecallPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of conferencecalls, newest first."""

    result: list[Conferencecall]
    next_page_token: str
    """What to send as `page_token` for the next page; empty: this is the last one."""


class RecordingPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of recordings, newest first."""

    result: list[Recording]
    next_page_token: str
    """What to send as `page_token` for the next page; empty: this is the last one."""


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of calls, newest first."""

    result: list[Call]
    next_page_token: str
    """What to send as `page_token` for the next page; empty: this is the last one."""


class CreatedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that were started."""

    calls: list[Call]
    """One for each destination, in their order."""
    groupcalls: list[Any] = []
    """Always empty: no destination type rings a group."""


AnyResource = Annotated[
    Any,
    msgspec.Meta(
        extra_json_schema={
            "anyOf": [
                *(
                    {"$ref": f"#/components/schemas/{kind.__name__}"}
                    for kind in (Conference, Conferencecall, Call, Recording)
                ),
                {"type": "null"},
            ]
        }
    ),
]
"""For the description only: answers are put together from JSON that is there already."""


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, with the resource as it was after it."""

    position: int
    """Place in the log, growing; not gapless for one reader."""
    id: str
    type: str
    """What happened, such as `conferencecall_joined`. [All types](/docs/events)."""
    customer_id: str
    conference_id: str
    """The conference that it belongs to; the zero id: none."""
    number: int
    """Gapless from 1 within its conference; 0 for what belongs to none."""
    tm: str
    cause: str
    """What brought it about, in words."""
    data: AnyResource
    """The resource after the change, if one was changed."""


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """What happened after a position, oldest first."""

    result: list[LoggedEvent]
    next_position: int
    """What to send as `after` next time. Nothing is missed and nothing comes twice."""


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The server answers."""

    message: str = "pong"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: str = "ok"
    version: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether calls can be taken."""

    ready: bool
    reasons: list[str]
    """Why not, a sentence each."""


assert {"position", *LogEntry.__struct_fields__} == set(LoggedEvent.__struct_fields__)
