"""Ten thousand listeners in one room: as many as the engine serves without a late tick, and what stops the next.

A large room has two threads: they and the generator share both cores.
"""

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure
from machine import on_all_cores, settle
from mixing import load_steps
from processes import NotMeasured, engine

LISTENERS = 10_000
TALKERS = 3
STEP = 1_000
SECONDS = 2
FILES_OF_ITS_OWN = 128
"""Files of an engine, at most, that are not of legs which have agreed on rtcp-mux: those are one each."""


def hall(quick: bool) -> Iterator[Figure]:
    """One room that grows: Opus, three talk, all others only listen."""
    legs = 2 * STEP if quick else LISTENERS + TALKERS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = files - FILES_OF_ITS_OWN
    options = ("--codecs", "opus", "--receive-only", "--step", str(STEP))
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder), alone=False) as (control, pid):
        on_all_cores()
        try:
            found = load_steps(control, pid, min(legs, most), LISTENERS + TALKERS, SECONDS, *options)
        finally:
            settle()
    held = [each for each in found if not _trouble(each)]
    if not held:
        raise NotMeasured(f"not even {STEP} listeners: {_trouble(found[0])}")
    best, last = held[-1], found[-1]
    end = _trouble(last)
    if last["legs"] < min(legs, most) and not end:
        end = f"the next {STEP:,} did not get in in time, at {last['cores']:.2f} core"
    elif end:
        end = f"at {last['legs']:,.0f}: {end}, {last['cores']:.2f} core"
    elif most < legs:
        end = f"no more than {files:,} files may be open here, one a leg"
    else:
        end = "the search ends here"
    group = "One room, three talk, all others listen (Opus, two cores with the generator)"
    yield Figure(
        group=group,
        what="listeners without a late tick",
        value=best["legs"] - TALKERS,
        unit="listeners",
        budget=float(legs - TALKERS),
        at_least=True,
        note=f"{best['cores']:.2f} core at that; {end}",
    )
    yield Figure(
        group=group,
        what="encodes in a tick",
        value=best["encodes_a_tick"],
        unit="",
        budget=TALKERS + 1.1,
        note=f"{best['decodes_a_tick']:.1f} decodes, {best['shared_a_tick']:,.0f} copies",
    )
    late = sum(each["late_while_joining"] for each in held)
    yield Figure(
        group=group,
        what="late ticks while they came in",
        value=late,
        unit="ticks",
        budget=0.0,
        note=f"{STEP:,} in {best['joining_s']:.1f} s at the end",
    )
    yield Figure(group=group, what="cost", value=best["ucore_per_leg"], unit="µcore/leg")
    yield Figure(
        group=group,
        what="jitter of what listeners get, p99",
        value=best["jitter_ms_p99"],
        unit="ms",
        note=f"{best['voices_heard']:.0f} of {TALKERS} voices heard, {best['packets_lost']:.0f} packets lost, "
        f"{best['unsent']:.0f} not sent",
    )
    yield Figure(group=group, what="memory", value=best["bytes_per_leg"] / 1024, unit="KiB/leg", budget=256.0)


def _trouble(found: dict[str, Any]) -> str:
    if found["phones_short"]:
        return f"{found['phones_short']:,.0f} legs lack packets, {found['late_ticks']:.0f} late ticks"
    if found["late_ticks"]:
        return f"{found['late_ticks']:.0f} late ticks"
    return ""
