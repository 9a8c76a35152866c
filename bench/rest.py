"""The REST API of the whole server: requests per second, their times, and the same while calls are mixed."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure
from processes import HERE, KEY, Crowd, NotMeasured, Serving, serving

CONNECTIONS = 8
LEGS = 200
ROOMS = 20
READS = 2000.0
CREATES = 500.0
P99_MS = 20.0
GAP_MS = 100.0
STATISTICS_S = 2.2
"""The server asks the engine for its figures every 2 s."""
CREATE = {"method": "POST", "path": "/v1.0/conferences", "body": {"type": "conference", "name": "made by a benchmark"}}


def asked(server: Serving, requests: list[dict[str, Any]], seconds: int) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "rest_client.py"), server.http, KEY, str(CONNECTIONS), str(seconds)]
    text = "\n".join(map(json.dumps, requests))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds + 20, check=False)
    if done.returncode != 0:
        raise NotMeasured(f"the client of the API failed: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout)
    if found["failed"]:
        raise NotMeasured(f"{found['failed']} requests failed")
    return found


def rest(quick: bool) -> Iterator[Figure]:
    seconds = 1 if quick else 3
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "data") as server:
        rooms = [server.create(name=f"room {number}") for number in range(ROOMS)]
        reads = [{"method": "GET", "path": f"/v1.0/conferences/{room}", "body": None} for room in rooms]
        asked(server, reads, 1)
        yield from _figures("REST", asked(server, reads, seconds), asked(server, [CREATE], seconds), P99_MS)
        with Crowd(server, rooms, LEGS) as crowd:
            time.sleep(STATISTICS_S)
            late = server.metric("plenary_engine_late_ticks")
            crowd.ask("reset")
            group = f"REST while {LEGS} legs are mixing"
            yield from _figures(group, asked(server, reads, seconds), asked(server, [CREATE], seconds), P99_MS)
            heard = crowd.ask("report")
            time.sleep(STATISTICS_S)
            late = server.metric("plenary_engine_late_ticks") - late
            yield Figure(group=group, what="late ticks of the engine meanwhile", value=late, unit="ticks", budget=0.0)
            gap = heard["longest_gap_ms"]
            yield Figure(group=group, what="longest gap in any leg's audio", value=gap, unit="ms", budget=GAP_MS)


def _figures(group: str, reads: dict[str, Any], creates: dict[str, Any], p99_ms: float) -> Iterator[Figure]:
    for what, found, budget in (("conference reads", reads, READS), ("conference creates", creates, CREATES)):
        yield Figure(
            group=group,
            what=what,
            value=found["per_s"],
            unit="/s",
            budget=budget,
            at_least=True,
            note=f"{CONNECTIONS} connections, p50 {found['p50_ms']:.1f} ms",
        )
        yield Figure(group=group, what=f"{what}, p99", value=found["p99_ms"], unit="ms", budget=p99_ms)
