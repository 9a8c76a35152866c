"""The examples of the documentation. They are values of the real types, so they can't be out of date."""

from typing import Any

import msgspec

from ..core.ids import NEVER, ZERO_ID
from ..core.resources import (
    Action,
    Address,
    Call,
    CallDirection,
    CallStatus,
    Conference,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
    ConferenceType,
    JoinToken,
    LogEntry,
    Recording,
    RecordingStatus,
    Settings,
    TokenRole,
)
from .answers import (
    CallQuality,
    CallStatistics,
    ConferenceQuality,
    CreatedToken,
    DelayFigures,
    JoinInfo,
    Participant,
    Participants,
    You,
)

CUSTOMER_ID = "6a1f3a1e-93a3-4a41-8d9e-7b7d1f0f5b22"
CONFERENCE_ID = "99accfb7-c0dd-4a54-997d-dd18af7bc280"
CONFERENCECALL_ID = "5b7c9d0e-12f3-4c56-8a9b-0c1d2e3f4a5b"
RECORDING_ID = "c3f1a6d2-7e84-4b0c-9d5a-1f2e3d4c5b6a"
TOKEN_ID = "b7a6c5d4-e3f2-4109-8a7b-6c5d4e3f2a1b"
CALL_ID = "0e8d7c6b-5a49-4382-9170-6f5e4d3c2b1a"
IDS = {
    "conference_id": CONFERENCE_ID,
    "conferencecall_id": CONFERENCECALL_ID,
    "recording_id": RECORDING_ID,
    "call_id": CALL_ID,
    "token_id": TOKEN_ID,
}
"""What stands for each id of a path."""

_CREATED = "2026-02-03 06:08:56.672025"
_LATER = "2026-02-03 06:09:21.004310"


def _built(value: msgspec.Struct) -> dict[str, Any]:
    return msgspec.to_builtins(value)


CREATE_CONFERENCE: dict[str, Any] = {
    "type": "conference",
    "name": "test conference",
    "detail": "test conference for example.",
    "data": {},
    "timeout": 0,
    "pre_actions": [
        {
            "type": "talk",
            "option": {"text": "Hello. Welcome to the test conference.", "gender": "female", "language": "en-US"},
        }
    ],
    "post_actions": [
        {
            "type": "talk",
            "option": {
                "text": "The conference has closed. Thank you. Good bye.",
                "gender": "female",
                "language": "en-US",
            },
        }
    ],
}

UPDATE_CONFERENCE: dict[str, Any] = {
    **{key: value for key, value in CREATE_CONFERENCE.items() if key != "type"},
    "name": "weekly",
    "timeout": 3600,
    "settings": {"aliases": ["4000"]},
}

WITH_ALIAS: dict[str, Any] = {**CREATE_CONFERENCE, "settings": {"aliases": ["4000"]}}
"""The same, for a phone to dial."""

_RIGHT, _WRONG = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
PIN: list[dict[str, Any]] = [
    {"type": "talk", "option": {"text": "Please enter your PIN.", "language": "en-US", "digits_handle": "next"}},
    {"type": "digits_receive", "option": {"duration": 10_000, "length": 3}},
    {"type": "branch", "option": {"target_ids": {"421": _RIGHT}, "default_target_id": _WRONG}},
    {"id": _WRONG, "type": "talk", "option": {"text": "That was wrong. Good bye.", "language": "en-US"}},
    {"type": "hangup"},
    {"id": _RIGHT, "type": "beep"},
]
"""`pre_actions` that let in who knows a number."""

START_RECORDING: dict[str, Any] = {"format": "wav", "duration": 3600, "end_of_silence": 0}

CREATE_CALLS: dict[str, Any] = {
    "source": {"type": "sip", "target": "desk@example.org", "target_name": "Front desk"},
    "destinations": [{"type": "sip", "target": "alice@192.0.2.10:5060"}],
    "actions": [{"type": "conference_join", "option": {"conference_id": CONFERENCE_ID}}],
}


def conference(
    status: ConferenceStatus = ConferenceStatus.PROGRESSING, *, new: bool = False, recording: bool = False
) -> dict[str, Any]:
    actions = [
        [Action(type=action["type"], option=action["option"]) for action in CREATE_CONFERENCE[name]]
        for name in ("pre_actions", "post_actions")
    ]
    over = status is ConferenceStatus.TERMINATED
    return _built(
        Conference(
            id=CONFERENCE_ID,
            customer_id=CUSTOMER_ID,
            type=ConferenceType.CONFERENCE,
            status=status,
            name="test conference",
            detail="test conference for example.",
            pre_actions=actions[0],
            post_actions=actions[1],
            conferencecall_ids=[] if new or over else [CONFERENCECALL_ID],
            recording_id=RECORDING_ID if recording else ZERO_ID,
            recording_ids=[RECORDING_ID] if recording else [],
            tm_create=_CREATED,
            tm_update=NEVER if new else _LATER,
            tm_delete=_LATER if over else NEVER,
            tm_end=_LATER if over else NEVER,
            settings=Settings(aliases=["4000"]),
        )
    )


CONFERENCECALL = _built(
    Conferencecall(
        id=CONFERENCECALL_ID,
        customer_id=CUSTOMER_ID,
        conference_id=CONFERENCE_ID,
        reference_id=CALL_ID,
        status=ConferencecallStatus.JOINED,
        tm_create=_CREATED,
        tm_update=_LATER,
    )
)

RECORDING = _built(
    Recording(
        id=RECORDING_ID,
        customer_id=CUSTOMER_ID,
        reference_type="conference",
        reference_id=CONFERENCE_ID,
        status=RecordingStatus.RECORDING,
        tm_start=_LATER,
        tm_create=_CREATED,
        tm_update=_LATER,
        parts=1,
    )
)

CALL = _built(
    Call(
        id=CALL_ID,
        customer_id=CUSTOMER_ID,
        source=Address(target="desk@example.org", target_name="Front desk"),
        destination=Address(target="alice@192.0.2.10:5060"),
        status=CallStatus.DIALING,
        direction=CallDirection.OUTGOING,
        tm_create=_CREATED,
    )
)

EVENTS: dict[str, Any] = {
    "result": [
        {
            "position": 4711,
            **_built(
                LogEntry(
                    id="f0e1d2c3-b4a5-4697-8889-7a6b5c4d3e2f",
                    type="conferencecall_joined",
                    customer_id=CUSTOMER_ID,
                    conference_id=CONFERENCE_ID,
                    number=7,
                    tm=_LATER,
                    cause="pre_actions are done",
                    data=msgspec.convert(CONFERENCECALL, Conferencecall),
                )
            ),
        }
    ],
    "next_position": 4711,
}

CALL_STATISTICS = _built(
    CallStatistics(
        call_id=CALL_ID,
        packets_received=3012,
        packets_sent=3014,
        bytes_received=518064,
        bytes_sent=518408,
        lost=3,
        late=0,
        duplicate=0,
        reordered=1,
        concealed_ms=60,
        jitter_ms=1.2,
        round_trip_ms=24.5,
        buffer_ms=0.0,
        tick_wait_ms=9.6,
        mix_us=8.1,
        send_us=31.0,
        strangers=0,
        malformed=0,
        level_dbfs=-21.4,
        talking=True,
        codec="opus",
        sample_rate_hz=48_000,
        transport="webrtc",
        stretched_ms=340,
        fec_ms=60,
        starved=0,
        target_ms=40.0,
        decode_us=52.0,
        encode_us=250.0,
        loss_percent=0.4,
        loss_out_percent=0.1,
        noise_suppression=False,
        normaliser=False,
        voice_activity=True,
        limiter=True,
        gain_db=None,
    )
)

_TOKEN = JoinToken(
    id=TOKEN_ID,
    customer_id=CUSTOMER_ID,
    conference_id=CONFERENCE_ID,
    name="Ann",
    role=TokenRole.PARTICIPANT,
    scopes=["join", "publish", "roster", "digits"],
    seats=10,
    tm_create=_CREATED,
    tm_expire="2026-02-03 07:08:56.000000",
)
JOIN_TOKEN = _built(_TOKEN)
CREATED_TOKEN = _built(CreatedToken(**msgspec.structs.asdict(_TOKEN), token="eyJhbGciOi…", url="/join/eyJhbGciOi…"))
JOIN_INFO = _built(
    JoinInfo(
        conference_id=CONFERENCE_ID,
        conference_name="test conference",
        conference_status=ConferenceStatus.PROGRESSING,
        token_id=TOKEN_ID,
        name="Ann",
        role=TokenRole.PARTICIPANT,
        scopes=_TOKEN.scopes,
        tm_expire=_TOKEN.tm_expire,
        webrtc=True,
    )
)
_YOU = You(
    call_id=CALL_ID,
    participant_id=CONFERENCECALL_ID,
    state="in_room",
    muted=False,
    can_unmute=True,
    reconnect=False,
    recorded=False,
    reason="",
)
YOU = _built(_YOU)
PARTICIPANTS = _built(
    Participants(
        version="k3x9-42",
        total=1,
        participants=[
            Participant(
                id=CONFERENCECALL_ID,
                name="Ann",
                kind="web",
                role="participant",
                talking=True,
                muted=False,
                level_dbfs=-21.5,
                you=True,
                tm_joined=_CREATED,
            )
        ],
        you=_YOU,
    )
)
_QUALITY = CallQuality(
    call_id=CALL_ID,
    conferencecall_id=CONFERENCECALL_ID,
    codec="opus",
    sample_rate_hz=48_000,
    transport="webrtc",
    delay=DelayFigures(
        network_ms=12.5,
        jitter_buffer_ms=40.0,
        tick_wait_ms=9.8,
        decode_ms=0.05,
        mix_ms=0.1,
        encode_ms=0.25,
        send_ms=0.1,
        speaking_ms=88.85,
        listening_ms=12.95,
    ),
    mouth_to_ear_ms=101.8,
    loss_percent=0.4,
    loss_out_percent=0.1,
    jitter_ms=3.1,
    concealed_ms=120,
    fec_ms=60,
    stretched_ms=340,
    starved=0,
    mos=4.2,
    mos_model="G.107.2",
    words="excellent",
)
CALL_QUALITY = _built(_QUALITY)
CONFERENCE_QUALITY = _built(
    ConferenceQuality(
        conference_id=CONFERENCE_ID,
        mouth_to_ear_ms=101.8,
        mouth_to_ear_worst_ms=160.2,
        worst_speaker_id=CONFERENCECALL_ID,
        worst_listener_id="1d2e3f4a-5b6c-4d7e-8f90-a1b2c3d4e5f6",
        mos=4.2,
        mos_worst=3.9,
        mos_model="G.107.2",
        participants=[_QUALITY],
    )
)
OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 126",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:4ZcD",
        "a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZq",
        "…",
        "",
    )
)
