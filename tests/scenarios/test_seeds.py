"""Whatever happens, in whatever order, whoever dies: nobody is stranded, nothing is left over, all is told once."""

import os
from pathlib import Path

import pytest

from .life import Life
from .simulation import Simulation
from .swarm import drawn

SEEDS = int(os.environ.get("SCENARIO_SEEDS", "40"))
"""Runs. Set the variable to hunt for longer; `SCENARIO_FIRST` says with which seed to begin."""
FIRST = int(os.environ.get("SCENARIO_FIRST", "0"))
MINUTES = 6.0


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_no_fault_leaves_anyone_stranded(seed: int, tmp_path: Path):
    life = Life(Simulation(tmp_path, seed, drawn(seed)))
    life.run(MINUTES * 60.0)
    life.end()


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_tells_the_same_story_each_time(seed: int, tmp_path: Path):
    stories = []
    for time in ("once", "again"):
        life = Life(Simulation(tmp_path / time, seed, drawn(seed)))
        life.run(120.0)
        stories.append((life.sim.story, [entry.id for entry in life.sim.judge.log]))
    assert stories[0] == stories[1]
