"""Why the store can't do its work.

    StoreError
    ├── FolderUnusable      the data folder can't be made, read or written: the operator's to mend
    ├── FolderInUse         another server works on the same data folder
    ├── DatabaseTooNew      written by a newer version of Plenary
    ├── DatabaseCorrupt     damaged, or no database of ours
    ├── DatabaseBusy        another program holds a lock on the file for too long
    └── DiskFull            no room left; goes on once there is

Each says in one sentence what is wrong and what to do. Wrong use of the store (rows of an unknown customer, an event
number twice) is a bug and comes through as SQLAlchemy's own error.
"""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

from sqlalchemy.exc import DBAPIError


class StoreError(Exception):
    """The store can't do what it was asked. A commit that raised this has changed nothing."""

    code: ClassVar[str] = "store_error"


class FolderUnusable(StoreError):
    code = "folder_unusable"


class FolderInUse(StoreError):
    code = "folder_in_use"


class DatabaseTooNew(StoreError):
    code = "database_too_new"


class DatabaseCorrupt(StoreError):
    code = "database_corrupt"


class DatabaseBusy(StoreError):
    code = "database_busy"


class DiskFull(StoreError):
    code = "disk_full"


_SENTENCES: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (DiskFull, "There is no room left for the database {path}: free some space."),
    sqlite3.SQLITE_CORRUPT: (DatabaseCorrupt, "The database {path} is damaged: put back a copy of it."),
    sqlite3.SQLITE_NOTADB: (
        DatabaseCorrupt,
        "{path} is no SQLite database: move it away, or put back a copy of the database.",
    ),
    sqlite3.SQLITE_BUSY: (
        DatabaseBusy,
        "Another program holds a lock on the database {path}: end what it is doing there.",
    ),
    sqlite3.SQLITE_LOCKED: (
        DatabaseBusy,
        "Another program holds a lock on the database {path}: end what it is doing there.",
    ),
    sqlite3.SQLITE_READONLY: (FolderUnusable, "The database {path} can't be written: check its owner and mode."),
    sqlite3.SQLITE_CANTOPEN: (
        FolderUnusable,
        "The database {path} can't be opened: check the owner and mode of its folder.",
    ),
    sqlite3.SQLITE_PERM: (FolderUnusable, "The database {path} can't be opened: check its owner and mode."),
    sqlite3.SQLITE_IOERR: (FolderUnusable, "The disk fails to read or write the database {path}: check the disk."),
}
"""By SQLite's primary result code."""


def _translate(error: BaseException | None, path: str) -> StoreError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int) or code & 0xFF not in _SENTENCES:
        return None
    kind, sentence = _SENTENCES[code & 0xFF]
    return kind(sentence.format(path=path))


@contextmanager
def told_as_store_errors(path: str) -> Generator[None]:
    """Turns what SQLite says of the file at `path` into a `StoreError`; lets bugs through as they are."""
    try:
        yield
    except DBAPIError as error:
        told = _translate(error.orig, path)
        if told is None:
            raise
        raise told from error
    except sqlite3.Error as error:
        told = _translate(error, path)
        if told is None:
            raise
        raise told from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"There is no room left for {path}: free some space.") from error
        raise FolderUnusable(f"{path} can't be used: {error.strerror or error}.") from error
