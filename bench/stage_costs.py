"""What each stage of a leg's way through the engine costs, by the code that the engine runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from machine import CORES
from mixing import load
from processes import EXAMPLES, engine, printed

TOLD = (("decode_us", "decode, by the engine's own clock"), ("encode_us", "encode, by the engine's own clock"))
LEGS, ROOM, SECONDS = 100, 10, 2
TICK_US = 20_000


def stages(quick: bool) -> Iterator[Figure]:
    """Micro-measurements, then what the engine says of its own work with real packets."""
    command = ["taskset", "-c", str(CORES[0]), str(EXAMPLES / "stages")]
    for stage, us in printed(command, 60).items():
        yield Figure(
            group="What 20 ms of a leg cost, by stage",
            what=stage,
            value=us,
            unit="µs",
            note=f"{us / TICK_US * 1e6:.0f} µcore",
        )
    for name, codec in (("Opus", "opus"),) if quick else (("Opus", "opus"), ("G.711", "PCMU")):
        with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as (control, pid):
            found = load(control, pid, LEGS, ROOM, SECONDS, "--codecs", codec)
        for key, what in TOLD:
            if found[key]:
                yield Figure(group=f"{name}, {LEGS} legs in rooms of {ROOM}", what=what, value=found[key], unit="µs")
        for key, what, unit in (
            ("tick_wait_ms", "wait for the tick", "ms"),
            ("buffer_ms", "jitter buffer", "ms"),
            ("mix_us", "a sub-tick's mix, all its rooms", "µs"),
            ("send_us", "a sub-tick's sending", "µs"),
        ):
            yield Figure(group=f"{name}, {LEGS} legs in rooms of {ROOM}", what=what, value=found[key], unit=unit)
