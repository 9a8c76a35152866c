"""Identifiers and times as the API writes them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

ZERO_ID = "00000000-0000-0000-0000-000000000000"
"""No reference. Never null, never absent."""

NEVER = "9999-01-01 00:00:00.000000"
"""A time stamp that has not happened yet."""

UUID_PATTERN = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""An id in the form in which it is stored and compared: lower case."""

Ids = Callable[[], str]
"""Makes a new UUID (version 4, lower case) at each call. Simulations hand in a seeded one."""


def stamp(now: float) -> str:
    """`now` (seconds since the Unix epoch) as `YYYY-MM-DD HH:MM:SS.ffffff` in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


_UUID = re.compile(UUID_PATTERN, re.IGNORECASE)


def is_id(text: str) -> bool:
    """True for a UUID in its canonical form, in either case."""
    return _UUID.fullmatch(text) is not None
