"""Starts the media engine, and keeps it running.

The engine is a process of its own that outlives the server: a new server finds the old one's engine by its socket in
the data folder, and the calls in it go on. `engine.json` beside the socket says who that is and how it was started.
An engine of another version is shut down and replaced. One that was started with other settings is kept, because
calls hang on it, and `differences` says so. While the disk takes no `engine.json`, it is tried again and again: without
it the next server could not know whose engine it finds, and would replace it.

If the engine dies it is started again, more slowly each time; if it dies too often, `run` gives up with EngineFailed.
If the first one finds that its settings can't be used, it gives up at once.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from . import messages as wire
from .errors import STATUS_UNUSABLE, EngineFailed, MediaError

STARTS_MAX = 5
STARTS_WINDOW_S = 60.0
"""More than `STARTS_MAX` starts in this time will not get better by another one."""
RETRY_S = 0.1
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 2.0
WRITE_RETRY_S = 1.0
"""Pause before `engine.json` is tried again on a disk that is full."""
LOG_BYTES_MAX = 1 << 20
"""A longer log is put aside when an engine is started; one old log is kept."""
LOG_TAIL_BYTES = 2000

_REMEDIES = {
    "the WebRTC port": "End the program that has it, or take another port: --webrtc-port (one for each media thread "
    "from there on; 0 lets no browsers in)."
}
"""What the engine says can't be used -> what to do about it, in words of the command line, which it does not know."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is told at its start, and can't be told later."""

    rtp_address: str = "0.0.0.0"
    """IP address at which it listens for RTP."""
    public_address: str = "127.0.0.1"
    """IP address that peers are told to send to."""
    rtp_ports: tuple[int, int] = (20_000, 29_999)
    """First and last UDP port."""
    threads: int = 1
    webrtc_port: int = 0
    """First of the ports for browsers, UDP and TCP: each thread has one. 0: no browsers."""
    orphan_timeout_s: float = 30.0
    """How long it goes on without a server."""


class _Running(msgspec.Struct, frozen=True, kw_only=True):
    """`engine.json`."""

    pid: int
    version: str
    settings: EngineSettings


def default_command(socket: Path, settings: EngineSettings) -> list[str]:
    """The command line of the native engine."""
    return [
        sys.executable, "-m", "plenary.media",
        "--socket", str(socket),
        "--rtp-address", settings.rtp_address,
        "--public-address", settings.public_address,
        "--rtp-ports", f"{settings.rtp_ports[0]}-{settings.rtp_ports[1]}",
        "--threads", str(settings.threads),
        "--webrtc-port", str(settings.webrtc_port),
        "--orphan-timeout-s", str(settings.orphan_timeout_s),
    ]  # fmt: skip


@dataclass
class EngineProcess:
    """The engine of the data folder `data`. `on_change` is called when one was found, started, or has died."""

    data: Path
    settings: EngineSettings
    version: str
    """The server's own. A living engine of another one is replaced."""
    on_change: Callable[[], None] = lambda: None
    command: Callable[[Path, EngineSettings], Sequence[str]] = default_command
    on_error: Callable[[OSError], None] = lambda _: None
    """Told, once for each engine, why it can't be written down who it is."""
    pid: int | None = field(default=None, init=False)
    """The living engine's process, None while there is none."""
    differences: list[str] = field(default_factory=list[str], init=False)
    """Sentences: how the living engine's settings are not the ones of the configuration."""
    found: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set once it is certain whose engine listens at `socket`. Connect only then: the engine speaks with one at a
    time, and who connects while `run` still asks it who it is would take the answer away."""
    started: int = field(default=0, init=False)
    """How many engines were started."""
    ended: str = field(default="", init=False)
    """How the last one ended, in words; empty before any did."""
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.data / "engine.sock"

    async def run(self) -> None:
        """Finds or starts the engine and keeps one alive. Raises EngineFailed. Once cancelled, the engine lives on."""
        loop = asyncio.get_running_loop()
        starts: deque[float] = deque(maxlen=STARTS_MAX)
        while True:
            if not await self._find():
                if len(starts) == STARTS_MAX and loop.time() - starts[0] < STARTS_WINDOW_S:
                    raise EngineFailed(
                        f"the media engine died {STARTS_MAX} times within {STARTS_WINDOW_S:.0f} s. "
                        f"It last wrote:\n{self._log_tail()}"
                    )
                recent = sum(1 for at in starts if loop.time() - at < STARTS_WINDOW_S)
                await asyncio.sleep(RETRY_S * (2**recent - 1))
                starts.append(loop.time())
                if not await self._start():
                    self.on_change()
                    continue
            self.found.set()
            self.on_change()
            assert self.pid is not None
            noting = asyncio.create_task(self._note(self.pid))
            try:
                await _ended(self.pid)
            finally:
                noting.cancel()
            self._reap()
            self.on_change()

    async def stop(self) -> None:
        """Shuts the engine down, if there is one: its recordings are closed, its calls fall silent."""
        running = self._read_running()
        if running is not None and _is_engine(running.pid, self.socket):
            await _end(running.pid)
        else:
            await _tell_to_shut_down(self.socket)
        self._reap()
        self._running_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends an engine that hangs, at once; `run` starts another."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    # --- Inside

    @property
    def _running_file(self) -> Path:
        return self.data / "engine.json"

    @property
    def _log(self) -> Path:
        return self.data / "engine.log"

    async def _find(self) -> bool:
        """Takes over a living engine that fits, and ends one that does not."""
        running = self._read_running()
        if running is None or not _is_engine(running.pid, self.socket):
            await _tell_to_shut_down(self.socket)  # one that we know nothing about
            return False
        welcome = await _probe(self.socket)
        if welcome is None or welcome.version != wire.PROTOCOL_VERSION or running.version != self.version:
            await self.stop()
            return False
        self.pid = running.pid
        self.differences = _differences(running.settings, self.settings)
        return True

    async def _start(self) -> bool:
        """Starts an engine and waits until it listens. False if it ended before. Raises EngineFailed."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > LOG_BYTES_MAX:
                self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command(self.socket, self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(),
            )
        self.pid = self._child.pid
        self.started += 1
        self.differences = []
        with contextlib.suppress(OSError):  # `_note` tries again, and tells
            self._write_running(self.pid)
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while not self.socket.exists():
            status = self._child.poll()
            if status is not None or asyncio.get_running_loop().time() > deadline:
                self._child.kill()
                self._reap()
                # Later, with calls to keep, an address that has vanished is waited for a little.
                if status == STATUS_UNUSABLE and not self.found.is_set():
                    raise EngineFailed(f"the media engine can't be run so: {self._why_unusable()}")
                return False
            await asyncio.sleep(0.01)
        return True

    def _reap(self) -> None:
        self.ended = _how(self._child and self._child.wait())
        self._child = self.pid = None

    async def _note(self, pid: int) -> None:
        """Sees to it that `engine.json` tells of the engine `pid`."""
        told = False
        while (running := self._read_running()) is None or running.pid != pid:
            try:
                self._write_running(pid)
            except OSError as error:
                if not told:
                    self.on_error(error)
                told = True
                await asyncio.sleep(WRITE_RETRY_S)

    def _write_running(self, pid: int) -> None:
        running = _Running(pid=pid, version=self.version, settings=self.settings)
        _write_whole(self._running_file, msgspec.json.encode(running))

    def _read_running(self) -> _Running | None:
        try:
            return msgspec.json.decode(self._running_file.read_bytes(), type=_Running)
        except (OSError, msgspec.MsgspecError):
            return None

    def _why_unusable(self) -> str:
        """The engine's last words, and what to do if there is more to say."""
        why = self._log_tail().rstrip().rpartition("\n")[2].removeprefix("plenary.media: ")
        remedies = [remedy for what, remedy in _REMEDIES.items() if why.startswith(what)]
        return ". ".join([why, *remedies])

    def _log_tail(self) -> str:
        try:
            return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""


def _differences(running: EngineSettings, wanted: EngineSettings) -> list[str]:
    pairs = [(name, getattr(running, name), getattr(wanted, name)) for name in EngineSettings.__struct_fields__]
    return [
        f"the running media engine has {name} {old}, the configuration says {new}; that applies from its next start"
        for name, old, new in pairs
        if old != new
    ]


def _how(status: int | None) -> str:
    """How a process ended, by what `Popen` says. Only who started it is told."""
    if status is None:
        return "not known, as an earlier server started it"
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):  # a signal without a name
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"signal {-status}"


def _environment() -> dict[str, str]:
    """Ours, and the engine finds the same packages as we do."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _write_whole(path: Path, content: bytes) -> None:
    """A reader sees the old content or the new, never half of it."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _is_engine(pid: int, socket: Path) -> bool:
    """Whether `pid` lives and is the engine of this socket, and not another process that was given its number."""
    try:
        return str(socket).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


async def _probe(socket: Path) -> wire.Welcome | None:
    """The welcome of the engine that listens at `socket`, None if none answers. Acknowledges nothing."""
    hello = wire.Hello(version=wire.PROTOCOL_VERSION, engine="", acked=0)
    frames = wire.Frames()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(wire.frame([hello]))
                while data := await reader.read(1 << 16):
                    for body in frames.receive(data):
                        for message in wire.decode_up(body):
                            if isinstance(message, wire.Welcome):
                                return message
            finally:
                writer.close()
    except (OSError, MediaError, TimeoutError):
        pass
    return None


async def _tell_to_shut_down(socket: Path) -> None:
    """Asks whoever listens at `socket` to end, and waits until it closes the connection."""
    hello = wire.Hello(version=wire.PROTOCOL_VERSION, engine="", acked=0)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(wire.frame([hello]) + wire.frame([wire.Shutdown()]))
                while await reader.read(1 << 16):
                    pass
            finally:
                writer.close()


async def _end(pid: int) -> None:
    """Asks the process to end (to the engine SIGTERM is a shutdown), and kills it if it does not."""
    try:
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await _ended(pid)
    except ProcessLookupError:
        return
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await _ended(pid)


async def _ended(pid: int) -> None:
    """Returns when the process has ended; it need not be our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
