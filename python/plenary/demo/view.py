"""What the user sees of the demo: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

METER_FLOOR_DBFS = -48.0
METER_CELLS = 12
REFRESH_HZ = 12
EVENTS_SHOWN = 6
LOW_LINES = 36
"""A lower terminal gets the matrix in place of the callers, and no events."""


@dataclass
class CallerState:
    """One line of the table of callers."""

    name: str
    status: str = ""
    said_dbfs: float = float("-inf")
    heard_dbfs: float = float("-inf")


@dataclass
class Fact:
    """Something that was measured."""

    sentence: str
    is_true: bool
    figures: str = ""


@dataclass
class View:
    """Holds what is to be seen, and draws it. Use as a context manager."""

    title: str
    console: Console = field(default_factory=Console)
    callers: dict[str, CallerState] = field(default_factory=dict[str, CallerState])
    facts: list[Fact] = field(default_factory=list[Fact])
    events: list[str] = field(default_factory=list[str])
    matrix: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    now: str = ""
    _live: Live | None = None
    _began: float = field(default_factory=time.monotonic)

    def __enter__(self) -> View:
        if self.console.is_terminal:
            self._live = Live(self, console=self.console, refresh_per_second=REFRESH_HZ)
            self._live.start()
        else:
            self.console.print(self.title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self.now = ""
            self._live.stop()

    def doing(self, sentence: str) -> None:
        """What goes on at the moment."""
        self.now = sentence
        if self._live is None:
            self.console.print(f"{self._elapsed():5.1f} s  {sentence}", soft_wrap=True)

    def fact(self, sentence: str, is_true: bool, figures: str = "") -> None:
        """Something was measured."""
        self.facts.append(Fact(sentence, is_true, figures))
        if self._live is None:
            mark = "ok  " if is_true else "FAIL"
            self.console.print(f"{self._elapsed():5.1f} s  {mark}  {sentence}  {figures}", soft_wrap=True)

    def verdict(self) -> str:
        """The last line: whether all was as expected, or what was not."""
        wrong = [fact.sentence for fact in self.facts if not fact.is_true]
        if wrong:
            return f"{len(wrong)} of {len(self.facts)} not as expected: {'; '.join(wrong)}"
        return f"all {len(self.facts)} as expected" if self.facts else "nothing was measured"

    def event(self, line: str) -> None:
        """An entry of the server's log."""
        self.events.append(line)

    @property
    def all_true(self) -> bool:
        return bool(self.facts) and all(fact.is_true for fact in self.facts)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self.title, style="bold"), Text("")]
        low = self.console.height < LOW_LINES
        if self.callers and not (self.matrix and low):
            parts += [self._callers(), Text("")]
        if self.matrix:
            parts += [self._matrix(), Text("")]
        parts += [self._fact(fact) for fact in self.facts]
        if self.events and self.now and not low:
            parts += [Text(""), *(Text(f"    {line}", style="dim") for line in self.events[-EVENTS_SHOWN:])]
        if self.now:
            parts += [Text(""), Text.assemble((f"{self._elapsed():5.1f} s  ", "dim"), (self.now, "cyan"))]
        return Padding(Group(*parts), (1, 2))

    def _callers(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for title, width in (("caller", 8), ("says", METER_CELLS), ("hears", METER_CELLS), ("", 34)):
            table.add_column(title, width=width, no_wrap=True)
        for caller in self.callers.values():
            table.add_row(
                Text(caller.name, style="bold"),
                _meter(caller.said_dbfs, "green"),
                _meter(caller.heard_dbfs, "cyan"),
                caller.status,
            )
        return table

    def _matrix(self) -> Table:
        names = list(self.callers)
        table = Table(
            title="who is heard by whom, from the sound that each caller received",
            title_style="dim",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            header_style="dim",
        )
        table.add_column("", width=8, style="bold")
        for name in names:
            table.add_column(f"hears {name}", width=17, no_wrap=True)
        for listener in names:
            table.add_row(listener, *(self.matrix.get((listener, speaker), "") for speaker in names))
        return table

    @staticmethod
    def _fact(fact: Fact) -> Text:
        mark = ("  ✓ ", "bold green") if fact.is_true else ("  ✗ ", "bold red")
        return Text.assemble(mark, fact.sentence, (f"  {fact.figures}", "dim"))


def _meter(dbfs: float, colour: str) -> Text:
    share = max(0.0, min(1.0, 1 - dbfs / METER_FLOOR_DBFS)) if dbfs > METER_FLOOR_DBFS else 0.0
    cells = round(share * METER_CELLS)
    return Text.assemble(("█" * cells, colour), ("·" * (METER_CELLS - cells), "dim"))
