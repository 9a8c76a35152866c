"""Runs of the example: a codec, a network and a buffer each, scored against what was said."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from pesq import PesqError, pesq
from pystoi import stoi

from speech import Clip, Sound, at_rate

RATES = {"PCMU": 8_000, "G722": 16_000, "opus": 16_000}

# What comes before what is scored. Where trouble comes and goes, longer than the buffer takes to tell a network's
# nature from a passing storm (two minutes). Ten minutes of drift shift it by 120 ms.
WARM_UP_S = 30
WARM_UP_OF_KIND_S = {"loss": 180, "bursts": 180, "reorder": 180, "mobile": 180, "drift": 600}

STOI_PIECE_S = 2
# What is heard is at most so late: the ceiling of the delay, and a stall.
STOI_REACH_S = 1


@dataclass(frozen=True)
class Case:
    codec: str
    network: str
    buffer: str


@dataclass(frozen=True)
class Score:
    """Means over clips and seeds. Delays in milliseconds, shares in percent."""

    pesq: float
    stoi: float
    delay_p50: float
    delay_p99: float
    concealed: float
    recovered: float
    stretched: float
    late: float
    starved: float


@dataclass(frozen=True)
class _Job:
    case: Case
    clip: Clip
    seed: int
    name: Path


def scores(
    impair: Path, scratch: Path, clips: list[Clip], cases: list[Case], seeds: int
) -> Iterator[tuple[Case, Score]]:
    """A score for each case, in their order."""
    jobs = [
        _Job(case, clip, n * seeds + seed, scratch / f"{case.codec}-{i}-{n}-{seed}")
        for i, case in enumerate(cases)
        for n, clip in enumerate(clips)
        for seed in range(seeds)
    ]
    each = len(clips) * seeds
    with ProcessPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        results = pool.map(_run, jobs, [impair] * len(jobs))
        for case in cases:
            rows = [next(results) for _ in range(each)]
            yield case, Score(*(fmean(column) for column in zip(*rows, strict=True)))


def _run(job: _Job, impair: Path) -> list[float]:
    rate = RATES[job.case.codec]
    seconds = WARM_UP_OF_KIND_S.get(job.case.network.partition(":")[0], WARM_UP_S)
    before = np.resize(np.concatenate([job.clip.scored, job.clip.before]), seconds * 16_000)
    spoken = at_rate(job.clip.scored, rate)
    source, out = job.name.with_suffix(".in"), job.name.with_suffix(".out")
    source.write_bytes(at_rate(before, rate) + spoken)
    line = [job.case.codec, job.case.network, job.seed, job.case.buffer, len(before) / 16, source, out]
    done = subprocess.run([impair], input="\t".join(map(str, line)), text=True, check=True, capture_output=True)
    said = np.frombuffer(spoken, dtype="<i2").astype(np.float64)
    heard = np.fromfile(out, dtype="<i2").astype(np.float64)
    source.unlink()
    out.unlink()
    figures = [float(figure) for figure in done.stdout.split("\t")]
    return [_quality(said, heard, rate), _intelligibility(said, heard, rate), *figures]


def _quality(said: Sound, heard: Sound, rate: int) -> float:
    try:
        return float(pesq(rate, said, heard, "nb" if rate == 8_000 else "wb"))
    except (PesqError, ValueError):
        return 1.0  # nothing is heard: the worst there is


def _intelligibility(said: Sound, heard: Sound, rate: int) -> float:
    """STOI knows no delay: each two seconds are compared with what was heard of them, wherever that is."""
    size, reach = STOI_PIECE_S * rate, STOI_REACH_S * rate
    found: list[float] = []
    for start in range(0, len(said) - size + 1, size):
        piece = said[start : start + size]
        around = heard[start : start + size + reach]
        points = 1 << (len(piece) + len(around)).bit_length()
        likeness = np.fft.irfft(np.conj(np.fft.rfft(piece, points)) * np.fft.rfft(around, points), points)
        lag = int(np.argmax(likeness[:reach]))
        moved = around[lag : lag + size]
        found.append(float(stoi(piece[: len(moved)], moved, rate)))
    return fmean(found)
