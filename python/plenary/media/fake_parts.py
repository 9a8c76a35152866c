"""What `FakeEngine` keeps of its legs, their plays and the recordings."""

from collections import deque
from dataclasses import dataclass, field

from . import messages as wire


@dataclass
class Play:
    """Sound that a leg is played, or that waits for its turn."""

    name: str
    duration_ms: float
    loop: bool
    ends: float | None = None
    """Time at which it is over; None while it waits, or for a loop."""


@dataclass
class Leg:
    """A peer, and what it is doing."""

    name: str
    port: int
    version: int = 0
    """Of our SDP (RFC 3264 section 8); rises with each offer and answer."""
    room: str | None = None
    direction: wire.Direction = "sendrecv"
    negotiated: bool = False
    offering: bool = False
    """Our offer waits for its answer."""
    talking: bool = False
    muted: bool = False
    connected: bool = False
    keys: str | None = None
    """Of its handshake, with us or with an engine before us."""
    opened: wire.OpenLeg | None = None
    """What it was opened with."""
    noise_suppression: bool = False
    normaliser: bool = False
    voice_activity: bool = True
    limiter: bool = True
    plays: deque[Play] = field(default_factory=deque[Play])


@dataclass
class Recording:
    """A recording that is wanted; it has begun once `started`."""

    name: str
    path: str
    room: str | None
    leg: str | None
    max_duration_ms: int
    end_of_silence_ms: int
    started: float | None = None
    last_sound: float = 0.0
    rate: int = wire.RATE_HZ


@dataclass
class Fault:
    """A command that is to fail, counted down to."""

    countdown: int
    command: type[wire.Message] | None
