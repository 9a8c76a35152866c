"""The fake media engine as a process of its own: on a link that takes time and breaks, started again when it dies.

Bytes on the link keep their order, and die with their connection. One server at a time is connected. Nobody but a
server starts an engine, as `media/process.py` has it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from plenary.media import messages as wire
from plenary.media.fake import FakeEngine

if TYPE_CHECKING:
    from .simulation import Simulation

RECONNECT_S = 0.05
"""As `media/client.py`: the pause before another attempt."""
SILENCE_S = 15.0
SILENCE_AT_FIRST_S = 30.0
"""As the engine has it: how long until a phone that sends nothing is reported, and before its first packet."""
LOOKS_S = 2.5
"""How often silence is looked for."""
REFUSABLE = (wire.OpenLeg, wire.ApplySdp, wire.OfferLeg, wire.Play, wire.StartRecording, wire.LoadPrompt)
"""Commands that the native engine can refuse though nothing is wrong with them: out of ports, files, memory."""


class WatchedEngine(FakeEngine):
    """Shows each command to `watch` before it is applied."""

    def __init__(self, watch: Callable[[wire.Command], None]) -> None:
        super().__init__(name="engine")
        self.on_disk_ms: dict[str, int] = defaultdict(int)
        self._watch = watch

    def handle(self, batch: Iterable[wire.Command], now: float) -> None:
        batch = list(batch)
        for command in batch:
            self._watch(command)
        super().handle(batch, now)

    def _recording_ended(self, recording: str, reason: wire.RecordingEnd, ms: int, size: int, detail: str = "") -> None:
        self.on_disk_ms[recording] += ms
        super()._recording_ended(recording, reason, ms, size, detail)

    def recorded_ms(self, recording: str, now: float) -> int:
        """What is on disk of a recording, in all its parts."""
        part = self._recordings.get(recording)
        return self.on_disk_ms[recording] + (round((now - part.started) * 1000) if part and part.started else 0)

    def die(self, now: float) -> None:
        """Nothing is left of it but its files."""
        for recording in self._recordings:
            self.on_disk_ms[recording] = self.recorded_ms(recording, now)
        self.crash()

    def negotiated(self, leg: str) -> bool:
        return leg in self._legs and self._legs[leg].negotiated


class EngineHost:
    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._random: Random = sim.stream("engine link")
        self.fake = WatchedEngine(self._applied)
        self.played: list[tuple[str, str]] = []
        """Leg and prompt, of all that was ever played."""
        self.alive = False
        self.delay_s = sim.swarm.engine_delay_s
        self.lives = 0
        self.frames = 0
        """Frames that the server has sent."""
        self.lose_frame: int | None = None
        """The number of the frame that is lost together with its connection."""
        self._connected = False
        self._pipe: list[tuple[float, int, str, bytes]] = []
        self._number = 0
        self._last = {"up": 0.0, "down": 0.0}
        self._reconnect_at: float | None = None
        self._start_at: float | None = None
        self._silent_since: dict[str, float] = {}
        self._told_silent: set[str] = set()
        self._next_look = 0.0

    # --- What happens to it --------------------------------------------------------------------------------------

    def crash(self) -> None:
        """It dies, and whatever was on the link dies with it."""
        if self.alive:
            self._sim.note("engine", "crashes")
            self._gone()

    def break_link(self) -> None:
        """Both sides lose the connection, and all that was on it."""
        if self._connected:
            self._sim.note("engine", "link breaks")
            self._disconnect()

    def refuse_one(self) -> None:
        """One of the next commands is refused."""
        self.refuse(self._random.choice(REFUSABLE), self._random.choice([1, 1, 2]))

    def refuse(self, kind: type[wire.Message], nth: int) -> None:
        self.fake.fail_at(nth, kind)
        self._sim.note("engine", f"will refuse {kind.__name__} number {nth}")

    # --- The server's side ---------------------------------------------------------------------------------------

    def server_up(self) -> None:
        now = self._sim.clock.now
        self._reconnect_at = now
        if not self.alive:
            self._start_at = now + self._away_s()

    def server_down(self) -> None:
        """What it had written to its socket may still arrive."""
        if self._connected and self._random.random() < 0.5:
            for _, _, direction, data in sorted(self._pipe):
                if direction == "down":
                    self.fake.receive(data, self._sim.clock.now)
        self._drop_connection()
        self._reconnect_at = self._start_at = None

    def flush(self) -> None:
        """Sends what the server's side of the link has to say."""
        data = self._sim.server.link.to_send()
        if not data or not self._connected:
            return
        self.frames += 1
        if self.frames == self.lose_frame:
            self._sim.note("engine", f"frame {self.frames} is lost with its connection")
            self._disconnect()
        else:
            self._send("down", data)

    # --- A part of the clock -------------------------------------------------------------------------------------

    def timeout(self) -> float | None:
        times = [self._reconnect_at, self._start_at, self._pipe[0][0] if self._pipe else None]
        if self.alive:
            times += [self.fake.timeout(), self._next_look]
        return min((at for at in times if at is not None), default=None)

    def fire(self, now: float) -> None:
        while self._pipe and self._pipe[0][0] <= now:
            _, _, direction, data = heapq.heappop(self._pipe)
            if direction == "down":
                self.fake.receive(data, now)
            else:
                self._sim.server.hear_engine(data)
        if self.alive:
            self.fake.fire(now)
            if not self.fake.running:
                self._sim.note("engine", "ends: no server for too long")
                self._gone()
        if self._start_at is not None and self._start_at <= now:
            self._start(now)
        if self._reconnect_at is not None and self._reconnect_at <= now:
            self._reconnect_at = now + RECONNECT_S
            if self.alive:
                self._connect()
        if self.alive and self._next_look <= now:
            self._next_look = now + LOOKS_S
            self._look_for_silence(now)

    def pump(self, now: float) -> None:  # noqa: ARG002
        if self._connected and (data := self.fake.to_send()):
            self._send("up", data)

    # --- Inside --------------------------------------------------------------------------------------------------

    def _applied(self, command: wire.Command) -> None:
        match command:
            case wire.OpenLeg(leg=leg):
                self._sim.judge.leg_opened(leg, healthy=self.fake.negotiated(leg))
            case wire.CloseLeg(leg=leg):
                self._sim.judge.leg_closed(leg)
            case wire.Play(leg=leg, prompt=str(prompt)):
                self.played.append((leg, prompt))
            case _:
                pass

    def _away_s(self) -> float:
        mean = self._sim.swarm.engine_away_s
        return min(self._random.expovariate(1 / mean), 4 * mean)

    def _start(self, now: float) -> None:
        self._start_at = None
        self.fake.running = True
        self.fake.disconnected(now)
        self.alive = True
        self.lives += 1
        self._silent_since.clear()
        self._told_silent.clear()
        self._sim.note("engine", f"starts as {self.fake.engine}")

    def _gone(self) -> None:
        self.alive = False
        self._disconnect()
        self.fake.die(self._sim.clock.now)
        if self._sim.server.up:
            self._start_at = self._sim.clock.now + self._away_s()

    def _connect(self) -> None:
        self._reconnect_at = None
        self._connected = True
        self.fake.connected()
        self._sim.server.engine_connected()

    def _disconnect(self) -> None:
        was = self._connected
        self._drop_connection()
        if was and self._sim.server.up:
            self._reconnect_at = self._sim.clock.now + RECONNECT_S
            self._sim.server.engine_disconnected()

    def _drop_connection(self) -> None:
        if self._connected:
            self._connected = False
            self._pipe.clear()
            self.fake.disconnected(self._sim.clock.now)

    def _send(self, direction: str, data: bytes) -> None:
        at = self._sim.clock.now + self._random.random() * self.delay_s
        at = self._last[direction] = max(at, self._last[direction])
        self._number += 1
        heapq.heappush(self._pipe, (at, self._number, direction, data))

    def _look_for_silence(self, now: float) -> None:
        """Reports legs whose phone sends nothing, once until it does again."""
        for leg in sorted(self.fake.legs()):
            if self._sim.is_heard(leg):
                self._silent_since[leg] = now
                self._told_silent.discard(leg)
                continue
            patience = SILENCE_S if leg in self._silent_since else SILENCE_AT_FIRST_S
            since = self._silent_since.setdefault(leg, now + patience - SILENCE_S)
            if leg not in self._told_silent and now - since >= SILENCE_S and not self._sim.is_on_hold(leg):
                self._told_silent.add(leg)
                self.fake.fall_silent(leg)
