"""Customers and the keys that stand for them."""

import sqlite3
from pathlib import Path

from plenary.store.store import MAX_KEY, Store

KEY = "a-long-and-random-key-0123456789"


def test_a_customer_is_made_once_by_name(store: Store):
    ann = store.ensure_customer("ann")
    assert store.ensure_customer("ann") == ann
    assert store.ensure_customer("eve") != ann
    assert store.ensure_customer("bob", id="00000000-0000-0000-0000-0000000000b0").endswith("b0")


def test_a_key_stands_for_its_customer_and_no_other_key_does(store: Store, customer: str):
    assert not store.has_access_key(customer)
    store.add_access_key(customer, KEY)
    store.add_access_key(customer, KEY)
    assert store.has_access_key(customer)
    assert store.customer_of(KEY) == customer
    for wrong in ("", KEY[:-1], KEY + "x", KEY.upper(), "ä\ud800", "x" * 1_000_000):
        assert store.customer_of(wrong) is None


def test_a_key_longer_than_any_is_never_cut_down_to_one_that_fits(store: Store, customer: str):
    store.add_access_key(customer, "k" * MAX_KEY)
    assert store.customer_of("k" * MAX_KEY) == customer
    assert store.customer_of("k" * (MAX_KEY + 1)) is None


def test_a_key_given_to_another_customer_stands_for_that_one_alone(store: Store, customer: str):
    eve = store.ensure_customer("eve")
    store.add_access_key(customer, KEY)
    store.add_access_key(eve, KEY)
    assert store.customer_of(KEY) == eve


def test_the_key_itself_is_nowhere_on_disk(tmp_path: Path):
    store = Store.open(tmp_path)
    store.add_access_key(store.ensure_customer("ann"), KEY)
    store.close()
    assert sqlite3.connect(tmp_path / "plenary.sqlite3").execute("SELECT count(*) FROM access_key").fetchone() == (1,)
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes()
