"""What mixing costs the media engine: microcores, delay, memory, and how many legs one core carries."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure, middle
from machine import CORES, GENERATOR_CORE
from processes import EXAMPLES, NotMeasured, engine, printed, printed_lines

LEGS = 300
MIXING_S = 2
"""After 2 s in which the load generator lets everything settle."""
ROOM_SIZES = (3, 10, 50, 100, 300)
PEER_UCORE = {3: 2830, 10: 1823, 50: 1693, 100: 1713, 300: 1717}
PEER_DELAY_MS = (16.0, 21.0)
"""Asterisk 22.10 in rooms of ten without a jitter buffer, p50 and p99."""
DELAY_ROOM = 10
"""Thirty rooms, so that bursts begin anywhere between two ticks; one large room would show one place only."""
PEER_BYTES = 650 * 1024
PEER_CAPACITY = 560
"""Asterisk in rooms of ten."""
UCORE = 330.0
DELAY_MS = (12.0, 21.0)
CAPACITY = 3000.0
BYTES = 64 * 1024
STEPS = (3000, 4000, 5000)
FINEST_STEP = 250
JOINS_S = 0.01
"""The longest that a leg may take to join."""
LATE_SHARE = 0.01
"""Ticks that may begin more than 5 ms late at capacity."""
GAP_MS = 100.0
ATTEMPTS = 2
"""Others use the machine as well: a number of legs fails if it does so twice."""
GENERATOR_FULL = "the generator can't send more"
GENERATOR_LATE = 1.03
"""A generator that takes this much longer than it should does not send a packet every 20 ms any more."""


def load(control: Path, pid: int, legs: int, room_size: int, seconds: int, *options: str) -> dict[str, Any]:
    """One run of the load generator."""
    return load_steps(control, pid, legs, room_size, seconds, *options)[-1]


def load_steps(control: Path, pid: int, legs: int, room_size: int, seconds: int, *options: str) -> list[dict[str, Any]]:
    """The same with `--step`: what was found after each."""
    command = [str(EXAMPLES / "load"), "--socket", str(control), "--pid", str(pid)]
    command += ["--legs", str(legs), "--room-size", str(room_size), "--seconds", str(seconds), *options]
    return printed_lines(command, JOINS_S * legs + seconds * 20 + 30)


def floor(room_size: int, seconds: int) -> dict[str, Any]:
    """The bare system calls, without jitter buffers."""
    cores = ",".join(map(str, sorted({CORES[0], *GENERATOR_CORE})))
    command = ["taskset", "-c", cores, str(EXAMPLES / "floor"), str(LEGS), str(room_size), str(seconds)]
    return printed(command, seconds + 20)


def mixing(quick: bool) -> Iterator[Figure]:
    """300 legs in rooms of all sizes, beside the bare system calls."""
    runs = 1 if quick else 2
    sizes = (10,) if quick else ROOM_SIZES
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
        for size in sizes:
            found = [load(control, pid, LEGS, size, MIXING_S) for _ in range(runs)]
            ucore = middle([each["ucore_per_leg"] for each in found])
            bare = floor(size, MIXING_S)
            yield Figure(
                group=f"Mixing, {LEGS} legs",
                what=f"rooms of {size}",
                value=ucore,
                unit="µcore/leg",
                budget=UCORE,
                peer=PEER_UCORE[size],
                note=f"{ucore / bare['ucore_per_leg']:.1f} times the bare system calls ({bare['ucore_per_leg']:.0f})",
            )
            if size == DELAY_ROOM:
                for name, key, budget, peer in zip(
                    ("p50", "p99"), ("delay_ms_p50", "delay_ms_p99"), DELAY_MS, PEER_DELAY_MS, strict=True
                ):
                    yield Figure(
                        group=f"Mixing, {LEGS} legs",
                        what=f"added delay in rooms of {size}, {name}",
                        value=middle([each[key] for each in found]),
                        unit="ms",
                        budget=budget,
                        peer=peer,
                        note=f"jitter buffer on, the peer's off; the bare loop, which has none: {bare[key]:.1f} ms",
                    )


def memory(quick: bool) -> Iterator[Figure]:
    """Growth of the engine between 100 legs and many. Each count in an engine of its own: freed memory stays."""
    many = 600 if quick else 2000
    resident: dict[int, float] = {}
    for legs in (100, many):
        with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
            resident[legs] = load(control, pid, legs, 10, 1)["bytes_per_leg"] * legs
    yield Figure(
        group="Memory",
        what=f"of the engine, growth from 100 to {many:,} legs",
        value=(resident[many] - resident[100]) / (many - 100) / 1024,
        unit="KiB/leg",
        budget=BYTES / 1024,
        peer=PEER_BYTES / 1024,
        note="memory of the process; the kernel's socket buffers are not in it",
    )


def capacity(quick: bool) -> Iterator[Figure]:
    """Steps up until a run fails twice, then halves the distance."""
    seconds, steps = (2, STEPS[:1]) if quick else (3, STEPS)
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
        held, failed, why, at_failed, cores = 0, 0, "", "", 0.0

        def holds(legs: int) -> bool:
            nonlocal why, cores
            for _ in range(ATTEMPTS):
                found = load(control, pid, legs, 10, seconds)
                why = _trouble(found, seconds)
                if not why:
                    cores = found["cores"]
                    return True
                if why == GENERATOR_FULL:
                    break
            return False

        for legs in steps:
            if not holds(legs):
                failed, at_failed = legs, why
                break
            held = legs
        while failed and not quick and failed - held > FINEST_STEP:
            half = (held + failed) // 2
            if holds(half):
                held = half
            else:
                failed, at_failed = half, why
        if not held:
            raise NotMeasured(f"not even {STEPS[0]} legs: {why}")
        end = f"at {failed:,}: {at_failed}" if failed else "the search ends here"
        yield Figure(
            group="Capacity",
            what="legs on one core, rooms of 10",
            value=held,
            unit="legs",
            budget=CAPACITY,
            at_least=True,
            peer=PEER_CAPACITY,
            note=f"{cores:.2f} core at that; {end}",
        )


def _trouble(found: dict[str, Any], seconds: int) -> str:
    late = found["late_ticks"] / max(1, found["ticks"])
    # 400 ticks a second and thread: what is far beyond has waited for the generator.
    if found["ticks"] > 400 * (seconds + 0.2) * GENERATOR_LATE:
        return GENERATOR_FULL
    if found["phones_short"]:
        return f"{found['phones_short']} legs lack packets"
    if found["longest_gap_ms"] > GAP_MS:
        return f"a gap of {found['longest_gap_ms']:.0f} ms"
    if late > LATE_SHARE:
        return f"{late:.1%} late ticks"
    return ""
