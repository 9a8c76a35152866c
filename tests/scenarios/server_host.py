"""The server as a process: turns, commits and effects exactly as `server.py` has them, and deaths in between.

A turn begins only when the one before it is on disk; what comes in meanwhile waits. A crash loses all but the store:
before the commit the turn never happened, after it some or all of its effects are lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from plenary.core import commands, events
from plenary.core.errors import Refusal
from plenary.core.resources import Resource
from plenary.core.switch import Switch, SwitchSettings
from plenary.media.client import EngineLink, Position
from plenary.node import Arrived, Input, Node, PromptMade, Turn
from plenary.server import BATCH_MAX, COMMIT_RETRY_S, INBOX_MAX, STATISTICS_S
from plenary.sip.config import Datagram, EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.store.errors import DiskFull
from plenary.store.store import EnginePosition, Store
from plenary.web.door import Answer, WebDoor, web_calls

if TYPE_CHECKING:
    from .simulation import Simulation

ADDRESS = ("10.0.0.1", 5060)
CUSTOMER = "c0000000-0000-4000-8000-000000000000"
SECRET = b"a secret of 32 bytes, as it were"
BYTES_PER_MS = 16

Told = Callable[[Resource | list[Resource] | Answer | Refusal | None], None]
"""Gets the reply to a request, or our SDP for a page; None if the server died with it."""


class Crash(StrEnum):
    BEFORE_COMMIT = "before the commit"
    AFTER_COMMIT = "after the commit"
    AFTER_DATAGRAMS = "after the datagrams"
    AFTER_FRAMES = "after the frames to the engine"


class ServerHost:
    def __init__(self, sim: Simulation, folder: Path, settings: SwitchSettings) -> None:
        self._sim = sim
        self._settings = settings
        self._random = sim.stream("server")
        ids = sim.stream("ids")
        self._ids = lambda: str(uuid.UUID(int=ids.getrandbits(128), version=4))
        self.store = Store.open(folder, durable=False)
        self.store.ensure_customer("somebody", CUSTOMER)
        self.up = False
        self.lives = 0
        self.up_since = 0.0
        self.turns = 0
        self.largest_batch = 0
        self.crash_next: Crash | None = None
        """Where the next turn that writes something dies ..."""
        self.crash_if: Callable[[Turn], bool] = lambda _: True
        """... if it is one like this."""
        self.disk_full_until = 0.0
        self.fail_commit: int | None = None
        """The number of the commit that fails once."""
        self.fail_prompt: int | None = None
        """The number of the prompt that fails."""
        self.commits = 0
        self.stalled_at = 0.0
        """When last a commit was waited for."""
        self._prompts = 0
        self._asks: dict[int, Told] = {}
        self._last_ask = 0
        self._committing: Turn | None = None
        self._commit_at = 0.0
        self._statistics_at: float | None = None
        self._outbox: list[Datagram] = []
        self._preparing: set[str] = set()

    # --- Life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        assert not self.up, "one server at a time"
        now = self._sim.clock.now
        saved = self.store.load()
        self._sim.judge.loaded(saved)
        self.switch = Switch(self._ids, self._settings)
        self.switch.load(saved.rows, saved.numbers)
        position = Position(saved.engine.engine, saved.engine.acked) if saved.engine else Position("", 0)
        self.link = EngineLink(recording_path=lambda recording, part: f"{recording}/{part}.wav", position=position)
        self.endpoint = Endpoint(EndpointConfig(listeners=(Listener(*ADDRESS),)), self._ids, SECRET)
        self.endpoint.restore(saved.dialogs, now)
        engine = self._sim.engine
        self.node = Node(
            self.switch,
            self.endpoint,
            self.link,
            WebDoor(web_calls(saved.rows)),
            self.store.find,
            lambda recording: engine.fake.recorded_ms(recording, self._sim.clock.now),
        )
        self._inbox: list[Input] = []
        self._awake = False
        self.up = True
        self.up_since = now
        self.lives += 1
        self._statistics_at = now + STATISTICS_S if self._sim.swarm.statistics else None
        self._sim.note("server", f"starts, with {len(saved.rows)} rows and {len(saved.dialogs)} dialogs")
        self._sim.engine.server_up()

    def restart(self) -> None:
        """Dies between two turns, and is there again at once."""
        self.crash()
        self.start()

    def crash(self, where: str = "between two turns") -> None:
        """Dies. What it has not committed never was; who waits for a reply gets none."""
        if not self.up:
            return
        self._sim.note("server", f"crashes {where}")
        self.up = False
        self.crash_next, self.crash_if = None, lambda _: True
        self._committing = None
        self._preparing.clear()
        self._sim.engine.server_down()
        asks, self._asks = self._asks, {}
        for told in asks.values():
            told(None)

    # --- What comes in -------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: tuple[str, int], now: float) -> None:  # noqa: ARG002
        if self.up and len(self._inbox) < INBOX_MAX:
            self._put(Arrived(data, source, ADDRESS))

    def ask(self, kind: type[events.Request], told: Told, **fields: object) -> None:
        """A request of the API; `told` is called once, with what came of it."""
        if not self.up:
            told(None)
            return
        self._last_ask += 1
        self._asks[self._last_ask] = told
        self._put(kind(ask=self._last_ask, customer=CUSTOMER, **fields))

    def hear_engine(self, data: bytes) -> None:
        self.link.receive(data)
        self._awake = True

    def engine_connected(self) -> None:
        self.link.connected()
        self._sim.engine.flush()

    def engine_disconnected(self) -> None:
        self.link.disconnected()
        self._awake = True

    def stop(self) -> None:
        """The operator ends it (SIGTERM): it is told so, and then has time to say good bye."""
        self._put(events.ServerStopping())

    def _put(self, one: Input) -> None:
        self._inbox.append(one)
        self._awake = True

    # --- A part of the clock, and a node of the network ----------------------------------------------------------

    def datagrams(self) -> Iterable[Datagram]:
        outbox, self._outbox = self._outbox, []
        return outbox

    def timeout(self) -> float | None:
        if not self.up:
            return None
        if self._committing is not None:
            due = self._commit_at
        else:
            due = 0.0 if self._awake or self._inbox else self.node.timeout()
        return min((at for at in (due, self._statistics_at) if at is not None), default=None)

    def fire(self, now: float) -> None:
        if self._statistics_at is not None and self._statistics_at <= now:
            self._statistics_at = now + STATISTICS_S
            self.link.ask_stats("statistics")
            self._awake = True
        if self._committing is not None:
            if self._commit_at <= now:
                self._finish(self._committing, now)
            return
        self._awake = False
        batch, self._inbox = self._inbox[:BATCH_MAX], self._inbox[BATCH_MAX:]
        self.turns += 1
        self.largest_batch = max(self.largest_batch, len(batch))
        turn = self.node.turn(batch, now)
        self.link.reports()
        if not turn.record:
            self._perform(turn)
        elif not self._dies(Crash.BEFORE_COMMIT, turn):
            self._committing = turn
            self._commit_at = now + self._random.random() * self._sim.swarm.commit_s
            if self._sim.swarm.commit_s == 0:
                self._finish(turn, now)

    def _finish(self, turn: Turn, now: float) -> None:
        record = turn.record
        position = record.position and EnginePosition(record.position.engine, record.position.seq)
        try:
            self._refuse_if_disk_is_full(now)
            self.store.commit(record.changes, record.dialogs, position)
        except DiskFull:
            self.stalled_at = now
            self._commit_at = now + COMMIT_RETRY_S
            return
        self._committing = None
        self.stalled_at = now if self._sim.swarm.commit_s else self.stalled_at
        self._sim.judge.committed(turn, now)
        if self._dies(Crash.AFTER_COMMIT, turn):
            return
        if record.position is not None:
            self._acknowledge(record.position)
        self._perform(turn)

    def _acknowledge(self, position: Position) -> None:
        if position.engine == self.link.position.engine:
            self.link.acknowledge(position.seq)

    def _refuse_if_disk_is_full(self, now: float) -> None:
        self.commits += 1
        if self.commits == self.fail_commit or now < self.disk_full_until:
            self._sim.note("disk", "is full")
            raise DiskFull("There is no room left.")

    def _perform(self, turn: Turn) -> None:
        self._outbox += turn.datagrams
        if self._dies(Crash.AFTER_DATAGRAMS, turn):
            return
        self._sim.engine.flush()
        if self._dies(Crash.AFTER_FRAMES, turn):
            return
        for reply in turn.replies:
            self._asks.pop(reply.ask)(reply.result)
        for answer in turn.answers:
            self._asks.pop(answer.ask)(answer)
        for wanted in turn.prepare:
            self._prepare(wanted)
        self._preparing.difference_update(turn.drop)

    def _dies(self, where: Crash, turn: Turn) -> bool:
        if self.crash_next is not where or not self.crash_if(turn):
            return False
        self.crash(where)
        return True

    # --- Speech --------------------------------------------------------------------------------------------------

    def _prepare(self, wanted: commands.PreparePrompt) -> None:
        self._prompts += 1
        swarm, random = self._sim.swarm, self._sim.stream(f"prompt {self._prompts}")
        delay = 0.01 + random.expovariate(1 / swarm.prompt_s)
        fails = self._prompts == self.fail_prompt or random.random() < swarm.prompts_failing
        text = wanted.text or wanted.url or ""
        duration_ms = 500 + 40 * len(text)
        made: Input = PromptMade(
            wanted.request, f"prompt of {text[:50]}", bytes(duration_ms * BYTES_PER_MS), 8000, duration_ms
        )
        if fails:
            made = events.PromptFailed(request=wanted.request, reason="no voice today")
        self._preparing.add(wanted.request)
        life = self.lives
        self._sim.agenda.at(self._sim.clock.now + delay, lambda: self._prepared(life, wanted.request, made))

    def _prepared(self, life: int, request: str, made: Input) -> None:
        if self.up and self.lives == life and request in self._preparing:
            self._preparing.discard(request)
            self._put(made)
