"""Access keys and join tokens in use are remembered for a moment, so that not every request asks the database."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plenary import doors
from plenary.api.problems import Problem
from plenary.core.ids import NEVER
from plenary.core.resources import JoinToken
from plenary.doors import KEY_REMEMBERED_S, Customers, Tokens
from plenary.web import tokens

TOKEN = "11111111-1111-4111-8111-111111111111"


class Keys:
    """A server whose store knows some keys, and counts how often it is asked."""

    def __init__(self, **customers: str) -> None:
        self.customers = customers
        self.asked = 0
        self.now = 0.0
        self.remembering = Customers(cast(Any, self), lambda: self.now)

    @property
    def store(self) -> Any:
        return SimpleNamespace(customer_of=self.customers.get)

    async def read(self, question: Any, key: str) -> str | None:
        self.asked += 1
        return question(key)

    def of(self, key: str) -> str | None:
        return asyncio.run(self.remembering.of(key))


def test_a_good_key_is_looked_up_once_in_a_while():
    keys = Keys(pk_one="one", pk_two="two")
    assert [keys.of("pk_one"), keys.of("pk_one"), keys.of("pk_two")] == ["one", "one", "two"]
    assert keys.asked == 2
    keys.now = KEY_REMEMBERED_S
    assert keys.of("pk_one") == "one"
    assert keys.asked == 3


def test_a_key_that_was_taken_back_is_refused_soon():
    keys = Keys(pk_one="one")
    keys.of("pk_one")
    keys.customers.clear()
    keys.now = KEY_REMEMBERED_S
    assert keys.of("pk_one") is None


def test_a_guess_is_never_remembered_and_good_once_the_key_exists():
    keys = Keys()
    assert keys.of("pk_new") is None
    keys.customers["pk_new"] = "one"
    assert keys.of("pk_new") == "one"


def test_only_so_many_keys_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doors, "KEYS_REMEMBERED", 2)
    keys = Keys(a="1", b="2", c="3")
    for key in "abcc":
        keys.of(key)
    assert keys.asked == 3
    keys.of("a")
    assert keys.asked == 4


def test_a_token_that_is_taken_back_while_it_is_looked_up_is_not_remembered_as_good():
    """The look-up has read that it is good; before that is told, the token is taken back."""
    token = JoinToken(id=TOKEN, customer_id="me", conference_id="here", tm_create=NEVER, tm_expire=NEVER)
    kept = {TOKEN: token}
    join_key = bytes(tokens.KEY_BYTES)
    text = tokens.sign(token, 10, join_key)
    taken_back: list[JoinToken] = []

    async def read(question: Any, *what: str) -> Any:
        found = question(*what)
        if question == kept.get and not taken_back:
            taken_back.append(token)
            await door.revoke("me", "here", TOKEN)
        return found

    async def write(_: Any, changed: JoinToken) -> None:
        kept[changed.id] = changed

    views = SimpleNamespace(conference=lambda *_: b"")
    store = SimpleNamespace(join_token=kept.get, change_join_token=None, views=views)
    server = SimpleNamespace(read=read, write=write, store=store, join_key=join_key, now=lambda: 1.0)
    door = Tokens(cast(Any, server))
    asyncio.run(door.verify(text))
    with pytest.raises(Problem, match="taken back"):
        asyncio.run(door.verify(text))
