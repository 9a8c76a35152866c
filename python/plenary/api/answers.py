"""What operations answer with, beside the resources themselves.

Lists and events are put together from JSON that the store has; their structs are for the description.
"""

from typing import Annotated, Any, Literal

import msgspec

from ..core.resources import (
    Call,
    Conference,
    Conferencecall,
    ConferenceStatus,
    JoinToken,
    LogEntry,
    Recording,
    TokenRole,
)


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
    buffer_ms: float | None
    """How long packets wait in the jitter buffer, beyond the wait for the tick; `null` until one was played."""
    tick_wait_ms: float | None
    """From a packet's arrival to the tick that mixes it; `null` until one was played."""
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
    codec: str | None
    """Encoding name, such as `opus` or `PCMU`."""
    sample_rate_hz: int | None
    """Of what its codec carries."""
    transport: str | None
    """`rtp`, `srtp` (keys by SDES), `dtls` or `webrtc`."""
    stretched_ms: int
    """Sound that was played slower or faster, to change the jitter buffer's delay unheard."""
    fec_ms: int
    """Lost sound that the codec's forward error correction brought back."""
    starved: int
    """Ticks that had nothing to mix while it was speaking."""
    target_ms: float | None
    """The delay that the jitter buffer aims at."""
    decode_us: float | None
    """Time that decoding takes."""
    encode_us: float | None
    """Time that encoding what it hears takes; `null` while others hear the same, and one of them is encoded for."""
    loss_percent: float | None
    """Packets from it that were lost, of the last seconds."""
    loss_out_percent: float | None
    """Packets to it that were lost, of the last seconds, as it says itself; many phones say nothing."""
    noise_suppression: bool
    """Noise is taken out of what it says."""
    normaliser: bool
    """What it says is brought to an even loudness."""
    voice_activity: bool
    """What is no voice is kept out of what it sends."""
    limiter: bool
    """What it hears is brought down where it would be above full scale; otherwise it is cut there."""
    gain_db: float | None
    """What the normaliser adds now."""


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


# --- Join tokens and pages -------------------------------------------------------------------------------------------


class CreatedToken(JoinToken, frozen=True, kw_only=True):
    """A join token that has just been made. Only now is it shown whole."""

    token: str
    """What the page sends: `Authorization: Bearer TOKEN`."""
    url: str
    """Where a browser joins by it, on this server."""


class JoinTokenPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of join tokens, newest first."""

    result: list[JoinToken]
    next_page_token: str
    """What to send as `page_token` for the next page; empty: this is the last one."""


class JoinInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a join token is good for."""

    conference_id: str
    """The conference that it lets in to."""
    conference_name: str
    """Its name."""
    conference_status: ConferenceStatus
    """Its status: nobody joins what is not `progressing`."""
    token_id: str
    """Id of the token."""
    name: str
    """What the others will see; empty: whoever joins chooses (`?name=`)."""
    role: TokenRole
    """What its holder is in the conference."""
    scopes: list[str]
    """What its holder may do."""
    tm_expire: str
    """Until when it is good."""
    webrtc: bool
    """Whether this server lets browsers in at all."""


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the room."""

    id: str
    """Id of his conferencecall."""
    name: str
    """What to call him."""
    kind: str
    """`phone` or `web`."""
    role: str
    """`participant`, `listener` or `moderator`; empty for a phone."""
    talking: bool
    """Whether he speaks now."""
    muted: bool
    """The others do not hear him."""
    level_dbfs: float | None
    """How loud he is; 0 is full scale. At most two seconds old; `null`: not measured, or he is muted."""
    you: bool
    """Whether this is the call that was asked about."""
    tm_joined: str
    """Since when he has been on his way in."""


class You(msgspec.Struct, frozen=True, kw_only=True):
    """How the call of a page stands."""

    call_id: str
    """The call."""
    participant_id: str
    """Its conferencecall; empty before its actions have begun."""
    state: Literal["connecting", "entering", "in_room", "after", "over"]
    """`connecting`: answered, no path found yet. `entering`: hears the `pre_actions`. `in_room`: with the others.
    `after`: hears the `post_actions`. `over`: hung up."""
    muted: bool
    """The others do not hear him."""
    can_unmute: bool
    """Not true for listeners."""
    reconnect: bool
    """The server has lost his media: his page has 15 s to join again with its seat."""
    recorded: bool
    """The room or this call is being recorded."""
    reason: str
    """Why he is out of the room: as the `reason` of a conferencecall, or the `hangup_reason` of a call."""


class Participants(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a room."""

    version: str
    """What to send as `since` next time, to wait for a change."""
    total: int
    """How many are in the room."""
    participants: list[Participant]
    """Up to 200 of them, in the order in which they came; who talks, and you, are always among them."""
    you: You | None
    """The call that was asked about."""


# --- Quality ---------------------------------------------------------------------------------------------------------


class DelayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time goes, in milliseconds."""

    network_ms: float | None
    """One way: half of the round trip that RTCP or STUN measured."""
    jitter_buffer_ms: float | None
    """What the jitter buffer holds back."""
    tick_wait_ms: float | None
    """From a packet's turn to the tick that mixes it."""
    decode_ms: float | None
    """Decoding."""
    mix_ms: float | None
    """Mixing."""
    encode_ms: float | None
    """Encoding what this call hears; `null` while others hear the same, and one of them is encoded for."""
    send_ms: float | None
    """Sending."""
    speaking_ms: float | None
    """From his mouth into the mix: gathering a packet, network, jitter buffer, tick, decoding."""
    listening_ms: float | None
    """From the mix to his ear: mixing, encoding, sending, network."""


class CallQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How a call sounds, as the media engine said at most two seconds ago. `null`: not measured (yet)."""

    call_id: str
    """The call."""
    conferencecall_id: str
    """Its conferencecall while it is in a room; otherwise empty."""
    codec: str | None
    """Encoding name, such as `opus` or `PCMU`."""
    sample_rate_hz: int | None
    """Of what its codec carries."""
    transport: str | None
    """`rtp`, `srtp` (keys by SDES), `dtls` or `webrtc`."""
    delay: DelayFigures
    """Where the time goes."""
    mouth_to_ear_ms: float | None
    """The median between him and each of the others in the room, both ways. What devices add is not in it."""
    loss_percent: float | None
    """Packets from him that were lost, of the last seconds."""
    loss_out_percent: float | None
    """Packets to him that were lost, of the last seconds, as his phone or browser says; many phones say nothing."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550 A.8)."""
    concealed_ms: int
    """Sound that was made up for what was lost or late, since the call began."""
    fec_ms: int
    """Lost sound that the codec's forward error correction brought back."""
    stretched_ms: int
    """Sound that was played slower or faster, to change the jitter buffer's delay unheard."""
    starved: int
    """Ticks that had nothing of him to mix while he was speaking."""
    mos: float | None
    """What the others would say of how they hear him: 1 to 4.5, estimated by the E-model. Compare scores of the same
    model only."""
    mos_model: Literal["G.107", "G.107.1", "G.107.2"] | None
    """Which E-model: of narrowband, wideband or fullband."""
    words: Literal["excellent", "good", "fair", "poor", "bad"] | None
    """The same for people."""


class ConferenceQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How a conference sounds. `null`: not measured (yet)."""

    conference_id: str
    """The conference."""
    mouth_to_ear_ms: float | None
    """The median over the pairs of speaker and listener."""
    mouth_to_ear_worst_ms: float | None
    """The worst of them."""
    worst_speaker_id: str
    """The conferencecall that is heard the latest; empty if nothing was measured."""
    worst_listener_id: str
    """The conferencecall that hears it the latest."""
    mos: float | None
    """The median of the participants' scores, all on the scale of the widest codec that is spoken in the room."""
    mos_worst: float | None
    """The worst of them."""
    mos_model: Literal["G.107", "G.107.1", "G.107.2"] | None
    """Which E-model that is. Those of `participants` are of their own codec's."""
    participants: list[CallQuality]
    """Each of those in the room, up to 200."""


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The server answers."""

    message: str = "pong"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: str = "ok"
    version: str


class SipListener(msgspec.Struct, frozen=True, kw_only=True):
    """Where phones call."""

    address: str
    """`HOST:PORT`, as phones are told it."""
    srtp: Literal["never", "optional", "required"]
    """What is done about their encryption there."""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether calls can be taken, and where."""

    ready: bool
    reasons: list[str]
    """Why not, a sentence each."""
    sip: list[SipListener]
    """Calls are placed by the first that others can reach. No secret, though no key is asked for: whoever reaches one
    learns its policy by the answer to a call."""


assert {"position", *LogEntry.__struct_fields__} == set(LoggedEvent.__struct_fields__)
