"""Resources and log entries in few words."""

import uuid
from typing import Any

from plenary.core.changes import Changes, Row
from plenary.core.resources import (
    Address,
    Call,
    CallDirection,
    CallStatus,
    Conference,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
    ConferenceType,
    LogEntry,
    Recording,
    RecordingStatus,
    Resource,
)

NOON = "2026-03-01 12:00:00.000000"


def new_id() -> str:
    return str(uuid.uuid4())


def conference(customer: str, **more: Any) -> Conference:
    values: dict[str, Any] = {"id": new_id(), "tm_create": NOON} | more
    return Conference(
        customer_id=customer, type=ConferenceType.CONFERENCE, status=ConferenceStatus.PROGRESSING, **values
    )


def conferencecall(customer: str, conference_id: str, **more: Any) -> Conferencecall:
    values: dict[str, Any] = {"id": new_id(), "reference_id": new_id(), "tm_create": NOON} | more
    return Conferencecall(
        customer_id=customer, conference_id=conference_id, status=ConferencecallStatus.JOINED, **values
    )


def call(customer: str, **more: Any) -> Call:
    values: dict[str, Any] = {"id": new_id(), "tm_create": NOON} | more
    return Call(
        customer_id=customer,
        source=Address(target="ann@example.com"),
        destination=Address(target="room@example.com"),
        status=CallStatus.PROGRESSING,
        direction=CallDirection.INCOMING,
        **values,
    )


def recording(customer: str, reference_id: str, **more: Any) -> Recording:
    values: dict[str, Any] = {"id": new_id(), "tm_create": NOON} | more
    return Recording(
        customer_id=customer,
        reference_type="conference",
        reference_id=reference_id,
        status=RecordingStatus.RECORDING,
        **values,
    )


def rows(*resources: Resource, live: bool = True, state: bytes = b"state") -> Changes:
    return Changes(rows=[Row(resource=resource, state=state, live=live) for resource in resources])


def entry(customer: str, type: str = "conference_updated", **more: Any) -> LogEntry:
    values: dict[str, Any] = {"id": new_id(), "tm": NOON} | more
    return LogEntry(customer_id=customer, type=type, **values)
