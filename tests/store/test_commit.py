"""What is committed is there again, whole, for the next server and for the readers."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from plenary.core.changes import Changes, Row
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Call, Conference
from plenary.store.errors import DiskFull
from plenary.store.store import EnginePosition, Saved, Store

from .samples import NOON, call, conference, conferencecall, entry, recording, rows


def test_a_new_store_has_nothing_to_go_on_with(store: Store):
    assert store.load() == Saved(rows=[], numbers={}, dialogs=[], engine=None)
    assert store.last_position == 0


def test_every_kind_of_resource_comes_back_with_its_state(tmp_path: Path):
    store = Store.open(tmp_path)
    ann = store.ensure_customer("ann")
    room = conference(ann, name="Ännchens Raum", data={"k": [1, None, {"x": "y"}]})
    things = [room, call(ann), conferencecall(ann, room.id), recording(ann, room.id)]
    store.commit(rows(*things, state=b"\x00\xff"), {"c1": b"dialog"}, EnginePosition("e1", 7))
    store.close()

    store = Store.open(tmp_path)
    saved = store.load()
    assert [row.resource for row in saved.rows] == things
    assert all(row.live and row.state == b"\x00\xff" for row in saved.rows)
    assert saved.dialogs == [("c1", b"dialog")]
    assert saved.engine == EnginePosition("e1", 7)
    store.close()


def test_what_has_ended_is_not_loaded_but_still_read(store: Store, customer: str):
    room = conference(customer)
    store.commit(rows(room))
    store.commit(rows(room, live=False, state=b""))
    assert store.load().rows == []
    assert msgspec.json.decode(store.views.conference(customer, room.id))["id"] == room.id


def test_a_resource_is_found_by_id_also_when_it_has_ended(store: Store, customer: str):
    room = conference(customer)
    store.commit(rows(room, live=False))
    assert store.find(Conference, room.id) == room
    assert store.find(Call, room.id) is None


def test_the_later_of_two_changes_of_a_row_in_one_transaction_stands(store: Store, customer: str):
    room = conference(customer, name="first")
    store.commit(rows(room, msgspec.structs.replace(room, name="second")))
    assert [row.resource.name for row in store.load().rows] == ["second"]  # type: ignore[union-attr]


def test_dialogs_are_replaced_and_forgotten_by_call_id(store: Store):
    store.commit(Changes(), {"a": b"1", "b": b"1"})
    store.commit(Changes(), {"a": b"2", "b": None, "never there": None})
    assert store.load().dialogs == [("a", b"2")]


def test_the_engine_position_stays_when_a_turn_has_none(store: Store):
    store.commit(Changes(), engine=EnginePosition("e1", 1))
    store.commit(Changes(), engine=EnginePosition("e1", 2))
    store.commit(Changes(), {"a": b"1"})
    assert store.load().engine == EnginePosition("e1", 2)


def test_the_log_numbers_its_entries_in_the_order_of_the_turn(store: Store, customer: str):
    assert store.commit(Changes(log=[entry(customer), entry(customer)])) == 2
    assert store.commit(Changes()) == 2
    assert store.commit(Changes(log=[entry(customer)])) == 3
    assert [position for position, _ in store.views.events(customer)] == [1, 2, 3]


def test_each_conference_goes_on_with_its_own_number(store: Store, customer: str):
    one, two = conference(customer).id, conference(customer).id
    store.commit(
        Changes(
            log=[
                entry(customer, conference_id=one, number=1),
                entry(customer, conference_id=one, number=2),
                entry(customer, conference_id=two, number=1),
                entry(customer, conference_id=ZERO_ID, number=0),
            ]
        )
    )
    assert store.load().numbers == {one: 2, two: 1}


def test_an_event_number_given_twice_is_a_bug_and_nothing_of_the_turn_is_written(store: Store, customer: str):
    room = conference(customer)
    store.commit(Changes(log=[entry(customer, conference_id=room.id, number=1)]))
    with pytest.raises(sa.exc.IntegrityError):
        store.commit(
            Changes(
                rows=[Row(resource=room, state=b"", live=True)],
                log=[entry(customer, conference_id=room.id, number=1)],
            ),
            {"c": b"dialog"},
        )
    assert store.load() == Saved(rows=[], numbers={room.id: 1}, dialogs=[], engine=None)
    assert store.commit(Changes(log=[entry(customer, conference_id=room.id, number=2)])) == 2


def test_a_row_of_no_customer_is_a_bug(store: Store):
    with pytest.raises(sa.exc.IntegrityError):
        store.commit(rows(conference("nobody")))


def test_a_full_disk_refuses_the_turn_whole_and_the_store_goes_on_afterwards(tmp_path: Path):
    store = Store.open(tmp_path, durable=False, limit_bytes=400_000)
    ann = store.ensure_customer("ann")
    kept = conference(ann)
    store.commit(rows(kept))
    with pytest.raises(DiskFull, match="free some space"):
        store.commit(rows(conference(ann, detail="x" * 500_000)), {"c": b"dialog"})
    assert [row.resource.id for row in store.load().rows] == [kept.id]
    assert store.load().dialogs == []
    store.commit(rows(msgspec.structs.replace(kept, name="still here")))
    assert b"still here" in store.views.conference(ann, kept.id)
    store.close()


def test_old_entries_of_the_log_are_pruned_and_positions_never_come_back(tmp_path: Path):
    store = Store.open(tmp_path, durable=False)
    ann = store.ensure_customer("ann")
    days = [f"2026-03-{day:02} 12:00:00.000000" for day in range(1, 11)]
    store.commit(Changes(log=[entry(ann, tm=tm, conference_id="c", number=n) for n, tm in enumerate(days, 1)]))
    tenth = 1773144000.0  # 2026-03-10 12:00 UTC
    assert store.prune(tenth, keep_s=2 * 86400.0) == 7
    assert [position for position, _ in store.views.events(ann)] == [8, 9, 10]
    assert store.prune(tenth, keep_s=2 * 86400.0, keep=1) == 2
    assert store.prune(tenth, keep_s=0.5, keep=0) == 1
    assert store.prune(tenth, keep_s=0.5, keep=0) == 0
    assert store.load().numbers == {"c": 10}
    store.close()

    store = Store.open(tmp_path, durable=False)
    assert store.commit(Changes(log=[entry(ann, tm=NOON)])) == 11
    store.close()
