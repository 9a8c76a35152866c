"""`make bench`: measures the budgets on this machine and prints them beside what was measured.

A benchmark is no test: the status is 0 unless something could not be measured. How each figure comes about stands in
docs/benchmarks.md.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

import machine
from figures import Figure, Figures
from hall import hall
from mixing import capacity, memory, mixing
from page_calls import browsers, long_call
from processes import NotMeasured
from rest import rest
from signalling import hangups, setups
from stage_costs import stages
from survival import crash, start
from wideband import wideband, wideband_capacity

MEASURES: dict[str, Callable[[bool], Iterator[Figure]]] = {
    "mixing": mixing,
    "capacity": capacity,
    "memory": memory,
    "wideband": wideband,
    "wideband-capacity": wideband_capacity,
    "stages": stages,
    "hall": hall,
    "setups": setups,
    "hangups": hangups,
    "rest": rest,
    "start": start,
    "crash": crash,
    "browsers": browsers,
    "long-call": long_call,
}
ONLY_BY_NAME = {"long-call"}
"""They take longer than all others together."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs")
    parser.add_argument("--only", metavar="NAME", action="append", choices=MEASURES, help=", ".join(MEASURES))
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    arguments = parser.parse_args()
    machine.settle()
    others = machine.load_of_others()
    figures = Figures(f"{machine.described()}; load before the first run {others:.1f}", [])
    progress = Console(stderr=True)
    if len(machine.CORES) == 1:
        progress.print("One core only: server and generator share it, and every figure suffers.")
    measured_all = True
    for name, measure in MEASURES.items():
        if name not in arguments.only if arguments.only else name in ONLY_BY_NAME:
            continue
        progress.print(f"measuring {name} ...")
        try:
            figures.found.extend(measure(arguments.quick))
        except (NotMeasured, OSError, subprocess.SubprocessError) as error:
            measured_all = False
            figures.found.append(Figure(group=name, what=name, value=None, unit="", note=str(error)))
    figures.show()
    if arguments.json:
        figures.write(arguments.json)
    return 0 if measured_all else 1


if __name__ == "__main__":
    sys.exit(main())
