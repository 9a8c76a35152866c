"""What goes wrong in a run, and how often: each seed has its own idea (swarm testing).

A run in which everything fails all the time tests little but failing. So a seed leaves out most kinds of trouble and
has plenty of the others, and the pace of phones and of the API's user differs as well.
"""

from dataclasses import dataclass, field
from random import Random

from plenary.testing.network import Path


@dataclass(frozen=True, kw_only=True)
class Swarm:
    """Rates are mean seconds between two occurrences (0: never), shares are 0 to 1."""

    path: Path = field(default_factory=Path)
    phones: int = 0
    calls_every_s: float = 0.0
    """Of each phone."""
    asks_every_s: float = 0.0
    vanishing: float = 0.0
    """Share of phone calls that end without a word."""
    prompt_s: float = 0.3
    """Mean time to speak a text."""
    prompts_failing: float = 0.0
    server_crash_every_s: float = 0.0
    server_away_s: float = 2.0
    """Mean time until it is started again."""
    engine_crash_every_s: float = 0.0
    engine_away_s: float = 1.0
    link_breaks_every_s: float = 0.0
    refusals_every_s: float = 0.0
    """The engine refuses a command."""
    disk_full_every_s: float = 0.0
    disk_full_s: float = 3.0
    commit_s: float = 0.0
    """A commit takes up to this long."""
    engine_delay_s: float = 0.001
    """A message between server and engine takes up to this long."""
    statistics: bool = False
    pages: int = 0
    """Browsers that are in and out."""
    pages_every_s: float = 20.0
    """Mean time until somebody in front of a page does something."""


def drawn(seed: int) -> Swarm:
    random = Random(f"{seed} swarm")

    def sometimes(share: float, *values: float) -> float:
        return random.choice(values) if random.random() < share else 0.0

    loss = sometimes(0.6, 0.02, 0.1, 0.25)
    return Swarm(
        path=Path(
            loss=loss,
            delay_s=random.choice([0.001, 0.02, 0.15]),
            jitter_s=sometimes(0.5, 0.01, 0.2),
            duplicated=sometimes(0.4, 0.05, 0.3),
            reordered=sometimes(0.4, 0.05, 0.2),
            held_back_s=random.choice([0.05, 0.6]),
        ),
        phones=random.choice([3, 5, 8]),
        calls_every_s=random.choice([15.0, 30.0, 60.0]),
        asks_every_s=random.choice([2.0, 5.0, 10.0]),
        vanishing=sometimes(0.5, 0.1, 0.3),
        prompt_s=random.choice([0.05, 0.5, 4.0]),
        prompts_failing=sometimes(0.4, 0.1, 0.5),
        server_crash_every_s=sometimes(0.6, 10.0, 40.0, 120.0),
        server_away_s=random.choice([0.2, 3.0, 20.0, 45.0]),
        engine_crash_every_s=sometimes(0.5, 20.0, 60.0, 150.0),
        engine_away_s=random.choice([0.3, 2.0, 12.0]),
        link_breaks_every_s=sometimes(0.4, 10.0, 60.0),
        refusals_every_s=sometimes(0.4, 5.0, 30.0),
        disk_full_every_s=sometimes(0.3, 20.0, 90.0),
        disk_full_s=random.choice([0.6, 5.0, 20.0]),
        commit_s=sometimes(0.5, 0.01, 0.3),
        engine_delay_s=random.choice([0.001, 0.001, 0.02, 0.5, 3.0, 8.0]),
        statistics=random.random() < 0.15,
        pages=random.choice([0, 2, 5]),
        pages_every_s=random.choice([2.0, 10.0, 30.0]),
    )
