"""Opening the one SQLite file: the lock on its folder, the connections, how durable they are.

Writes go through one connection, one transaction at a time (`BEGIN IMMEDIATE`), with WAL and `synchronous=FULL`: what
was committed survives a loss of power. Reads go through a few connections of their own and never wait for the writer.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from .errors import FolderInUse, told_as_store_errors

DATABASE = "plenary.sqlite3"
LOCK = "plenary.lock"

READERS = 4
"""Connections for reading at the same time. A read takes a fraction of a millisecond, and Python runs one at a time."""

BUSY_TIMEOUT_MS = 5_000
"""How long to wait for another program (a backup, a shell) that locks the file. Longer would hold up the calls."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""What the write-ahead log may keep of the disk once it has been copied into the database."""


class FolderLock:
    """The right to be the only server on a data folder. The kernel takes it back when the process ends, however."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder if need be. Raises `FolderUnusable` or `FolderInUse`."""
        with told_as_store_errors(f"The data folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise FolderInUse(
                f"The data folder {folder} is in use by another server{f' (process {holder})' if holder else ''}:"
                " stop that one, or give this one a folder of its own."
            ) from None
        with told_as_store_errors(f"The data folder {folder}"):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)


def writer(path: Path, durable: bool, limit_bytes: int | None) -> sa.Engine:
    """An engine with exactly one connection, which may be used from any thread, by one at a time.

    With `limit_bytes` the database refuses to grow beyond that (`DiskFull`).
    """
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _(connection: SqliteConnection, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # SQLAlchemy begins transactions, below; the driver must not
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA foreign_keys=ON")
        # Keys of media are forgotten with their call, wherever SQLite's own default is another.
        connection.execute("PRAGMA secure_delete=ON")
        if limit_bytes is not None:
            page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
            connection.execute(f"PRAGMA max_page_count={max(1, limit_bytes // page_size)}")

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def readers(path: Path) -> sa.Engine:
    """An engine whose connections can't write, each statement a transaction of its own."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.QueuePool,
        pool_size=READERS,
        max_overflow=0,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _(connection: SqliteConnection, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute("PRAGMA query_only=ON")

    return engine


def size_bytes(path: Path) -> int:
    """What the database takes on disk, its write-ahead log included."""
    total = 0
    for name in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(FileNotFoundError):
            total += name.stat().st_size
    return total
