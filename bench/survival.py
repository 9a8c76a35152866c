"""How long a start takes, and what callers notice when something is killed."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figure, middle
from machine import cpu_s
from processes import Crowd, NotMeasured, Serving, serving

PHONES = 10
START_S = 1.0
API_BACK_S = 2.0
LEGS_BACK_S = 3.0
GAP_MS = 100.0
GIVEN_UP_S = 12.0


def start(quick: bool) -> Iterator[Figure]:
    runs = 1 if quick else 3
    fresh: list[float] = []
    known: list[float] = []
    busy: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            server = Serving(Path(name) / "data")
            try:
                fresh.append(server.start())
                server.end()
                known.append(server.start())
                busy.append(cpu_s(server.process.pid))
            finally:
                server.end()
    for what, times in (("with a fresh data folder", fresh), ("with a known data folder", known)):
        yield Figure(
            group="Start",
            what=f"exec until /readyz, {what}",
            value=middle(times),
            unit="s",
            budget=START_S,
            note=f"{_range(times)}; {middle(busy):.2f} s of a core's time",
        )


def crash(quick: bool) -> Iterator[Figure]:
    """kill -9 of the server, which is started again at once; then of the engine."""
    runs = 1 if quick else 3
    gaps: list[float] = []
    back: list[float] = []
    legs_back: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name, serving(Path(name) / "data") as server:
            room = server.create()
            with Crowd(server, [room], PHONES) as crowd:
                time.sleep(0.5)
                crowd.ask("reset")
                server.kill()
                back.append(server.start())
                time.sleep(1.0)
                gaps.append(_everybody(crowd)["longest_gap_ms"])
                crowd.ask("reset")
                engine = server.engine_pid()
                os.kill(engine, signal.SIGKILL)
                time.sleep(0.3)
                deadline = time.monotonic() + GIVEN_UP_S
                while crowd.ask("report")["silent_now"] and time.monotonic() < deadline:
                    time.sleep(0.02)
                legs_back.append(_everybody(crowd)["longest_gap_ms"] / 1000)
                if server.engine_pid() == engine:
                    raise NotMeasured("the engine was not started again")
    group = f"Crash, {PHONES} phones talking"
    yield Figure(
        group=group,
        what="kill -9 of the server: longest gap for anyone",
        value=middle(gaps),
        unit="ms",
        budget=GAP_MS,
        note=_range(gaps),
    )
    yield Figure(
        group=group,
        what="kill -9 of the server: API back",
        value=middle(back),
        unit="s",
        budget=API_BACK_S,
        note=_range(back),
    )
    yield Figure(
        group=group,
        what="kill -9 of the engine: longest silence for anyone",
        value=middle(legs_back),
        unit="s",
        budget=LEGS_BACK_S,
        note=_range(legs_back),
    )


def _range(values: list[float]) -> str:
    return f"median of {len(values)}: {min(values):.2f} to {max(values):.2f}"


def _everybody(crowd: Crowd) -> dict[str, float]:
    found = crowd.ask("report")
    if found["ended"] or found["silent_now"]:
        raise NotMeasured(f"{found['ended']} calls were lost, {found['silent_now']} hear nothing")
    return found
