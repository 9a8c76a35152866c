"""The write side: one transaction for each turn of the server, and what a server reads back when it starts."""

import hashlib
import threading
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from ..core.changes import Changes, Row
from ..core.errors import LimitReached
from ..core.ids import NEVER, stamp
from ..core.resources import Call, Conference, Conferencecall, JoinToken, LogEntry, Recording, Resource
from . import database, migrations, tables
from .errors import DatabaseCorrupt, FolderInUse, StoreError, told_as_store_errors
from .views import Views

R = TypeVar("R", bound=Resource)

KEEP_EVENTS_S = 30 * 24 * 3600.0
"""How long entries of the log are kept: longer than any reader should be away."""

KEEP_EVENTS = 5_000_000
"""How many at most: about 5 GB."""

PRUNED_AT_ONCE = 500
"""Entries that one `prune` deletes at most: about 5 ms in which nothing else can be written."""

JOIN_TOKENS_MAX = 10_000
"""Good ones of one conference: one for each of as many guests as any room holds, many times over."""

MAX_KEY = 512
"""Characters of an access key: bounds the work for a stranger's."""


class EnginePosition(msgspec.Struct, frozen=True):
    """How far the server has come with the messages of the media engine."""

    engine: str
    """Identity of the engine process."""
    acked: int
    """Sequence number of its last message that was dealt with."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What was there when the server ended, in whatever way it ended."""

    rows: list[Row]
    """The live ones: conferences, calls, conferencecalls, recordings, each from the oldest to the newest."""
    numbers: dict[str, int]
    """Last event number of each conference, also of ended ones."""
    dialogs: list[tuple[str, bytes]]
    """(call id, snapshot)."""
    engine: EnginePosition | None


_TABLES: dict[type[Resource], sa.Table] = {
    Conference: tables.conference,
    Call: tables.call,
    Conferencecall: tables.conferencecall,
    Recording: tables.recording,
}


def _upsert(table: sa.Table, *changing: str) -> sa.Executable:
    """Inserts, or changes these columns of the row with the same key."""
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in changing}
    )


_UPSERT_RESOURCE = {table: _upsert(table, "tm_delete", "live", "body", "state") for table in _TABLES.values()}
_UPSERT_NUMBER = _upsert(tables.conference_number, "number")
_UPSERT_DIALOG = _upsert(tables.dialog, "snapshot")
_UPSERT_ENGINE = _upsert(tables.engine_position, "engine", "acked")
_INSERT_EVENT = sa.insert(tables.event)
_DELETE_DIALOG = sa.delete(tables.dialog).where(tables.dialog.c.call_id == sa.bindparam("gone"))
_NUMBERS = sa.select(tables.conference_number.c.conference_id, tables.conference_number.c.number)
_DIALOGS = sa.select(tables.dialog.c.call_id, tables.dialog.c.snapshot)
_CUSTOMER_OF = sa.select(tables.access_key.c.customer_id).where(tables.access_key.c.hash == sa.bindparam("hash"))


def _resource_values(row: Row) -> dict[str, Any]:
    resource = row.resource
    values: dict[str, Any] = {
        "id": resource.id,
        "customer_id": resource.customer_id,
        "tm_create": resource.tm_create,
        "tm_delete": resource.tm_delete,
        "live": int(row.live),
        "body": msgspec.json.encode(resource),
        "state": row.state,
    }
    if isinstance(resource, Conferencecall):
        values["conference_id"] = resource.conference_id
    elif isinstance(resource, Recording):
        values["reference_id"] = resource.reference_id
    return values


def _token_values(token: JoinToken) -> dict[str, Any]:
    columns = ("id", "customer_id", "conference_id", "tm_create", "tm_expire", "tm_delete")
    return {**{name: getattr(token, name) for name in columns}, "body": msgspec.json.encode(token)}


def _event_values(position: int, entry: LogEntry) -> dict[str, Any]:
    return {
        "position": position,
        "customer_id": entry.customer_id,
        "conference_id": entry.conference_id,
        "number": entry.number,
        "type": entry.type,
        "tm": entry.tm,
        "body": msgspec.json.encode(entry),
    }


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def is_known(folder: Path) -> bool:
    """Whether there is a database in it."""
    return (folder / database.DATABASE).exists()


class Store:
    """The data of one server. Methods may be called from any thread; writes wait for each other."""

    def __init__(self, folder: Path, lock: database.FolderLock | None, writer: sa.Engine, readers: sa.Engine) -> None:
        """Called by `open` and `open_beside`: without `lock` a server has the folder."""
        self.path = folder / database.DATABASE
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._one_at_a_time = threading.Lock()
        self.views = Views(readers, str(self.path))
        self._last = self.views.last_position()
        self._prune_at: tuple[type[Resource], int] = (Conference, 0)
        """Where `prune_rows` goes on: the kind, and the row that it looked at last."""

    @classmethod
    def open(cls, folder: Path | str, *, durable: bool = True, limit_bytes: int | None = None) -> Self:
        """Opens the data folder, makes it and its database if need be, brings an older one up to date.

        `durable=False` gives up safety from loss of power for speed (simulations). With `limit_bytes` a commit that
        would make the database larger raises `DiskFull`. Raises `StoreError`.
        """
        folder = Path(folder)
        path = folder / database.DATABASE
        lock = database.FolderLock(folder)
        writer = database.writer(path, durable, limit_bytes)
        readers = database.readers(path)
        try:
            with told_as_store_errors(str(path)):
                with writer.begin() as connection:
                    migrations.upgrade(connection, str(path))
                return cls(folder, lock, writer, readers)
        except BaseException:
            writer.dispose()
            readers.dispose()
            lock.release()
            raise

    @classmethod
    def open_beside(cls, folder: Path | str) -> Self:
        """As `open`, but also while a server has the folder; then for nothing but customers and their keys.

        Of these a server keeps no copy that could get out of step, and SQLite has one program write after the other.
        Raises `StoreError`.
        """
        try:
            return cls.open(folder)
        except FolderInUse:
            pass
        path = Path(folder) / database.DATABASE
        writer = database.writer(path, durable=True, limit_bytes=None)
        readers = database.readers(path)
        try:
            with told_as_store_errors(str(path)):
                with writer.begin() as connection:
                    if migrations.revision_of(connection) != migrations.NEWEST:
                        raise FolderInUse(
                            f"The data folder {folder} is in use by a server of another version: use that one's own"
                            " `plenary customer`, or stop it."
                        )
                return cls(Path(folder), None, writer, readers)
        except BaseException:
            writer.dispose()
            readers.dispose()
            raise

    def close(self) -> None:
        """Lets go of the folder. Nothing is pending: every commit is on disk already."""
        with self._one_at_a_time:
            self._readers.dispose()
            self._writer.dispose()
            if self._lock is not None:
                self._lock.release()

    @property
    def last_position(self) -> int:
        """Position of the newest entry of the log."""
        return self._last

    def size_bytes(self) -> int:
        """What the database takes on disk."""
        return database.size_bytes(self.path)

    # --- a turn of the server -------------------------------------------------------------------------------------

    def commit(
        self,
        changes: Changes,
        dialogs: Mapping[str, bytes | None] | None = None,
        engine: EnginePosition | None = None,
    ) -> int:
        """Writes all of it in one transaction, or nothing; returns the last position of the log.

        `dialogs`: by call id, what SIP must know to go on; None: forget it. `engine` None: as before.
        On disk when it returns. Raises `StoreError`; the caller may try the same again.
        """
        if not changes and not dialogs and engine is None:
            return self._last
        with self._transaction() as connection:
            for table, rows in self._by_table(changes):
                connection.execute(_UPSERT_RESOURCE[table], rows)
            last = self._last
            if changes.log:
                numbers: dict[str, int] = {}
                events: list[dict[str, Any]] = []
                for entry in changes.log:
                    last += 1
                    events.append(_event_values(last, entry))
                    if entry.number:
                        numbers[entry.conference_id] = entry.number
                connection.execute(_INSERT_EVENT, events)
                if numbers:
                    connection.execute(
                        _UPSERT_NUMBER, [{"conference_id": id, "number": number} for id, number in numbers.items()]
                    )
            if dialogs:
                self._write_dialogs(connection, dialogs)
            if engine is not None:
                connection.execute(_UPSERT_ENGINE, {"id": 1, "engine": engine.engine, "acked": engine.acked})
        self._last = last
        return last

    def load(self) -> Saved:
        """What a server that starts goes on with. Raises `DatabaseCorrupt` if it can't be understood."""
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            rows: list[Row] = []
            for kind, table in _TABLES.items():
                live = sa.select(table.c.body, table.c.state).where(sa.text("live = 1")).order_by(table.c.tm_create)
                rows += [
                    Row(resource=self._resource(kind, body), state=state, live=True)
                    for body, state in connection.execute(live)
                ]
            numbers: dict[str, int] = {row[0]: row[1] for row in connection.execute(_NUMBERS)}
            dialogs: list[tuple[str, bytes]] = [(row[0], row[1]) for row in connection.execute(_DIALOGS)]
            position = connection.execute(
                sa.select(tables.engine_position.c.engine, tables.engine_position.c.acked)
            ).one_or_none()
        engine = None if position is None else EnginePosition(position[0], position[1])
        return Saved(rows=rows, numbers=numbers, dialogs=dialogs, engine=engine)

    def find(self, kind: type[R], id: str) -> R | None:
        """A resource of any customer as it was last written, for the switch, which keeps only what is at work."""
        table = _TABLES[kind]
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            body = connection.execute(sa.select(table.c.body).where(table.c.id == id)).scalar()
        return None if body is None else self._resource(kind, body)

    def recordings(self) -> dict[str, bool]:
        """Every recording that there is or was, by id: whether it was deleted."""
        c = tables.recording.c
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            rows = connection.execute(sa.select(c.id, c.tm_delete)).all()
        return {id: tm_delete != NEVER for id, tm_delete in rows}

    def prune(self, now: float, keep_s: float = KEEP_EVENTS_S, keep: int = KEEP_EVENTS) -> int:
        """Forgets the oldest entries of the log: older than `keep_s`, or more than `keep` in number.

        At most `PRUNED_AT_ONCE` in a call; returns how many. Call it now and then, at once again while it returns
        as many as that.
        """
        event = tables.event.c
        with self._transaction() as connection:
            oldest = (
                sa.select(event.position, event.tm).order_by(event.position).limit(PRUNED_AT_ONCE).subquery("oldest")
            )
            too_old = oldest.c.tm < stamp(now - keep_s)
            too_many = oldest.c.position <= self._last - keep
            upto = connection.execute(sa.select(sa.func.max(oldest.c.position)).where(too_old | too_many)).scalar()
            if upto is None:
                return 0
            return connection.execute(sa.delete(tables.event).where(event.position <= upto)).rowcount

    def prune_rows(self, now: float, keep_s: float = KEEP_EVENTS_S) -> bool:
        """Forgets what was over `keep_s` ago: conferences, with the number of their last entry, calls, conferencecalls,
        and recordings that were deleted.

        Looks at no more than `PRUNED_AT_ONCE` rows, and goes on there at the next call; False once it has seen all.
        Rows lie in the order in which they were made, and one that was made later can't have ended earlier.
        """
        kind, after = self._prune_at
        table, c = _TABLES[kind], _TABLES[kind].c
        rowid = sa.literal_column(f"{table.name}.rowid", sa.Integer)
        oldest = (
            sa.select(rowid, c.id, c.live, c.body)
            .where(rowid > after, c.tm_create < stamp(now - keep_s))
            .order_by(rowid)
            .limit(PRUNED_AT_ONCE)
        )
        with self._transaction() as connection:
            rows = connection.execute(oldest).all()
            over = [id for _, id, live, body in rows if not live and self._over(kind, body) < stamp(now - keep_s)]
            if kind is Conference:
                logged = sa.select(tables.event.c.conference_id).where(tables.event.c.conference_id.in_(over))
                over = sorted(set(over) - set(connection.execute(logged.distinct()).scalars()))
                numbers = tables.conference_number
                connection.execute(sa.delete(numbers).where(numbers.c.conference_id.in_(over)))
            connection.execute(sa.delete(table).where(c.id.in_(over)))
        if len(rows) == PRUNED_AT_ONCE:
            self._prune_at = (kind, rows[-1][0])
            return True
        kinds = [*_TABLES, Conference]
        self._prune_at = (kinds[kinds.index(kind) + 1], 0)
        return self._prune_at[0] is not Conference

    def _over(self, kind: type[Resource], body: bytes) -> str:
        """When nothing more could happen to it; `NEVER` for a recording that somebody may still want to hear."""
        match self._resource(kind, body):
            case Conference(tm_end=at) | Call(tm_hangup=at) | Conferencecall(tm_update=at) | Recording(tm_delete=at):
                return at

    # --- join tokens ----------------------------------------------------------------------------------------------

    def add_join_token(self, token: JoinToken) -> None:
        """Raises `LimitReached` if the conference has too many that are good."""
        table, c = tables.join_token, tables.join_token.c
        good = sa.select(sa.func.count()).where(
            c.conference_id == token.conference_id, c.tm_delete == NEVER, c.tm_expire > token.tm_create
        )
        with self._transaction() as connection:
            if connection.execute(good).scalar_one() >= JOIN_TOKENS_MAX:
                raise LimitReached(
                    "too_many_tokens", f"A conference has at most {JOIN_TOKENS_MAX} join tokens. Take some back."
                )
            connection.execute(sa.insert(table).values(_token_values(token)))

    def join_token(self, id: str) -> JoinToken | None:
        """A token of any customer."""
        find = sa.select(tables.join_token.c.body).where(tables.join_token.c.id == id)
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            body = connection.execute(find).scalar()
        return None if body is None else msgspec.json.decode(body, type=JoinToken)

    def change_join_token(self, token: JoinToken) -> None:
        """Writes what has become of it."""
        c = tables.join_token.c
        with self._transaction() as connection:
            connection.execute(sa.update(tables.join_token).where(c.id == token.id).values(_token_values(token)))

    def prune_join_tokens(self, now: float, keep_s: float = KEEP_EVENTS_S) -> int:
        """Forgets those that expired `keep_s` ago. At most `PRUNED_AT_ONCE` in a call; returns how many."""
        c = tables.join_token.c
        oldest = sa.select(c.id).where(c.tm_expire < stamp(now - keep_s)).limit(PRUNED_AT_ONCE)
        with self._transaction() as connection:
            return connection.execute(sa.delete(tables.join_token).where(c.id.in_(oldest))).rowcount

    # --- customers ------------------------------------------------------------------------------------------------

    def ensure_customer(self, name: str, id: str | None = None) -> str:
        """Id of the customer of this name, who is made (with this id, if one is given) if there is none."""
        customer = tables.customer
        find = sa.select(customer.c.id).where(customer.c.name == name)
        with self._transaction() as connection:
            found = connection.execute(find).scalar()
            if found is not None:
                return str(found)
            made = id or str(uuid.uuid4())
            connection.execute(sa.insert(customer).values(id=made, name=name))
            return made

    def add_access_key(self, customer: str, key: str) -> None:
        """Lets `key` stand for the customer, and for no one else from now on. Only its SHA-256 is kept."""
        assert 16 <= len(key) <= MAX_KEY, "an access key is long and random"
        add = _upsert(tables.access_key, "customer_id")
        with self._transaction() as connection:
            connection.execute(add, {"hash": _hash(key), "customer_id": customer})

    def customers(self) -> list[tuple[str, str, int]]:
        """Every customer by name: (id, name, how many keys stand for him)."""
        customer, key = tables.customer, tables.access_key
        number = sa.select(sa.func.count()).where(key.c.customer_id == customer.c.id).scalar_subquery()
        every = sa.select(customer.c.id, customer.c.name, number).order_by(customer.c.name)
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            return [(str(id), str(name), int(keys)) for id, name, keys in connection.execute(every)]

    def revoke_access_keys(self, customer: str) -> int:
        """No key stands for this customer any more. Returns how many did."""
        with self._transaction() as connection:
            return connection.execute(
                sa.delete(tables.access_key).where(tables.access_key.c.customer_id == customer)
            ).rowcount

    def has_access_key(self, customer: str) -> bool:
        """Whether any key stands for this customer."""
        find = sa.select(sa.literal(1)).where(tables.access_key.c.customer_id == customer).limit(1)
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            return connection.execute(find).scalar() is not None

    def customer_of(self, key: str) -> str | None:
        """The customer for whom this key stands. What it costs says nothing about how near a guess came: only the
        hash is compared."""
        digest = _hash(key[: MAX_KEY + 1])
        with told_as_store_errors(str(self.path)), self._readers.connect() as connection:
            found = connection.execute(_CUSTOMER_OF, {"hash": digest}).scalar()
        return None if found is None else str(found)

    # --- how ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Generator[sa.Connection]:
        with self._one_at_a_time, told_as_store_errors(str(self.path)), self._writer.begin() as connection:
            yield connection

    @staticmethod
    def _by_table(changes: Changes) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
        for kind, table in _TABLES.items():
            rows = [_resource_values(row) for row in changes.rows if type(row.resource) is kind]
            if rows:
                yield table, rows

    @staticmethod
    def _write_dialogs(connection: sa.Connection, dialogs: Mapping[str, bytes | None]) -> None:
        kept = [{"call_id": id, "snapshot": snapshot} for id, snapshot in dialogs.items() if snapshot is not None]
        gone = [{"gone": id} for id, snapshot in dialogs.items() if snapshot is None]
        if kept:
            connection.execute(_UPSERT_DIALOG, kept)
        if gone:
            connection.execute(_DELETE_DIALOG, gone)

    def _resource(self, kind: type[R], body: bytes) -> R:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise DatabaseCorrupt(
                f"The database {self.path} holds a {kind.__name__.lower()} that can't be read ({error}):"
                " put back a copy of it."
            ) from error


__all__ = ["EnginePosition", "Saved", "Store", "StoreError", "is_known"]
