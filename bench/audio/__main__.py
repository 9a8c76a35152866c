"""`make bench-audio`: speech through bad networks, by our playout buffer and by a naive one; prints a table.

A benchmark is no test: the status is 0 unless something could not be measured. What the columns mean, and how the
figures come about, stands in docs/audio.md.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from runs import RATES, Case, Score, scores

from speech import PACKAGES, SPEAKERS, NoSpeech, clips, speakers_missing

IMPAIR = Path(__file__).parents[2] / "target/release/examples/impair"

NETWORKS = {
    "clean": "clean",
    "loss:1": "1 % lost",
    "loss:5": "5 % lost",
    "loss:10": "10 % lost",
    "loss:20": "20 % lost",
    "bursts:1": "1 % lost in bursts",
    "bursts:5": "5 % lost in bursts",
    "bursts:10": "10 % lost in bursts",
    "bursts:20": "20 % lost in bursts",
    "jitter:20": "20 ms jitter",
    "jitter:40": "40 ms jitter",
    "jitter:80": "80 ms jitter",
    "jitter:150": "150 ms jitter",
    "drift:200": "clock 200 ppm slow",
    "drift:-200": "clock 200 ppm fast",
    "reorder:5": "5 % overtaken",
    "stall:500": "500 ms stall",
    "handover:300": "hand-over",
    "mobile:3": "mobile: 60 ms, 3 %",
}
BUFFERS = ["buffer", "naive"]

COLUMNS = [
    *("PESQ", "naive", "STOI", "naive", "delay p50 / p99, ms", "naive"),
    *("made up, %", "naive", "by FEC, %", "stretched, %"),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-audio", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one clip a speaker, one seed: a few minutes")
    parser.add_argument("--codec", action="append", choices=RATES, help="only this one")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one")
    arguments = parser.parse_args()
    codecs, networks = arguments.codec or list(RATES), arguments.network or list(NETWORKS)
    cases = [Case(codec, network, buffer) for codec in codecs for network in networks for buffer in BUFFERS]
    per_speaker, seeds = (1, 1) if arguments.quick else (2, 2)
    show = Console(width=200, soft_wrap=True, highlight=False).print
    if missing := speakers_missing():
        show(f"{missing} of {len(SPEAKERS)} speakers are not here: apt-get install {PACKAGES}")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            speech = clips(IMPAIR, Path(scratch), per_speaker)
            results = scores(IMPAIR, Path(scratch), speech, cases, seeds)
            for (case, ours), (_, naive) in zip(results, results, strict=True):
                if case.network == networks[0]:
                    scale = "narrowband" if RATES[case.codec] == 8_000 else "wideband"
                    show(f"\n{case.codec}, PESQ {scale}: {len(speech)} clips, {seeds} seeds each\n")
                    show(_row("network", COLUMNS))
                    show(_row("---", ["---"] * len(COLUMNS)))
                show(_row(NETWORKS[case.network], _cells(ours, naive)))
        except (NoSpeech, OSError, subprocess.SubprocessError) as error:
            Console(stderr=True).print(error)
            return 1
    return 0


def _cells(ours: Score, naive: Score) -> list[str]:
    return [
        f"**{ours.pesq:.2f}**",
        f"{naive.pesq:.2f}",
        f"**{ours.stoi:.3f}**",
        f"{naive.stoi:.3f}",
        f"**{ours.delay_p50:.0f} / {ours.delay_p99:.0f}**",
        f"{naive.delay_p50:.0f} / {naive.delay_p99:.0f}",
        f"**{ours.concealed:.1f}**",
        f"{naive.concealed:.1f}",
        f"{ours.recovered:.1f}",
        f"{ours.stretched:.1f}",
    ]


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
