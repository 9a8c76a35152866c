"""What was measured, beside its budget and the best peer; as a table and as JSON."""

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `value` None: it could not be measured, `note` says why."""

    group: str
    what: str
    value: float | None
    unit: str
    budget: float | None = None
    at_least: bool = False
    """The budget is a lower bound; else an upper one."""
    peer: float | None = None
    """The same of the best peer, by `docs/benchmarks.md`."""
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.budget is None:
            return ""
        held = self.value >= self.budget if self.at_least else self.value <= self.budget
        return "held" if held else "MISSED"


@dataclass
class Figures:
    """All that was measured so far."""

    machine: str
    found: list[Figure]

    def table(self) -> Table:
        table = Table(title=f"Plenary, measured on {self.machine}", title_justify="left", caption_justify="left")
        table.caption = (
            "Server on core 0, generator on core 1 of the same machine, loopback. ÷ budget, ÷ peer: what was measured, "
            "divided by it. Who the peers are, and how all of it is measured: docs/benchmarks.md."
        )
        table.add_column("what", overflow="fold")
        for heading in ("measured", "budget", "÷ budget", "best peer", "÷ peer"):
            table.add_column(heading, justify="right")
        table.add_column("verdict")
        table.add_column("note", overflow="fold", ratio=1)
        group = ""
        for figure in self.found:
            if figure.group != group:
                group = figure.group
                table.add_section()
                table.add_row(f"[bold]{group}[/bold]")
            sign = "≥" if figure.at_least else "≤"
            table.add_row(
                figure.what,
                "-" if figure.value is None else f"{_number(figure.value)} {figure.unit}",
                "" if figure.budget is None else f"{sign} {_number(figure.budget)}",
                _ratio(figure.value, figure.budget),
                "" if figure.peer is None else _number(figure.peer),
                _ratio(figure.value, figure.peer),
                {"MISSED": "[red]MISSED[/red]", "held": "[green]held[/green]"}.get(figure.verdict, figure.verdict),
                figure.note,
            )
        return table

    def show(self) -> None:
        console = Console()
        # Into a file or a pipe a table of 80 columns would be unreadable.
        Console(width=None if console.is_terminal else 160).print(self.table())

    def write(self, path: Path) -> None:
        rows = [asdict(figure) | {"verdict": figure.verdict} for figure in self.found]
        text = msgspec.json.encode({"machine": self.machine, "figures": rows})
        path.write_bytes(msgspec.json.format(text, indent=2) + b"\n")


def middle(values: list[float]) -> float:
    return median(values)


def quantile(values: list[float], share: float) -> float:
    """0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _ratio(value: float | None, other: float | None) -> str:
    return "" if value is None or not other else f"{value / other:.2f}"
