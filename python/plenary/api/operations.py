"""The table of operations: each with its route, parameters, body, answer and errors.

Routing, checking of requests, the OpenAPI document and the tests that run over every operation are made from this
table. A new operation is one row here and one function of the same name in `handlers`.
"""

from ..core.resources import Call, Conference, Conferencecall, ConferenceStatus, Recording
from ..store.views import MAX_EVENTS, MAX_POSITION
from . import examples
from .answers import (
    CallPage,
    CallStatistics,
    ConferencecallPage,
    ConferencePage,
    CreatedCalls,
    EventPage,
    Health,
    Pong,
    Readiness,
    RecordingPage,
)
from .bodies import (
    CreateCallsBody,
    CreateConferenceBody,
    EmptyBody,
    StartRecordingBody,
    UpdateConferenceBody,
)
from .operation import (
    CONFERENCE_FILTER,
    EVENTS_DEFAULT,
    PAGE,
    WAIT_MAX_S,
    Operation,
    Parameter,
)
from .operations_joining import JOINING

_NOT_FOUND = {
    "{conference_id}": "conference_not_found",
    "{conferencecall_id}": "conferencecall_not_found",
    "{recording_id}": "recording_not_found",
    "{call_id}": "call_not_found",
    "{token_id}": "token_not_found",
}

_ACTION_ERRORS = ("unknown_action", "bad_option", "bad_id", "unknown_target", "too_many_actions", "actions_too_long")
_CONFERENCE_ERRORS = (
    *_ACTION_ERRORS,
    "bad_alias",
    "too_many_aliases",
    "alias_taken",
    "too_long",
    "bad_text",
    "server_ending",
)
_ADDRESS_ERRORS = ("bad_destinations", "bad_address_type", "bad_target", "no_trunk", "too_long", "bad_text")
_RECORDING_ERRORS = ("conference_not_ready", "conference_terminating", "conference_terminated", "engine_away")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_conference",
        method="POST",
        path="/v1.0/conferences",
        tag="Conferences",
        summary="Create a conference",
        description="Answers once the conference is on disk. Phones reach it at `sip:<id>@<host>` and by its "
        "`settings.aliases`. Its status becomes `progressing` as soon as the room can take calls.",
        body=CreateConferenceBody,
        answer=Conference,
        errors=(*_CONFERENCE_ERRORS, "too_many_conferences", "unavailable"),
        example=examples.WITH_ALIAS,
        answer_example=examples.conference(new=True),
    ),
    Operation(
        name="list_conferences",
        method="GET",
        path="/v1.0/conferences",
        tag="Conferences",
        summary="List conferences",
        description="Newest first. Deleted conferences are not listed, but can still be read by their id.",
        query=PAGE,
        answer=ConferencePage,
        errors=("invalid_page_token",),
        answer_example={"result": [examples.conference()], "next_page_token": ""},
    ),
    Operation(
        name="get_conference",
        method="GET",
        path="/v1.0/conferences/{conference_id}",
        tag="Conferences",
        summary="Read a conference",
        answer=Conference,
        answer_example=examples.conference(),
    ),
    Operation(
        name="update_conference",
        method="PUT",
        path="/v1.0/conferences/{conference_id}",
        tag="Conferences",
        summary="Change a conference",
        description="Replaces all fields that can be changed: **what is left out is reset to its default.** You may "
        "send back the whole conference as you read it: read-only fields are ignored, as long as they are well-formed "
        "and `id`, `customer_id` and `type` are the conference's own. A new `timeout` counts from creation. Changed "
        "actions hold for calls that enter afterwards.",
        body=UpdateConferenceBody,
        answer=Conference,
        errors=(
            "read_only_field",
            *_CONFERENCE_ERRORS,
            "conference_terminating",
            "conference_terminated",
            "unavailable",
        ),
        example=examples.UPDATE_CONFERENCE,
        answer_example=examples.conference(),
    ),
    Operation(
        name="delete_conference",
        method="DELETE",
        path="/v1.0/conferences/{conference_id}",
        tag="Conferences",
        summary="End a conference",
        description="Everybody leaves the room at once, runs the `post_actions` and is hung up. The status is "
        "`terminated` as soon as the room is empty; those who have left it may still hear the farewell: their calls "
        "are `hangup` after that.",
        answer=Conference,
        errors=("unavailable",),
        answer_example=examples.conference(ConferenceStatus.TERMINATED),
    ),
    Operation(
        name="start_conference_recording",
        method="POST",
        path="/v1.0/conferences/{conference_id}/recording_start",
        tag="Conferences",
        summary="Start recording a conference",
        description="Records the mix of the room. It can be started in an empty room, and begins with the first sound. "
        "The conference's `recording_id` is the recording.",
        body=StartRecordingBody,
        body_required=False,
        answer=Conference,
        errors=(
            *_RECORDING_ERRORS,
            "bad_format",
            "recording_already_active",
            "too_many_recordings",
            "unavailable",
        ),
        example=examples.START_RECORDING,
        answer_example=examples.conference(recording=True),
    ),
    Operation(
        name="stop_conference_recording",
        method="POST",
        path="/v1.0/conferences/{conference_id}/recording_stop",
        tag="Conferences",
        summary="Stop recording a conference",
        body=EmptyBody,
        body_required=False,
        answer=Conference,
        errors=("recording_not_active", "conference_terminating", "conference_terminated", "unavailable"),
        answer_example=examples.conference(),
    ),
    Operation(
        name="list_conferencecalls",
        method="GET",
        path="/v1.0/conferencecalls",
        tag="Participants",
        summary="List conferencecalls",
        description="A conferencecall is one stay of one call in one conference. Newest first.",
        query=(*PAGE, CONFERENCE_FILTER),
        answer=ConferencecallPage,
        errors=("invalid_page_token", "invalid_id"),
        answer_example={"result": [examples.CONFERENCECALL], "next_page_token": ""},
    ),
    Operation(
        name="get_conferencecall",
        method="GET",
        path="/v1.0/conferencecalls/{conferencecall_id}",
        tag="Participants",
        summary="Read a conferencecall",
        answer=Conferencecall,
        answer_example=examples.CONFERENCECALL,
    ),
    Operation(
        name="kick_conferencecall",
        method="DELETE",
        path="/v1.0/conferencecalls/{conferencecall_id}",
        tag="Participants",
        summary="Take a participant out",
        description="In whatever state it is. The call then runs the conference's `post_actions`.",
        answer=Conferencecall,
        errors=("unavailable",),
        answer_example=examples.CONFERENCECALL,
    ),
    *JOINING,
    Operation(
        name="list_recordings",
        method="GET",
        path="/v1.0/recordings",
        tag="Recordings",
        summary="List recordings",
        query=PAGE,
        answer=RecordingPage,
        errors=("invalid_page_token",),
        answer_example={"result": [examples.RECORDING], "next_page_token": ""},
    ),
    Operation(
        name="get_recording",
        method="GET",
        path="/v1.0/recordings/{recording_id}",
        tag="Recordings",
        summary="Read a recording",
        description="Its status, length and times; the sound is at `/v1.0/recordingfiles/{recording_id}`.",
        answer=Recording,
        answer_example=examples.RECORDING,
    ),
    Operation(
        name="delete_recording",
        method="DELETE",
        path="/v1.0/recordings/{recording_id}",
        tag="Recordings",
        summary="Delete a recording",
        description="The sound is removed from the disk.",
        answer=Recording,
        errors=("wrong_state", "unavailable"),
        answer_example=examples.RECORDING,
    ),
    Operation(
        name="download_recording",
        method="GET",
        path="/v1.0/recordingfiles/{recording_id}",
        tag="Recordings",
        summary="Download a recording",
        description="One WAV file. While it is being recorded, you get what has been written so far. "
        "One range can be asked for (RFC 9110, section 14), with `If-Range` and the `ETag`.",
        media_type="audio/wav",
        errors=("recording_has_no_file", "range_not_satisfiable"),
    ),
    Operation(
        name="create_calls",
        method="POST",
        path="/v1.0/calls",
        tag="Calls",
        summary="Call phones",
        description="Rings each destination; each call runs `actions` once it is answered. To pull somebody into a "
        "conference, let it run `conference_join`.",
        body=CreateCallsBody,
        answer=CreatedCalls,
        errors=(*_ACTION_ERRORS, *_ADDRESS_ERRORS, "too_many_calls", "engine_away", "server_ending", "unavailable"),
        example=examples.CREATE_CALLS,
        answer_example={"calls": [examples.CALL], "groupcalls": []},
    ),
    Operation(
        name="list_calls",
        method="GET",
        path="/v1.0/calls",
        tag="Calls",
        summary="List calls",
        query=PAGE,
        answer=CallPage,
        errors=("invalid_page_token",),
        answer_example={"result": [examples.CALL], "next_page_token": ""},
    ),
    Operation(
        name="get_call",
        method="GET",
        path="/v1.0/calls/{call_id}",
        tag="Calls",
        summary="Read a call",
        answer=Call,
        answer_example=examples.CALL,
    ),
    Operation(
        name="get_call_statistics",
        method="GET",
        path="/v1.0/calls/{call_id}/statistics",
        tag="Calls",
        summary="Statistics of a call",
        description="Loss, jitter, delay of each stage, level. At most two seconds old.",
        answer=CallStatistics,
        errors=("call_without_media",),
        answer_example=examples.CALL_STATISTICS,
    ),
    Operation(
        name="delete_call",
        method="DELETE",
        path="/v1.0/calls/{call_id}",
        tag="Calls",
        summary="Hang up a call",
        answer=Call,
        errors=("wrong_state", "unavailable"),
        answer_example=examples.CALL,
    ),
    Operation(
        name="hang_up_call",
        method="POST",
        path="/v1.0/calls/{call_id}/hangup",
        tag="Calls",
        summary="Hang up a call (POST)",
        description="The same as DELETE.",
        body=EmptyBody,
        body_required=False,
        answer=Call,
        errors=("wrong_state", "unavailable"),
        answer_example=examples.CALL,
    ),
    Operation(
        name="list_events",
        method="GET",
        path="/v1.0/events",
        tag="Events",
        summary="Read the event log",
        description="What happened after a position, oldest first; [the types](/docs/events). With `wait_s` the "
        "answer waits for something to happen. Ask again with `after` set to `next_position`, for ever: "
        "you miss nothing, even if you were away for a day.",
        query=(
            Parameter(
                name="after",
                description="Position after which to read; 0: from the beginning.",
                schema={"type": "integer", "minimum": 0, "maximum": MAX_POSITION, "default": 0},
            ),
            Parameter(
                name="limit",
                description=f"How many at most, 1 to {MAX_EVENTS}.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": EVENTS_DEFAULT},
            ),
            Parameter(
                name="wait_s",
                description=f"Seconds to wait if there is nothing yet, 0 to {WAIT_MAX_S}.",
                schema={"type": "integer", "minimum": 0, "maximum": WAIT_MAX_S, "default": 0},
            ),
            CONFERENCE_FILTER,
        ),
        answer=EventPage,
        errors=("too_many_long_polls", "invalid_id"),
        answer_example=examples.EVENTS,
    ),
    Operation(
        name="ping",
        method="GET",
        path="/ping",
        tag="Server",
        summary="Ping",
        description="Answers, and does nothing else.",
        answer=Pong,
        public=True,
        answer_example={"message": "pong"},
    ),
    Operation(
        name="healthz",
        method="GET",
        path="/healthz",
        tag="Server",
        summary="Health",
        description="Answers as long as the process is alive.",
        answer=Health,
        public=True,
        answer_example={"status": "ok", "version": "0.1.0"},
    ),
    Operation(
        name="readyz",
        method="GET",
        path="/readyz",
        tag="Server",
        summary="Readiness",
        description="200 if calls can be taken, else 503 with the reasons.",
        answer=Readiness,
        public=True,
        answer_example={"ready": True, "reasons": [], "sip": [{"address": "192.0.2.1:5060", "srtp": "optional"}]},
    ),
    Operation(
        name="metrics",
        method="GET",
        path="/metrics",
        tag="Server",
        summary="Metrics",
        description="Figures for Prometheus. Needs a key of any customer, except where the server listens on "
        "the loopback interface only.",
        media_type="text/plain",
    ),
    Operation(
        name="openapi_json",
        method="GET",
        path="/openapi.json",
        tag="Server",
        summary="OpenAPI document",
        description="This description for programs: OpenAPI 3.1.",
        media_type="application/json",
        public=True,
    ),
    Operation(
        name="docs",
        method="GET",
        path="/docs",
        tag="Server",
        summary="Reference",
        description="This description, to be read. `/` leads here.",
        media_type="text/html",
        public=True,
    ),
    Operation(
        name="docs_errors",
        method="GET",
        path="/docs/errors",
        tag="Server",
        summary="Errors",
        description="Every error, with what to do about it.",
        media_type="text/html",
        public=True,
    ),
    Operation(
        name="docs_actions",
        method="GET",
        path="/docs/actions",
        tag="Server",
        summary="Actions",
        description="Every type of action, with its options.",
        media_type="text/html",
        public=True,
    ),
    Operation(
        name="docs_events",
        method="GET",
        path="/docs/events",
        tag="Server",
        summary="Event types",
        description="Every type of entry in the event log.",
        media_type="text/html",
        public=True,
    ),
)


def ids_of(operation: Operation) -> list[str]:
    """Names of the ids in its path."""
    return [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]


def error_codes(operation: Operation) -> list[str]:
    """Every code that the operation can answer with, its own and those of its form."""
    codes: list[str] = [] if operation.public else ["authentication_required", "invalid_credentials", "scope_missing"]
    if operation.scope:
        codes += ["token_expired", "token_revoked", "token_wrong_conference"]
    codes += ["unknown_parameter", "invalid_parameter"]
    ids = ids_of(operation)
    if ids:
        codes.append("invalid_id")
        codes += [_NOT_FOUND[f"{{{name}}}"] for name in ids]
    if operation.body is not None:
        codes += ["invalid_json", "json_too_deep", "missing_field", "unknown_field", "invalid_value"]
        codes += ["body_too_large", "unsupported_media_type"]
    if operation.sdp:
        codes += ["body_too_large", "unsupported_media_type", "bad_sdp", "webrtc_off"]
    codes += operation.errors
    codes.append("internal_error")
    return list(dict.fromkeys(codes))
