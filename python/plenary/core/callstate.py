"""What a call is: the live state of its machine, and the tables that say what its reasons and statuses lead to."""

from __future__ import annotations

import msgspec

from .resources import Call, CallStatus
from .runner import RunnerState
from .session import SessionState

TRANSITIONS: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.DIALING: frozenset(set(CallStatus) - {CallStatus.DIALING}),
    CallStatus.RINGING: frozenset(set(CallStatus) - {CallStatus.DIALING, CallStatus.RINGING}),
    CallStatus.PROGRESSING: frozenset({CallStatus.TERMINATING, CallStatus.HANGUP}),
    CallStatus.TERMINATING: frozenset({CallStatus.HANGUP}),
    CallStatus.CANCELING: frozenset({CallStatus.HANGUP}),
    CallStatus.HANGUP: frozenset(),
}

# RFC 3261 section 21. What a phone that has not been answered yet is told, by `hangup_reason`.
REFUSALS = {"normal": 603, "busy": 486, "failed": 500, "timeout": 408}
REFUSAL_OTHERWISE = 480

# The same the other way round: what the phone that we call says.
HANGUP_REASONS = {486: "busy", 600: "busy", 408: "noanswer", 480: "noanswer", 487: "noanswer", 603: "noanswer"}

MEDIA_WORDS = {
    "encryption_required": "This server takes encrypted calls (SRTP) only",
    "encryption_refused": "This server takes none of the encryption that is offered (SRTP)",
}
"""What a phone is told beside the status, where the status alone would leave its owner guessing."""

ENDED_REASONS = {"bye": ("normal", "hangup"), "cancel": ("cancel", "hangup")}
"""Why the signalling ended it -> `hangup_reason`, reason of the conferencecall. Otherwise both `failed`."""


class WebSeat(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a page that joined, to which it can come back."""

    conference: str
    token: str
    """Id of the token that let it in; empty: an access key did."""
    seat: str
    role: str = ""
    speaks: bool = True


class CallState(msgspec.Struct, kw_only=True):
    session: SessionState
    runner: RunnerState
    home: str = ""
    """The conference in whose log the call's entries are numbered: the one it is in, or was in last."""
    started: bool = False
    """Its actions run."""
    answered: bool = False
    """Incoming: 200 sent. Outgoing: 200 received."""
    acked: bool = False
    """Both sides know that it is answered."""
    answer_wanted: bool = False
    """To be answered as soon as there is an SDP to answer with."""
    early: bool = False
    """The phone hears us before it is answered."""
    placed: bool = False
    """Outgoing: INVITE sent."""
    dial_deadline: float = 0.0
    max_deadline: float
    web: WebSeat | None = None
    """None: a phone."""
    muted_himself: bool = False
    """He has closed his microphone on his page: nobody else opens it."""
    talking: bool = False
    """The engine hears him, muted or not, in a room or not yet: it tells of a beginning once."""


def call_variables(call: Call) -> dict[str, str]:
    variables = {
        "voipbin.call.id": call.id,
        "voipbin.call.direction": str(call.direction),
        "voipbin.call.master_call_id": call.master_call_id,
        "voipbin.call.digits": "",
    }
    for end, address in (("source", call.source), ("destination", call.destination)):
        for field in ("name", "detail", "target", "target_name", "type"):
            variables[f"voipbin.call.{end}.{field}"] = getattr(address, field)
    return variables
