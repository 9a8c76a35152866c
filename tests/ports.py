"""Ports of what the tests start. They are below those that the kernel gives to whoever names none (from 32768 on), so
that one that is free now is not somebody's own by the time it is bound."""

import os
import socket

FIRST, END = 10_000, 31_000
"""The tests of the Rust driver have those from END to 32,767."""

KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

_next = FIRST + os.getpid() % 100 * 200
"""Another place for each run, as two may go on side by side."""


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody has. Each is given out once before any is given again."""
    global _next
    for _ in range(2 * (END - FIRST)):
        if _next + count > END:
            _next = FIRST
        taken = next((port for port in reversed(range(_next, _next + count)) if _is_taken(port)), None)
        first, _next = _next, _next + count if taken is None else taken + 1
        if taken is None:
            return first
    raise AssertionError(f"no {count} free ports in a row between {FIRST} and {END}")


def free_port() -> int:
    return free_ports(1)


def is_bound(port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> bool:
    """Whether somebody on this machine has this port."""
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _is_taken(port: int) -> bool:
    return any(is_bound(port, kind) for kind in KINDS)
