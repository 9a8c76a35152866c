"""Access keys: given, listed, taken back."""

from pathlib import Path

from plenary.store.store import Store

KEY, OTHER = "a key that is long enough", "another that is long enough"


def test_customers_are_listed_with_the_number_of_their_keys(tmp_path: Path):
    store = Store.open(tmp_path)
    ann, bob = store.ensure_customer("ann"), store.ensure_customer("bob")
    store.add_access_key(ann, KEY)
    store.add_access_key(ann, OTHER)
    assert store.customers() == [(ann, "ann", 2), (bob, "bob", 0)]
    store.close()


def test_a_key_that_was_taken_back_is_nobodys(tmp_path: Path):
    store = Store.open(tmp_path)
    ann, bob = store.ensure_customer("ann"), store.ensure_customer("bob")
    store.add_access_key(ann, KEY)
    store.add_access_key(bob, OTHER)
    assert store.revoke_access_keys(ann) == 1
    assert (store.customer_of(KEY), store.customer_of(OTHER)) == (None, bob)
    store.close()
