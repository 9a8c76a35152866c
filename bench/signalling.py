"""Calls through the whole server, by sipp: set-ups per second with a greeting, and many hung up at once."""

import csv
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, quantile
from processes import HERE, NotMeasured, Serving, serving

RATES = (150, 200, 250, 300)
QUICK_RATES = (150,)
BUDGET_RATE = 150.0
SET_UP_P99_MS = 500.0
"""RFC 3261 T1: a phone that waits longer asks again."""
DRAIN_S = 3.0
ROOM = 100
"""Calls of one conference that are hung up at once."""
JOIN_RATE = 120
STATISTICS_S = 2.2
"""The server asks the engine for its figures every 2 s."""


@dataclass(frozen=True)
class Run:
    succeeded: int
    failed: int
    repeated: int
    times_ms: list[float]


class Sipp:
    """A run of sipp, in its own folder."""

    def __init__(self, folder: Path, server: Serving, scenario: str, users: list[str], rate: int, calls: int) -> None:
        if shutil.which("sipp") is None:
            raise NotMeasured("sipp is not installed")
        folder.mkdir()
        self.folder = folder
        (folder / "users.csv").write_text("SEQUENTIAL\n" + "".join(f"{user};\n" for user in users))
        command = [
            "sipp", server.sip, "-sf", str(HERE / scenario), "-inf", "users.csv", "-i", "127.0.0.1", "-r", str(rate),
            "-m", str(calls), "-l", str(calls), "-nostdin", "-timeout", "60s", "-trace_stat", "-stf", "stat.csv",
            "-trace_rtt", "-rtt_freq", "1", "-buff_size", "4194304",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def ended(self) -> Run:
        self.process.wait(90)
        with (self.folder / "stat.csv").open() as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        times: list[float] = []
        for file in self.folder.glob("*_rtt.csv"):
            for line in file.read_text().splitlines()[1:]:
                times.append(float(line.split(";")[1]))
        return Run(int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]), int(last["Retransmissions(C)"]), times)


def setups(quick: bool) -> Iterator[Figure]:
    """Rising rates until a call fails or phones have to repeat themselves."""
    seconds = 3 if quick else 4
    best, p99, end = 0, math.nan, "no rate beyond was tried"
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "data") as server:
        greeting = {"type": "talk", "option": {"text": "Welcome.", "gender": "female", "language": "en-US"}}
        users = [server.create(pre_actions=[greeting]) for _ in range(20)]
        Sipp(Path(name) / "warm", server, "greeted.xml", users, 1, 1).ended()
        for rate in QUICK_RATES if quick else RATES:
            run = Sipp(Path(name) / f"rate{rate}", server, "greeted.xml", users, rate, rate * seconds).ended()
            this = quantile(run.times_ms, 0.99)
            if run.failed or run.succeeded < rate * seconds or run.repeated > run.succeeded // 1000:
                end = f"at {rate}: {run.failed} failed, {run.repeated} messages repeated, p99 {this:.0f} ms"
                break
            best, p99 = rate, this
    if not best:
        raise NotMeasured(end)
    yield Figure(
        group="Signalling",
        what="call set-ups with a greeting",
        value=best,
        unit="/s",
        budget=BUDGET_RATE,
        at_least=True,
        note=f"each call greeted, put into a room, hung up 2 s later; {end}",
    )
    yield Figure(
        group="Signalling",
        what=f"set-up time at {best}/s, p99",
        value=p99,
        unit="ms",
        budget=SET_UP_P99_MS,
        note="from INVITE to 200; beyond 500 ms phones repeat themselves",
    )


def hangups(quick: bool) -> Iterator[Figure]:
    """Deletes all conferences at once, each full of calls."""
    calls = 300 if quick else 1500
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "data") as server:
        users = [server.create() for _ in range(calls // ROOM)]
        sipp = Sipp(Path(name) / "sipp", server, "hung_up.xml", users, JOIN_RATE, calls)
        deadline = time.monotonic() + calls / JOIN_RATE + 8
        while (up := server.metric("plenary_calls")) < calls and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(STATISTICS_S)
        late = server.metric("plenary_engine_late_ticks")
        began = time.monotonic()
        with ThreadPoolExecutor(len(users)) as pool:
            list(pool.map(lambda user: server.ask("DELETE", f"/v1.0/conferences/{user}"), users))
        while server.metric("plenary_calls") and time.monotonic() < began + 30:
            time.sleep(0.02)
        took = time.monotonic() - began
        run = sipp.ended()
        time.sleep(STATISTICS_S)
        late = server.metric("plenary_engine_late_ticks") - late
    yield Figure(
        group="Signalling",
        what=f"{up:,.0f} calls hung up at once: until all are gone",
        value=took,
        unit="s",
        budget=DRAIN_S * max(1.0, calls / 1500),
        note=f"{run.repeated} messages repeated by phones, {run.failed} calls ended otherwise",
    )
    yield Figure(group="Signalling", what="late ticks of the engine meanwhile", value=late, unit="ticks", budget=0.0)
