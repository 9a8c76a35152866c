"""Join tokens on disk: as they were made, until they were taken back or have expired for long."""

import msgspec
import pytest

from plenary.core.errors import LimitReached, NotFound
from plenary.core.ids import NEVER, stamp
from plenary.core.resources import JoinToken, TokenRole
from plenary.store import store as module
from plenary.store.store import Store
from plenary.store.views import Page

from .samples import new_id

NOW = 1_800_000_000.0
ROOM = new_id()


def a_token(customer: str, conference: str = ROOM, lives_s: float = 3600.0, at: float = NOW) -> JoinToken:
    return JoinToken(
        id=new_id(),
        customer_id=customer,
        conference_id=conference,
        name="Ann",
        role=TokenRole.LISTENER,
        scopes=["join"],
        tm_create=stamp(at),
        tm_expire=stamp(at + lives_s),
    )


def taken_back(token: JoinToken) -> JoinToken:

    return msgspec.structs.replace(token, tm_delete=stamp(NOW + 1))


def ids(store: Store, customer: str, conference: str = ROOM) -> list[str]:

    listing = store.views.join_tokens(customer, Page(), conference)
    return [msgspec.json.decode(item)["id"] for item in listing.items]


def test_a_token_is_found_as_it_was_made(store: Store, customer: str):
    token = a_token(customer)
    store.add_join_token(token)
    assert store.join_token(token.id) == token
    assert store.join_token(new_id()) is None


def test_those_of_a_conference_are_listed_newest_first_and_only_to_their_customer(store: Store, customer: str):
    old, new = a_token(customer), a_token(customer, at=NOW + 1)
    for token in (old, new, a_token(customer, conference=new_id())):
        store.add_join_token(token)
    assert ids(store, customer) == [new.id, old.id]
    assert ids(store, store.ensure_customer("eve")) == []
    with pytest.raises(NotFound):
        store.views.join_token(store.ensure_customer("eve"), old.id)


def test_one_that_was_taken_back_is_found_and_not_listed(store: Store, customer: str):
    token = a_token(customer)
    store.add_join_token(token)
    store.change_join_token(taken_back(token))
    found = store.join_token(token.id)
    assert found is not None
    assert found.tm_delete != NEVER
    assert ids(store, customer) == []


def test_a_conference_has_a_limit_of_good_ones(store: Store, customer: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "JOIN_TOKENS_MAX", 2)
    short, kept = a_token(customer, lives_s=5), a_token(customer)
    store.add_join_token(short)
    store.add_join_token(kept)
    with pytest.raises(LimitReached):
        store.add_join_token(a_token(customer))
    store.add_join_token(a_token(customer, conference=new_id()))
    store.add_join_token(a_token(customer, at=NOW + 10))
    store.change_join_token(taken_back(kept))
    store.add_join_token(a_token(customer, at=NOW + 10))


def test_what_expired_long_ago_is_forgotten(store: Store, customer: str):
    expired, good = a_token(customer, lives_s=5), a_token(customer)
    store.add_join_token(expired)
    store.add_join_token(good)
    assert store.prune_join_tokens(NOW + 104, keep_s=100) == 0
    assert store.prune_join_tokens(NOW + 106, keep_s=100) == 1
    assert (store.join_token(expired.id), store.join_token(good.id)) == (None, good)
