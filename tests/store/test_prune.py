"""What is over is forgotten in the end; what somebody may still want is not."""

import pytest

from plenary.core.changes import Changes
from plenary.store import store as store_module
from plenary.store.store import Store

from .samples import call, conference, conferencecall, entry, recording, rows

DAY_S = 86400.0
LONG_AGO = "2026-01-01 12:00:00.000000"
LATELY = "2026-03-09 12:00:00.000000"
TENTH = 1773144000.0  # 2026-03-10 12:00 UTC


def ids(store: Store) -> set[str]:
    with store._readers.connect() as connection:  # all of them: no view shows the deleted ones
        return {
            id
            for table in ("conference", "call", "conferencecall", "recording")
            for (id,) in connection.exec_driver_sql(f"SELECT id FROM {table}")
        }


def prune(store: Store) -> None:
    while store.prune_rows(TENTH, keep_s=2 * DAY_S):
        pass


def test_what_was_over_long_ago_is_forgotten(store: Store, customer: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "PRUNED_AT_ONCE", 3)
    old = {"tm_create": LONG_AGO}
    gone = [conference(customer, tm_end=LONG_AGO, **old) for _ in range(7)]
    gone += [call(customer, tm_hangup=LONG_AGO, **old) for _ in range(3)]
    gone += [conferencecall(customer, gone[0].id, tm_update=LONG_AGO, **old)]
    gone += [recording(customer, gone[0].id, tm_end=LONG_AGO, tm_delete=LONG_AGO, **old)]
    kept = [conference(customer, tm_end=LATELY, **old), call(customer, tm_hangup=LATELY, **old)]
    kept += [conferencecall(customer, gone[0].id, tm_update=LATELY, **old)]
    kept += [recording(customer, gone[0].id, tm_end=LONG_AGO, **old)]
    live = [conference(customer, **old), call(customer, **old)]
    for one in zip(gone, kept * 3, strict=True):
        store.commit(rows(*one, live=False))
    store.commit(rows(*live))
    for _ in range(2):
        prune(store)
        assert ids(store) == {one.id for one in kept + live}


def test_a_conference_whose_entries_are_still_there_keeps_its_number(store: Store, customer: str):
    """Otherwise an entry to come would be given a number that another has."""
    room = conference(customer, tm_create=LONG_AGO, tm_end=LONG_AGO)
    store.commit(rows(room, live=False))
    store.commit(Changes(log=[entry(customer, tm=LATELY, conference_id=room.id, number=1)]))
    prune(store)
    assert store.load().numbers == {room.id: 1}
    store.prune(TENTH, keep_s=0.0)
    prune(store)
    assert store.load().numbers == {}
    assert ids(store) == set()
