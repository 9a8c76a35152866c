import pytest

from .simulation import Simulation


@pytest.fixture
def sim(tmp_path):
    """A world without trouble, but what the story brings."""
    return Simulation(tmp_path)
