"""What the API reads: one customer's, newest first, page by page, every row exactly once."""

import base64
import sqlite3
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.core.changes import Changes
from plenary.core.errors import Invalid, NotFound
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Resource
from plenary.store import views
from plenary.store.store import Store
from plenary.store.views import MAX_POSITION, Page, Views

from .samples import NOON, call, conference, conferencecall, entry, new_id, recording, rows

MAKE: dict[str, Callable[[str], Resource]] = {
    "conference": conference,
    "conferencecall": lambda customer: conferencecall(customer, new_id()),
    "call": call,
    "recording": lambda customer: recording(customer, new_id()),
}


@pytest.mark.parametrize("kind", MAKE)
def test_a_resource_is_read_exactly_as_it_goes_out(store: Store, customer: str, kind: str):
    thing = MAKE[kind](customer)
    store.commit(rows(thing))
    assert getattr(store.views, kind)(customer, thing.id) == msgspec.json.encode(thing)
    assert getattr(store.views, f"{kind}s")(customer, Page()).items == [msgspec.json.encode(thing)]


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_anothers_is_not_found_just_as_what_never_was(store: Store, customer: str, kind: str):
    other = store.ensure_customer("eve")
    thing = MAKE[kind](customer)
    store.commit(rows(thing))
    said: list[tuple[str, str]] = []
    for id in (thing.id, ZERO_ID, "", "' OR 1=1 --", "\x00", "\ud800".encode("utf-8", "replace").decode()):
        with pytest.raises(NotFound) as refused:
            getattr(store.views, kind)(other, id)
        said.append((refused.value.code, refused.value.detail))
    assert set(said) == {(f"{kind}_not_found", f"There is no {kind} with this id.")}
    assert getattr(store.views, f"{kind}s")(other, Page()).items == []


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_deleted_is_read_by_id_but_not_listed(store: Store, customer: str, kind: str):
    thing = MAKE[kind](customer)
    store.commit(rows(thing))
    store.commit(rows(msgspec.structs.replace(thing, tm_delete=NOON), live=False))
    assert NOON.encode() in getattr(store.views, kind)(customer, thing.id)
    assert getattr(store.views, f"{kind}s")(customer, Page()).items == []


def test_conferencecalls_and_recordings_can_be_listed_for_one_conference(store: Store, customer: str):
    one, two = new_id(), new_id()
    in_one = [conferencecall(customer, one, tm_create=f"2026-03-01 12:00:0{n}.000000") for n in range(3)]
    of_one = recording(customer, one)
    store.commit(rows(*in_one, conferencecall(customer, two), of_one, recording(customer, two)))
    first = store.views.conferencecalls(customer, Page(size=2), one)
    rest = store.views.conferencecalls(customer, Page(size=2, token=first.next_page_token), one)
    assert first.items + rest.items == [msgspec.json.encode(thing) for thing in reversed(in_one)]
    assert rest.next_page_token == ""
    assert store.views.recordings(customer, Page(), one).items == [msgspec.json.encode(of_one)]
    assert len(store.views.recordings(customer, Page()).items) == 2


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples: each makes customers of its own."""
    store = Store.open(tmp_path_factory.mktemp("shared"), durable=False)
    yield store
    store.close()


def walk(views: Views, customer: str, size: int) -> list[list[str]]:
    pages: list[list[str]] = []
    token = ""
    while token or not pages:
        listing = views.conferences(customer, Page(size=size, token=token))
        pages.append([msgspec.json.decode(item)["id"] for item in listing.items])
        token = listing.next_page_token
    return pages


@given(seconds=st.lists(st.integers(0, 3), max_size=25), size=st.integers(1, 30))
def test_pages_of_any_size_show_every_row_exactly_once_newest_first(shared: Store, seconds: list[int], size: int):
    ann, eve = shared.ensure_customer(new_id()), shared.ensure_customer(new_id())
    mine = [conference(ann, tm_create=f"2026-03-01 12:00:0{second}.000000") for second in seconds]
    shared.commit(rows(*mine, *(conference(eve, tm_create=thing.tm_create) for thing in mine)))
    pages = walk(shared.views, ann, size)
    wanted = sorted(mine, key=lambda thing: (thing.tm_create, thing.id), reverse=True)
    assert [id for page in pages for id in page] == [thing.id for thing in wanted]
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert len(pages) == max(1, -(-len(mine) // size))


def test_rows_that_come_and_go_between_two_pages_move_no_others(store: Store, customer: str):
    things = [conference(customer, tm_create=f"2026-03-01 12:00:0{n}.000000") for n in range(6)]
    store.commit(rows(*things))
    first = store.views.conferences(customer, Page(size=3))
    shown = things[3]  # the very row that the token stands on
    store.commit(rows(msgspec.structs.replace(shown, tm_delete=NOON)))
    store.commit(rows(conference(customer, tm_create="2026-03-01 12:00:09.000000")))
    second = store.views.conferences(customer, Page(size=3, token=first.next_page_token))
    assert second.items == [msgspec.json.encode(thing) for thing in (things[2], things[1], things[0])]


NOT_OURS = {
    "no base64": "%%%",
    "a time stamp": "2026-03-01 12:00:00.000000",
    "something else in base64": base64.urlsafe_b64encode(b"hello").decode(),
    "no id": base64.urlsafe_b64encode(NOON.encode()).decode(),
    "bytes that are no text": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "other digits": base64.urlsafe_b64encode(f"٢{NOON[1:]}|{ZERO_ID}".encode()).decode(),
    "more behind": base64.urlsafe_b64encode(f"{NOON}|{ZERO_ID}\n".encode()).decode(),
    "very long": "A" * 100_000,
    "no ASCII": "ä" * 84,
}


@pytest.mark.parametrize("token", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_a_token_that_is_not_ours_is_refused_and_named(store: Store, customer: str, token: str):
    with pytest.raises(Invalid) as refused:
        store.views.conferences(customer, Page(token=token))
    assert (refused.value.code, refused.value.path) == ("invalid_page_token", "/page_token")


@given(token=st.text(min_size=1, max_size=200))
def test_no_text_is_taken_for_a_token(shared: Store, token: str):
    with pytest.raises(Invalid):
        shared.views.conferences("", Page(token=token))


@pytest.mark.parametrize("size", [0, -1, 101, 10**30])
def test_a_page_size_outside_its_bounds_is_refused(size: int):
    with pytest.raises(Invalid) as refused:
        Page(size=size)
    assert refused.value.path == "/page_size"


def test_the_log_is_read_from_any_position_by_customer_and_by_conference(store: Store, customer: str):
    eve = store.ensure_customer("eve")
    one, two = new_id(), new_id()
    log = [
        entry(customer, conference_id=one, number=1, cause="asked", data=conference(customer, id=one)),
        entry(eve, conference_id=new_id(), number=1),
        entry(customer, conference_id=two, number=1),
        entry(customer, conference_id=one, number=2),
        entry(customer),
    ]
    store.commit(Changes(log=log))
    everything = store.views.events(customer)
    assert [position for position, _ in everything] == [1, 3, 4, 5]
    assert [body for _, body in everything] == [msgspec.json.encode(log[position - 1]) for position, _ in everything]
    assert [position for position, _ in store.views.events(customer, after=3)] == [4, 5]
    assert [position for position, _ in store.views.events(customer, limit=2)] == [1, 3]
    assert [position for position, _ in store.views.events(customer, conference=one)] == [1, 4]
    assert store.views.events(eve, conference=one) == []
    assert store.views.events(customer, after=MAX_POSITION) == []
    assert store.views.last_position() == 5


@pytest.mark.parametrize(
    ("after", "limit", "path"),
    [(-1, 1, "/after"), (MAX_POSITION + 1, 1, "/after"), (0, 0, "/limit"), (0, 1001, "/limit")],
)
def test_positions_and_limits_of_the_log_have_bounds(store: Store, customer: str, after: int, limit: int, path: str):
    with pytest.raises(Invalid) as refused:
        store.views.events(customer, after, limit)
    assert refused.value.path == path


def test_lists_are_read_through_an_index_however_many_rows_there_are(store: Store):
    """No `SCAN` and no sorting in any plan: the cost of a page is that of its rows."""
    connection = sqlite3.connect(store.path)
    statements = [views._EVENTS, views._EVENTS_OF_CONFERENCE]
    for kind in (views._CONFERENCES, views._CONFERENCECALLS, views._CALLS, views._RECORDINGS):
        statements += [kind.one, kind.first, kind.first_of, kind.later, kind.later_of]
    for statement in statements:
        sql = str(statement)
        names = {"customer": "", "id": "", "tm_create": "", "rows": 1, "reference": "", "after": 0, "conference": ""}
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", names))
        assert "SCAN" not in plan, (sql, plan)
        assert "TEMP B-TREE" not in plan, (sql, plan)
    connection.close()
