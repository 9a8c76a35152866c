"""Rooms of Opus, and of Opus, G.722 and G.711 together: frames, microcores, and how many legs one core carries."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Figure
from mixing import load
from processes import NotMeasured, engine

TALKERS = 3
SIZES = ((3, 60), (10, 100), (100, 300), (1000, 1000))
"""Rooms of so many, and how many legs then: with more of the small ones the core is full."""
SECONDS = 2
OPUS_BYTES = 256 * 1024
PEER_UCORE = 7180
"""Decoding and encoding for everyone, as FreeSWITCH and Janus do it: libopus 1.3.1 alone, complexity 5, no network."""
FIRST_GUESS = 0.7
"""Share of a core at which the search begins."""
GROWTH = 1.15
"""Step of the search; it also says how fine its result is."""
PROBES = 5
ATTEMPTS = 2
"""Others use the machine as well: a number of legs fails if it does so twice."""


@dataclass(frozen=True)
class Rooms:
    """What `load` is told, and what to call it."""

    what: str
    size: int
    few: int
    """Legs that a core surely carries, to guess from."""
    options: tuple[str, ...]


MIXED = "opus,G722,PCMU"
QUIET = ("--receive-only",)
CAPACITIES = (
    Rooms("Opus, rooms of 10, 3 talk", 10, 100, ("--codecs", "opus", *QUIET)),
    Rooms("Opus, rooms of 100, 3 talk", 100, 300, ("--codecs", "opus", *QUIET)),
    Rooms("Opus, rooms of 10, everyone talks: nothing is shared", 10, 40, ("--codecs", "opus", "--talkers", "10")),
    Rooms(
        "Opus, rooms of 100, 3 talk, everyone with gains of his own: nothing is shared",
        100,
        100,
        ("--codecs", "opus", "--rows", *QUIET),
    ),
    Rooms("Opus, G.722, G.711, rooms of 10, 3 talk", 10, 100, ("--codecs", MIXED, *QUIET)),
    Rooms("Opus, G.722, G.711, rooms of 100, 3 talk", 100, 300, ("--codecs", MIXED, *QUIET)),
)


def wideband(quick: bool) -> Iterator[Figure]:
    """Frames and microcores in rooms of all sizes."""
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
        for size, legs in SIZES[1:3] if quick else SIZES:
            for name, codec, classes in (("Opus", "opus", 1), ("Opus, G.722, G.711", MIXED, 3)):
                found = load(control, pid, legs, size, SECONDS, "--codecs", codec, *QUIET)
                group = f"{name}, rooms of {size}, {TALKERS} talk"
                yield Figure(
                    group=group,
                    what="decodes in a tick of a room",
                    value=found["decodes_a_tick"],
                    unit="",
                    budget=TALKERS,
                )
                # Each talker has a mix of his own; everyone else shares one for each codec.
                shared = min(classes, max(0, size - TALKERS))
                yield Figure(
                    group=group,
                    what="encodes in a tick of a room",
                    value=found["encodes_a_tick"],
                    unit="",
                    budget=TALKERS + shared + ENDS_OF_WORDS,
                    note=f"{found['shared_a_tick']:.1f} more packets are copies",
                )
                yield Figure(
                    group=group,
                    what="cost",
                    value=found["ucore_per_leg"],
                    unit="µcore/leg",
                    peer=PEER_UCORE if name == "Opus" else None,
                    note=f"{legs} legs, {_heard(found)}jitter of what they get {found['jitter_ms_p99']:.1f} ms at p99",
                )
                if name == "Opus" and size == SIZES[2][0]:
                    yield Figure(
                        group=group,
                        what="memory of the engine",
                        value=found["bytes_per_leg"] / 1024,
                        unit="KiB/leg",
                        budget=OPUS_BYTES / 1024,
                    )


ENDS_OF_WORDS = 0.1
"""Who has stopped talking is encoded for alone for some ticks more, until his stream and the shared one are alike."""


def _heard(found: dict[str, Any]) -> str:
    """What a listener hears; in rooms where all talk there is none."""
    return f"{found['voices_heard']:.0f} of {TALKERS} voices heard, " if found["listened"] else ""


def wideband_capacity(quick: bool) -> Iterator[Figure]:
    """Legs that one core carries without one late tick."""
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
        for rooms in CAPACITIES[:1] if quick else CAPACITIES:
            yield _search(control, pid, rooms)


def _search(control: Path, pid: int, rooms: Rooms) -> Figure:
    def attempt(legs: int) -> tuple[str, float]:
        why, ucore = "", 0.0
        for _ in range(ATTEMPTS):
            found = load(control, pid, legs, rooms.size, SECONDS, *rooms.options)
            ucore = found["ucore_per_leg"]
            why = ""
            if found["phones_short"]:
                why = f"{found['phones_short']:.0f} legs lack packets"
            elif found["late_ticks"]:
                why = f"{found['late_ticks']:.0f} late ticks"
            else:
                break
        return why, ucore

    why, ucore = attempt(rooms.few)
    if why:
        raise NotMeasured(f"{rooms.what}: not even {rooms.few} legs: {why}")
    held, failed, why_failed, held_ucore = rooms.few, 0, "", ucore
    legs = _whole(FIRST_GUESS * 1e6 / ucore, rooms.size)
    for _ in range(PROBES):
        if legs <= held or (failed and legs >= failed):
            break
        why, ucore = attempt(legs)
        if why:
            failed, why_failed = legs, why
            legs = _whole(legs / GROWTH, rooms.size)
        else:
            held, held_ucore = legs, ucore
            legs = _whole(legs * GROWTH, rooms.size)
    end = f"at {failed:,}: {why_failed}" if failed else "the search ends here"
    return Figure(
        group="Legs on one core without a late tick",
        what=rooms.what,
        value=held,
        unit="legs",
        peer=1e6 / PEER_UCORE if rooms.options[1] == "opus" else None,
        note=f"{held_ucore:.0f} µcore/leg, {held * held_ucore / 1e6:.2f} core at that; {end}",
    )


def _whole(legs: float, size: int) -> int:
    """Rooms are full."""
    return max(size, round(legs / size) * size)
