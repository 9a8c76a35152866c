"""What a request must be like. Each check raises `Invalid` with the JSON pointer of the field at fault."""

import re

import msgspec

from .actions import check_actions
from .errors import Invalid
from .events import CreateCalls, CreateConference, StartConferenceRecording, UpdateConference
from .limits import (
    DATA_BYTES_MAX,
    DESTINATIONS_MAX,
    DETAIL_MAX,
    NAME_MAX,
    RECORDING_MAX_S,
    TARGET_MAX,
    TIMEOUT_MAX_S,
)
from .resources import Address
from .routing import check_aliases

__all__ = ["check_actions", "check_calls", "check_conference", "check_recording"]

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# user@host[:port][;parameters]: no blanks, quotes, angle brackets, headers or controls, so that it stays one URI
# (RFC 3261 section 19.1.1) wherever it is put.
_SIP_TARGET = re.compile(
    r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]+@)"
    rf"(?:(?=[A-Za-z0-9.-]{{1,253}}(?:[:;]|$)){_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:;[A-Za-z0-9_.!~*'%=;-]+)?"
)
_SIP_SOURCE = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,;?/%-]+(?:@(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_conference(request: CreateConference | UpdateConference) -> None:
    _check_length(request.name, NAME_MAX, "/name")
    _check_length(request.detail, DETAIL_MAX, "/detail")
    if len(msgspec.json.encode(request.data)) > DATA_BYTES_MAX:
        raise Invalid("too_long", f"Data have at most {DATA_BYTES_MAX} bytes as JSON.", "/data")
    if not 0 <= request.timeout <= TIMEOUT_MAX_S:
        raise Invalid("invalid_value", f"A timeout is 0 to {TIMEOUT_MAX_S} seconds; 0 means none.", "/timeout")
    size = check_actions(request.pre_actions, "/pre_actions")
    check_actions(request.post_actions, "/post_actions", beside=size)
    check_aliases(request.settings.aliases, "/settings/aliases")


def check_recording(request: StartConferenceRecording) -> None:
    if request.format != "wav":
        raise Invalid("bad_format", "The only format is wav.", "/format")
    for field, seconds in (("duration", request.duration), ("end_of_silence", request.end_of_silence)):
        if not 0 <= seconds <= RECORDING_MAX_S:
            raise Invalid("invalid_value", f"0 to {RECORDING_MAX_S} seconds; 0 means no limit.", f"/{field}")


def check_calls(request: CreateCalls) -> None:
    """Source and destinations; `check_actions` looks at the actions."""
    if not 0 < len(request.destinations) <= DESTINATIONS_MAX:
        raise Invalid("bad_destinations", f"One to {DESTINATIONS_MAX} destinations.", "/destinations")
    for place, destination in enumerate(request.destinations):
        path = f"/destinations/{place}"
        _check_address(destination, path)
        if destination.type == "tel":
            raise Invalid(
                "no_trunk",
                "No trunk is picked for a number: call it as a sip address, number@host, where host is the trunk.",
                f"{path}/type",
            )
        found = _SIP_TARGET.fullmatch(destination.target)
        if found is None or not 0 < int(found["port"] or 5060) < 65536:
            raise Invalid("bad_target", "A sip address is user@host or user@host:port.", f"{path}/target")
    _check_address(request.source, "/source")
    target = request.source.target
    if target and not _SIP_SOURCE.fullmatch(target):
        raise Invalid("bad_target", "A source is user, user@host or a number.", "/source/target")


def _check_address(address: Address, path: str) -> None:
    if address.type not in ("sip", "tel"):
        raise Invalid("bad_address_type", "The types of an address are sip and tel.", f"{path}/type")
    for field, limit in (("target", TARGET_MAX), ("target_name", NAME_MAX), ("name", NAME_MAX), ("detail", DETAIL_MAX)):
        value: str = getattr(address, field)
        _check_length(value, limit, f"{path}/{field}")
        if _CONTROL.search(value):
            raise Invalid("bad_text", "There is a control character in it.", f"{path}/{field}")


def _check_length(text: str, limit: int, path: str) -> None:
    if len(text) > limit:
        raise Invalid("too_long", f"At most {limit} characters.", path)
