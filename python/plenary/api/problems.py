"""Every error of the API: which there are, what they mean, and how they are sent (RFC 9457).

A problem has a stable `code`; `CATALOGUE` holds each of them once, and the page `/docs/errors` is made from it. The
codes below are those of the API itself and those that the core refuses with (`core.errors.Refusal`).
"""

from typing import Any

import msgspec

from ..core.errors import Refusal

MEDIA_TYPE = "application/problem+json"


class ProblemType(msgspec.Struct, frozen=True):
    """One kind of error."""

    code: str
    status: int
    title: str
    """The kind, the same sentence each time it occurs (RFC 9457, section 3.1.3)."""
    fix: str
    """What to do about it."""


def _kinds(status: int, *rows: tuple[str, str, str]) -> list[ProblemType]:
    return [ProblemType(code, status, title, fix) for code, title, fix in rows]


CATALOGUE: dict[str, ProblemType] = {
    kind.code: kind
    for kind in [
        *_kinds(
            400,
            ("bad_request", "The request is no valid HTTP.", "Check the Host header and the form of the request."),
            (
                "invalid_json",
                "The body is no valid JSON.",
                "Send one JSON object in UTF-8, nothing before or after it.",
            ),
            ("json_too_deep", "The body is nested too deeply.", "Nest arrays and objects at most 32 deep."),
            ("missing_field", "A field that must be there is missing.", "Add the field that `errors` points to."),
            (
                "unknown_field",
                "The body has a field that does not exist.",
                "Look for a misspelt name. Unknown fields are never ignored: nothing you ask for is lost silently.",
            ),
            (
                "invalid_value",
                "A field has a value that can't be honoured.",
                "Send a value of the type and within the bounds that the field's description gives.",
            ),
            (
                "read_only_field",
                "A field that never changes was given another value.",
                "Leave `id`, `customer_id` and `type` out of a PUT, or send them as you got them.",
            ),
            ("invalid_id", "An id is not a UUID.", "Send it as it came: 8-4-4-4-12 hexadecimal digits."),
            ("unknown_parameter", "The address has a parameter that does not exist.", "Look for a misspelt name."),
            (
                "invalid_parameter",
                "A parameter of the address has a value that can't be honoured.",
                "Send it once, within the bounds that its description gives. Values are never silently replaced.",
            ),
            (
                "invalid_page_token",
                "The page token is none that a list gave.",
                "Send `next_page_token` of the page before, unchanged and URL-encoded, or none to start again.",
            ),
            (
                "unknown_action",
                "An action has a type that does not exist.",
                "Use one of [the types](/docs/actions).",
            ),
            (
                "bad_option",
                "An action has an option that it can't use.",
                "Compare [the options](/docs/actions) that the action takes.",
            ),
            (
                "unknown_target",
                "An action leads to one that is not in its list.",
                "Give the `id` of an action of the same list. A `${name}` is looked up only when the action runs.",
            ),
            ("bad_id", "An id in an action is no UUID.", "Send a UUID in lower case, or leave the field out."),
            (
                "too_many_actions",
                "A list has too many actions.",
                "Shorten the list, or let `goto` repeat a part of it.",
            ),
            ("actions_too_long", "The actions are too large.", "Let `play` fetch long texts as sound instead."),
            ("option_too_long", "An option is too long once its variables are filled in.", "Shorten the variables."),
            ("bad_variable", "A variable's name or value is too long.", "Shorten it."),
            ("too_many_variables", "A call has too many variables.", "Use fewer, or shorter ones."),
            ("bad_alias", "An alias can't be dialled.", "Use letters, digits and `._+*#~!=&$-`; nothing like an id."),
            ("too_many_aliases", "A conference has too many aliases.", "Remove some."),
            ("too_long", "A text or `data` is too long.", "Shorten it to what `detail` says."),
            ("bad_text", "A text has a control character.", "Remove it."),
            (
                "bad_sdp",
                "The body is no session description that a call can be made of.",
                "Send the SDP of `RTCPeerConnection.createOffer()` as it is; `detail` says what it has to have.",
            ),
            ("bad_seat", "The header Seat is malformed.", "Send 1 to 64 letters, digits, `-` and `_`."),
            ("bad_name", "A name is too long or has a control character.", "Send at most 64 characters."),
            (
                "bad_scopes",
                "A join token can't have these scopes.",
                "Send `join` and some of what its role may, or leave the field out.",
            ),
            ("bad_format", "A recording can't have this format.", "Send `wav`, or leave the field out."),
            ("bad_destinations", "There are too few or too many destinations.", "Send one to fifty."),
            ("bad_address_type", "There is no such type of address.", "Use `sip`, or `tel` for who calls."),
            ("bad_target", "An address can't be called.", "Send `user@host` or `user@host:port` for `sip`."),
            ("no_trunk", "No trunk is picked for a number.", "Call it as a `sip` address: number@host of the trunk."),
        ),
        *_kinds(
            401,
            (
                "authentication_required",
                "No access key was given.",
                "Send `Authorization: Bearer KEY`, or the parameter `accesskey` or `token`.",
            ),
            (
                "invalid_credentials",
                "The access key is not valid.",
                "Use the key that the server printed at its first start, or the one in PLENARY_ACCESS_KEY.",
            ),
            (
                "token_expired",
                "The join token has expired.",
                "Ask for a new link. Who is in by it stays in, and comes back to his seat while his call is up.",
            ),
            ("token_revoked", "The join token was taken back.", "Ask for a new link."),
        ),
        *_kinds(
            403,
            ("scope_missing", "The join token does not allow this.", "Make a token with this scope, or use a key."),
            (
                "token_wrong_conference",
                "The join token is for another conference.",
                "Use the conference that `GET /v1.0/join` names.",
            ),
            (
                "join_token_required",
                "Only a join token can be asked about here.",
                "Send `Authorization: Bearer` and a join token; `POST /v1.0/conferences/{id}/tokens` makes one.",
            ),
        ),
        *_kinds(
            404,
            ("route_not_found", "There is nothing at this address.", "Compare the path with the documentation."),
            (
                "conference_not_found",
                "There is no such conference.",
                "Check the id, and that the key belongs to the customer who owns it.",
            ),
            (
                "conferencecall_not_found",
                "There is no such conferencecall.",
                "Check the id. It is not the id of the call, which is the conferencecall's `reference_id`.",
            ),
            ("call_not_found", "There is no such call.", "Check the id."),
            ("token_not_found", "There is no such join token.", "Check the id, which is not the token itself."),
            (
                "recording_not_found",
                "There is no such recording.",
                "Check the id. It is in the conference's `recording_ids`.",
            ),
            (
                "recording_has_no_file",
                "The recording has no sound to download.",
                "Nothing has been said yet, or the recording was deleted. Wait for `recording_started`.",
            ),
        ),
        *_kinds(
            405,
            ("method_not_allowed", "The address does not know this method.", "Use one of those in the `Allow` header."),
        ),
        *_kinds(
            413,
            (
                "body_too_large",
                "The body is too large.",
                "Send at most 1 MiB, of an SDP 64 KiB. Text to speak is best fetched or shortened.",
            ),
        ),
        *_kinds(
            415,
            (
                "unsupported_media_type",
                "The body is not declared as what is asked for.",
                "Send `Content-Type: application/json` (with curl: `--json`, or `-H`); of an SDP, `application/sdp`.",
            ),
        ),
        *_kinds(
            416,
            (
                "range_not_satisfiable",
                "The range lies outside the file.",
                "`Content-Range` of this answer says how long it is.",
            ),
        ),
        *_kinds(
            409,
            (
                "wrong_state",
                "The resource is in a state that does not allow this.",
                "Read it again and look at `status`.",
            ),
            ("conference_not_ready", "The conference is still starting.", "Try once more in a moment."),
            ("conference_terminating", "The conference is ending.", "Create a new one."),
            (
                "conference_terminated",
                "The conference is over.",
                "Create a new one; who was invited asks for another link.",
            ),
            ("alias_taken", "The alias leads to another conference on this server.", "Choose another alias."),
            (
                "recording_already_active",
                "It is being recorded already.",
                "Stop the recording first; `recording_id` says which one runs.",
            ),
            ("call_over", "The call is over.", "Join again."),
            ("media_lost", "The media of the call are gone.", "Join again with the same Seat."),
            ("offer_pending", "Another offer of this page is being answered.", "Try once more in a moment."),
            ("is_listener", "A listener can't be heard.", "Let him in by a token with the scope `publish`."),
            (
                "muted_himself",
                "He has muted himself.",
                "Ask him to unmute himself on his page: nobody else opens a microphone that he has closed.",
            ),
            ("call_without_media", "The call has no media.", "Ask while it is answered, from two seconds on."),
            ("recording_not_active", "It is not being recorded.", "There is nothing to stop."),
        ),
        *_kinds(
            422,
            (
                "no_common_codec",
                "The offer has no audio in a codec that is known here.",
                "Offer audio in Opus, G.722 or G.711; the setting `--codecs` may leave some out.",
            ),
        ),
        *_kinds(
            429,
            ("too_many_tokens", "A conference has too many join tokens.", "Take some back, or let them expire sooner."),
            (
                "token_in_use",
                "As many are in by this join token as it lets in.",
                "Leave first, or ask for another link.",
            ),
            ("too_many_joins", "Too many offers came with this join token.", "Wait a few seconds."),
            (
                "too_many_changes",
                "Too many mutes and keys came with this join token.",
                "Wait a moment. Send several keys in one request.",
            ),
            ("conference_full", "The conference is full.", "Try again later."),
            ("limit_reached", "A limit of this server is reached.", "Use fewer, or try again later."),
            ("too_many_recordings", "It has been recorded too many times.", "Record a new conference or call."),
            ("too_many_conferences", "There are too many conferences.", "Delete one first, or try later."),
            ("too_many_calls", "There are too many calls at the moment.", "Try again later."),
            (
                "too_many_long_polls",
                "Too many requests wait for events.",
                "Share one reader of the log between the parts of your application, or use a shorter `wait_s`.",
            ),
        ),
        *_kinds(
            500,
            (
                "internal_error",
                "The server has a bug.",
                "Nothing that you sent should do this. Report `request_id`: the server's log has the details.",
            ),
        ),
        *_kinds(
            503,
            (
                "unavailable",
                "The server can't do this now.",
                "Try again a little later; `/readyz` says what is missing.",
            ),
            (
                "server_busy",
                "The server has too much to do.",
                "Look whether it was done, then try again a little later.",
            ),
            (
                "webrtc_off",
                "This server lets no browsers in.",
                "Start it with `--webrtc-port`, or join by phone.",
            ),
            ("engine_away", "The media engine is being started again.", "Try once more in a moment."),
            ("server_ending", "The server is being stopped.", "Try again in a moment, when it is up again."),
        ),
    ]
}

_GENERAL = {
    400: "invalid_value",
    404: "route_not_found",
    409: "wrong_state",
    422: "no_common_codec",
    429: "limit_reached",
    503: "unavailable",
}
"""Whose title a refusal gets whose code has no row of its own."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    pointer: str
    """JSON pointer (RFC 6901) into the body, or `/` and the name of a parameter of the address."""
    detail: str
    """What is wrong with it."""


class ProblemBody(msgspec.Struct, frozen=True):
    """What went wrong, as RFC 9457 has it. Branch on `code`; show `detail` to people."""

    type: str
    """Address of the documentation of this kind of problem."""
    title: str
    """The kind of problem, in words."""
    status: int
    """The HTTP status again."""
    detail: str
    """This occurrence: what was wrong and what to do about it."""
    instance: str
    """The path that was asked for."""
    code: str
    """The kind of problem, for programs. Never changes its meaning."""
    request_id: str
    """Also in the header `X-Request-Id` and in the server's log."""
    errors: list[FieldError] = []
    """The fields at fault, if it is a field's fault."""


class Problem(Exception):
    """An error on its way to the client."""

    def __init__(
        self, code: str, detail: str, *, pointer: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = CATALOGUE[code]
        self.detail = detail
        self.pointer = pointer
        """None: no field is at fault. The empty pointer is the whole body."""
        self.headers = headers or {}


def of_refusal(refusal: Refusal) -> tuple[ProblemType, str, str | None]:
    """The kind, detail and pointer of what the core refused. A code without a row is shown under its status's title."""
    kind = CATALOGUE.get(refusal.code)
    if kind is None:
        general = CATALOGUE[_GENERAL[refusal.status]]
        kind = ProblemType(refusal.code, refusal.status, general.title, general.fix)
    return kind, refusal.detail, refusal.path or None


_encoder = msgspec.json.Encoder()


def encode(kind: ProblemType, detail: str, pointer: str | None, *, path: str, request_id: str) -> bytes:
    known: Any = CATALOGUE.get(kind.code)
    return _encoder.encode(
        ProblemBody(
            type=f"/docs/errors#{kind.code}" if known else "/docs/errors",
            title=kind.title,
            status=kind.status,
            detail=detail,
            instance=path,
            code=kind.code,
            request_id=request_id,
            errors=[] if pointer is None else [FieldError(pointer, detail)],
        )
    )
