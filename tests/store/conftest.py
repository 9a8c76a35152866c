from collections.abc import Iterator
from pathlib import Path

import pytest

from plenary.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "data", durable=False)
    yield store
    store.close()


@pytest.fixture
def customer(store: Store) -> str:
    return store.ensure_customer("ann")
