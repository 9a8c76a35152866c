"""A server, its media engine, its phones and its API's user on one clock: `Simulation`.

One seed decides everything: who calls when, what the network does, what dies and when. Each part draws from a stream
of its own, so that one draw more in one part does not change all the others. `story` is what happened, line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from plenary.core import events
from plenary.core.errors import Refusal
from plenary.core.resources import Call, Resource
from plenary.core.switch import SwitchSettings
from plenary.testing.clock import Clock
from plenary.testing.network import Network
from plenary.web.door import Answer

from .agenda import Agenda
from .engine_host import EngineHost
from .judge import Judge
from .pages import Tab
from .phones import Phone, PhoneCall
from .server_host import ADDRESS, CUSTOMER, ServerHost
from .swarm import Swarm

START = 1_700_000_000.0
STORY_LINES = 30
"""The end of the story, shown with a failure."""
SETTINGS = SwitchSettings(dial_timeout_s=20.0, call_max_s=150.0)
"""Shorter limits than usual, so that a few minutes see them reached."""


class Simulation:
    def __init__(
        self, folder: Path, seed: int = 0, swarm: Swarm | None = None, settings: SwitchSettings = SETTINGS
    ) -> None:
        self.seed = seed
        self.swarm = swarm or Swarm()
        self.settings = settings
        self.customer = CUSTOMER
        self.story: list[str] = []
        self.by_user: dict[str, PhoneCall] = {}
        self.phones: list[Phone] = []
        self.tabs: dict[str, Tab] = {}
        """Pages in browsers, by the token that each has."""
        self.clock = Clock(START)
        self.agenda = Agenda()
        self.judge = Judge(self)
        self.network = Network(seed, self.swarm.path)
        self._rows: dict[str, str] = {}
        """User of a phone's call -> id of the server's."""
        self._users: dict[str, str] = {}
        self.engine = EngineHost(self)
        self.server = ServerHost(self, folder, settings)
        self.clock.add(self.agenda)
        self.clock.add(self.engine)
        self.network.join(self.clock)
        self.clock.after_each_step.append(self.engine.pump)
        self.network.attach(ADDRESS, self.server)
        self.server.start()

    def stream(self, name: str) -> Random:
        return Random(f"{self.seed} {name}")

    def note(self, who: str, what: str) -> None:
        self.story.append(f"{self.clock.now - START:9.3f} {who:9} {what}")

    def run(self, seconds: float) -> None:
        """Lets this much time pass."""
        with self.told():
            self.clock.run(seconds)

    @contextmanager
    def told(self) -> Iterator[None]:
        """A failure in here is told with the seed and the end of the story."""
        try:
            yield
        except Exception as error:
            story = "\n".join(self.story[-STORY_LINES:])
            raise AssertionError(f"seed {self.seed}: {error!r}\n{story}") from error

    def run_until(self, happened: Callable[[], object], within_s: float = 60.0, step_s: float = 0.05) -> None:
        """Lets time pass, in steps, until this is true."""
        end = self.clock.now + within_s
        while not happened():
            assert self.clock.now < end, "\n".join([f"not within {within_s} s", *self.story[-STORY_LINES:]])
            self.run(step_s)

    # --- The API's user ------------------------------------------------------------------------------------------

    def ask(self, kind: type[events.Request], told: Callable[[Any], object] = lambda _: None, **fields: object) -> None:
        """A request; `told` gets the resource, the refusal, or None if the server dies."""
        self.judge.open_asks += 1
        shown = " ".join(f"{value}"[:36] for value in fields.values())
        self.note("user", f"{kind.__name__} {shown}")

        def answered(result: Resource | list[Resource] | Answer | Refusal | None) -> None:
            self.judge.open_asks -= 1
            if result is None or isinstance(result, Refusal):
                self.note("user", f"{kind.__name__}: {'no reply' if result is None else result.code}")
            told(result)

        self.server.ask(kind, answered, **fields)

    def do(self, kind: type[events.Request], **fields: object) -> Any:
        """A request, and the resource that came of it."""
        results: list[Any] = []
        self.ask(kind, results.append, **fields)
        self.run_until(lambda: results)
        return results[0]

    # --- Who is who ----------------------------------------------------------------------------------------------

    def phone(self, name: str) -> Phone:
        phone = Phone(self, name, f"10.0.1.{len(self.phones) + 1}")
        self.phones.append(phone)
        return phone

    def tab(self, name: str) -> Tab:
        return Tab(self, name)

    def know(self, row: Call) -> None:
        """The server has a row for a phone's call."""
        end = row.source if row.direction == "incoming" else row.destination
        user = end.target.partition("@")[0]
        self._rows[user] = row.id
        self._users[row.id] = user

    def row_of(self, call: PhoneCall) -> Call | None:
        """What the server has on disk of a phone's call."""
        row = self.judge.rows.get(self._rows.get(call.user, ""))
        assert row is None or isinstance(row, Call)
        return row

    def leg_of(self, call: PhoneCall) -> str | None:
        """The engine's leg of a phone's call, if it has one."""
        leg = self._rows.get(call.user, "")
        return leg if self.engine.alive and leg in self.engine.fake.legs() else None

    def is_heard(self, leg: str) -> bool:
        """Whether a phone sends sound to this leg."""
        user = self._users.get(leg, "")
        peer = self.by_user.get(user) or self.tabs.get(user)
        return peer is not None and peer.up

    def is_on_hold(self, leg: str) -> bool:
        row = self.judge.rows.get(leg)
        return isinstance(row, Call) and row.on_hold

    @staticmethod
    def seconds(stamp: str) -> float:
        """A time stamp of the API in seconds since the epoch."""
        return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
