"""Identifiers and times as the API writes them."""

from collections.abc import Callable
from datetime import UTC, datetime

ZERO_ID = "00000000-0000-0000-0000-000000000000"
"""No reference. Never null, never absent."""

NEVER = "9999-01-01 00:00:00.000000"
"""A time stamp that has not happened yet."""

Ids = Callable[[], str]
"""Makes a new UUID (version 4, lower case) at each call. Simulations hand in a seeded one."""


def stamp(now: float) -> str:
    """`now` (seconds since the Unix epoch) as `YYYY-MM-DD HH:MM:SS.ffffff` in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
