"""What is measured, as processes on core 0: a whole server, or the media engine alone; and helpers on core 1."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Any

from machine import free_port, on_all_cores, on_server_core

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
EXAMPLES = ROOT / "target/release/examples"
KEY = "pk_for_the_benchmark_only"
RTP_PORTS = "10000-31999"
"""11,000 legs, two ports each, below the kernel's own ports."""
START_S = 20.0
END_S = 15.0


class NotMeasured(Exception):
    """Something could not be measured; the sentence says why."""


class Serving:
    """`plenary serve` as its users start it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.http = f"127.0.0.1:{free_port(SOCK_STREAM)}"
        self.sip = f"127.0.0.1:{free_port(SOCK_DGRAM)}"

    def start(self) -> float:
        """Returns when calls can be taken: seconds from exec to the first 200 of /readyz."""
        command = [
            str(ROOT / ".venv/bin/plenary"), "serve", "--data", str(self.data), "--http", self.http, "--sip", self.sip,
            "--rtp-ports", RTP_PORTS, "--media-threads", "1", "--orphan-timeout", "20",
        ]  # fmt: skip
        began = time.monotonic()
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"PLENARY_ACCESS_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.data.with_suffix(".log").open("ab"),
            preexec_fn=on_server_core,
        )
        while time.monotonic() < began + START_S:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    return time.monotonic() - began
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise NotMeasured("the server did not start: " + self.data.with_suffix(".log").read_text()[-300:])

    def kill(self) -> None:
        """kill -9. The engine lives on."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(END_S)
        if self.process.poll() is None:
            self.kill()
        with contextlib.suppress(OSError, ValueError, KeyError):
            os.kill(self.engine_pid(), signal.SIGKILL)

    def engine_pid(self) -> int:
        """Raises OSError if there is none."""
        return json.loads((self.data / "engine.json").read_bytes())["pid"]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request on a connection of its own. Raises OSError."""
        connection = http.client.HTTPConnection(self.http, timeout=20)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def create(self, **body: Any) -> str:
        """A conference; returns its id."""
        status, answer = self.ask("POST", "/v1.0/conferences", {"type": "conference"} | body)
        if status != 200:
            raise NotMeasured(f"no conference could be made: {answer.decode()}")
        return json.loads(answer)["id"]

    def metric(self, name: str) -> float:
        _, text = self.ask("GET", "/metrics")
        for line in text.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise NotMeasured(f"/metrics has no {name}")


@contextlib.contextmanager
def serving(data: Path) -> Iterator[Serving]:
    server = Serving(data)
    server.start()
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def engine(folder: Path, alone: bool = True) -> Iterator[tuple[Path, int]]:
    """A media engine with one media thread, alone on its core or on all; gives its control socket and its process."""
    control = folder / "engine.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "plenary.media", "--socket", str(control), "--rtp-ports", RTP_PORTS, "--threads", "1"],
        preexec_fn=on_server_core if alone else on_all_cores,
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + START_S
        while not control.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured("the media engine did not start")
            time.sleep(0.01)
        yield control, process.pid
    finally:
        process.terminate()
        process.wait(END_S)
        control.unlink(missing_ok=True)


def printed(command: list[str], timeout_s: float) -> dict[str, Any]:
    """Runs a program that prints JSON."""
    return printed_lines(command, timeout_s)[-1]


def printed_lines(command: list[str], timeout_s: float) -> list[dict[str, Any]]:
    """Runs a program that prints at least one line, each of JSON."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        raise NotMeasured(f"{Path(command[0]).name} is not built: make bench builds it") from None
    except subprocess.TimeoutExpired as stuck:
        # Bytes, whatever was asked for.
        found = (stuck.stdout or b"").splitlines(keepends=True)
        whole = [json.loads(line) for line in found if line.endswith(b"\n")]
        if not whole:
            raise NotMeasured(f"{Path(command[0]).name} did not end within {timeout_s:.0f} s") from None
        return whole
    if done.returncode != 0:
        raise NotMeasured(f"{Path(command[0]).name}: {done.stderr.strip()[-300:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Crowd:
    """`crowd.py` in a process of its own: phones in conferences, with sound."""

    def __init__(self, server: Serving, conferences: list[str], legs: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "crowd.py"), server.sip, str(legs), *conferences],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, what: str) -> dict[str, Any]:
        """`reset`: count anew; `report`: what was heard since."""
        assert self.process.stdin
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise NotMeasured("the phones have failed")
        return json.loads(line)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(END_S)
