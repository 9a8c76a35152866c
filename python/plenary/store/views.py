"""The read side: what the API shows, always of one customer only.

Resources come as the JSON that goes out, unparsed. Methods may be called from any thread, a few at a time. What is
another customer's is `NotFound`, exactly as what never was.

Lists run from the newest to the oldest by (`tm_create`, `id`), and so does the page token: rows with equal time stamps
are neither lost nor shown twice, and rows that come or go between two pages move no others.
"""

import base64
import binascii
import re
from typing import Any

import msgspec
import sqlalchemy as sa

from ..core.errors import Invalid, NotFound
from ..core.ids import NEVER, UUID_PATTERN
from . import tables
from .errors import told_as_store_errors

MAX_PAGE_SIZE = 100
"""Rows in a page: about 100 KB of JSON."""

MAX_EVENTS = 1000
"""Entries of the log in one answer."""

MAX_POSITION = 2**63 - 1
"""SQLite counts no further."""

_TOKEN = re.compile(rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{6}})\|({UUID_PATTERN})", re.ASCII)
_MAX_TOKEN = 128
"""Characters; ours have 84."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for. Raises `Invalid` where it makes no sense."""

    size: int = MAX_PAGE_SIZE
    token: str = ""
    """`Listing.next_page_token` of the page before; empty: the first page."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_PAGE_SIZE:
            raise Invalid("invalid_page_size", f"page_size must be from 1 to {MAX_PAGE_SIZE}.", "/page_size")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    items: list[bytes]
    """Resources as JSON."""
    next_page_token: str
    """Empty on the last page."""


def _write_token(tm_create: str, resource_id: str) -> str:
    return base64.urlsafe_b64encode(f"{tm_create}|{resource_id}".encode()).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[str, str]:
    try:
        if len(token) > _MAX_TOKEN:
            raise ValueError
        plain = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        found = _TOKEN.fullmatch(plain)
        if found is None:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Invalid(
            "invalid_page_token",
            "page_token is none that this server gave out: pass next_page_token of the page before unchanged.",
            "/page_token",
        ) from None
    return found[1], found[2]


class _List:
    """The statements of one kind of resource."""

    def __init__(self, table: sa.Table, reference: str | None = None) -> None:
        c = table.c
        self.name = table.name
        self.one = sa.select(c.body).where(c.id == sa.bindparam("id"), c.customer_id == sa.bindparam("customer"))
        order = (c.tm_create.desc(), c.id.desc())
        there = sa.text(f"{table.name}.tm_delete = '{NEVER}'")  # literal, so that the partial index serves
        first = (
            sa.select(c.tm_create, c.id, c.body)
            .where(there, c.customer_id == sa.bindparam("customer"))
            .order_by(*order)
            .limit(sa.bindparam("rows", type_=sa.Integer))
        )
        if reference is None:
            self.first = self.first_of = first
        else:
            self.first = first
            self.first_of = first.where(c[reference] == sa.bindparam("reference"))
        after = sa.tuple_(c.tm_create, c.id) < sa.tuple_(sa.bindparam("tm_create"), sa.bindparam("id"))
        self.later = self.first.where(after)
        self.later_of = self.first_of.where(after)


_CONFERENCES = _List(tables.conference)
_CONFERENCECALLS = _List(tables.conferencecall, "conference_id")
_CALLS = _List(tables.call)
_RECORDINGS = _List(tables.recording, "reference_id")
_JOIN_TOKENS = _List(tables.join_token, "conference_id")

_EVENTS = (
    sa.select(tables.event.c.position, tables.event.c.body)
    .where(
        tables.event.c.customer_id == sa.bindparam("customer"),
        tables.event.c.position > sa.bindparam("after"),
    )
    .order_by(tables.event.c.position)
    .limit(sa.bindparam("rows", type_=sa.Integer))
)
_EVENTS_OF_CONFERENCE = _EVENTS.where(tables.event.c.conference_id == sa.bindparam("conference"))
_LAST_POSITION = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'event'")


class Views:
    """Made by `Store.open`. Raises `StoreError` where the database fails."""

    def __init__(self, engine: sa.Engine, path: str) -> None:
        self._engine = engine
        self._path = path

    # --- one ------------------------------------------------------------------------------------------------------

    def conference(self, customer: str, id: str) -> bytes:
        """A conference as JSON, also once it is deleted. Raises `NotFound`; so do the others."""
        return self._one(_CONFERENCES, customer, id)

    def conferencecall(self, customer: str, id: str) -> bytes:
        return self._one(_CONFERENCECALLS, customer, id)

    def call(self, customer: str, id: str) -> bytes:
        return self._one(_CALLS, customer, id)

    def recording(self, customer: str, id: str) -> bytes:
        return self._one(_RECORDINGS, customer, id)

    # --- many -----------------------------------------------------------------------------------------------------

    def conferences(self, customer: str, page: Page) -> Listing:
        """What is not deleted, newest first. Raises `Invalid` for a token that is not ours; so do the others."""
        return self._page(_CONFERENCES, customer, page)

    def conferencecalls(self, customer: str, page: Page, conference: str | None = None) -> Listing:
        """All of the customer's, or those of one conference."""
        return self._page(_CONFERENCECALLS, customer, page, conference)

    def calls(self, customer: str, page: Page) -> Listing:
        return self._page(_CALLS, customer, page)

    def recordings(self, customer: str, page: Page, reference: str | None = None) -> Listing:
        """All of the customer's, or those of one conference or call."""
        return self._page(_RECORDINGS, customer, page, reference)

    def join_token(self, customer: str, id: str) -> bytes:
        """Also one that has expired or was taken back."""
        return self._one(_JOIN_TOKENS, customer, id)

    def join_tokens(self, customer: str, page: Page, conference: str) -> Listing:
        """Those of one conference that were not taken back."""
        return self._page(_JOIN_TOKENS, customer, page, conference)

    # --- the log --------------------------------------------------------------------------------------------------

    def events(
        self, customer: str, after: int = 0, limit: int = MAX_EVENTS, conference: str | None = None
    ) -> list[tuple[int, bytes]]:
        """Entries after position `after` (0: from the oldest that is kept), in order: (position, `LogEntry` as JSON).

        The last position of the answer is the `after` of the next question. Positions of one customer rise, with gaps.
        """
        if not 0 <= after <= MAX_POSITION:
            raise Invalid("invalid_position", "after must be a position of the event log, 0 for its start.", "/after")
        if not 1 <= limit <= MAX_EVENTS:
            raise Invalid("invalid_limit", f"The number of events must be from 1 to {MAX_EVENTS}.", "/limit")
        values: dict[str, Any] = {"customer": customer, "after": after, "rows": limit}
        statement = _EVENTS
        if conference is not None:
            statement = _EVENTS_OF_CONFERENCE
            values["conference"] = conference
        return [(position, body) for position, body in self._rows(statement, values)]

    def last_position(self) -> int:
        """Position of the newest entry there ever was, of any customer; 0: none."""
        rows = self._rows(_LAST_POSITION, {})
        return int(rows[0][0]) if rows else 0

    # --- how ------------------------------------------------------------------------------------------------------

    def _rows(self, statement: sa.Executable, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with told_as_store_errors(self._path), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement, values)]

    def _one(self, kind: _List, customer: str, id: str) -> bytes:
        rows = self._rows(kind.one, {"id": id, "customer": customer})
        if not rows:
            raise NotFound(f"{kind.name}_not_found", f"There is no {kind.name} with this id.")
        return rows[0][0]

    def _page(self, kind: _List, customer: str, page: Page, reference: str | None = None) -> Listing:
        values: dict[str, Any] = {"customer": customer, "rows": page.size + 1}
        if reference is not None:
            values["reference"] = reference
        if page.token:
            values["tm_create"], values["id"] = _read_token(page.token)
            statement = kind.later if reference is None else kind.later_of
        else:
            statement = kind.first if reference is None else kind.first_of
        rows = self._rows(statement, values)
        items = [body for _, _, body in rows[: page.size]]
        if len(rows) <= page.size:
            return Listing(items=items, next_page_token="")
        tm_create, id, _ = rows[page.size - 1]
        return Listing(items=items, next_page_token=_write_token(tm_create, id))
