"""From any earlier schema to that of `tables.py`, one file in `versions/` for each step. Never edited once released."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import DatabaseTooNew

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0002"
"""The revision that `tables.py` describes."""


def revision_of(connection: sa.Connection) -> str:
    """The revision of the database, empty if there is none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")


def configuration(connection: sa.Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection, path: str) -> None:
    """Brings the database to `NEWEST` within the transaction that is open on `connection`.

    Raises `DatabaseTooNew` if a newer version of Plenary wrote it; `path` names it in the sentence.
    """
    found = revision_of(connection)
    if found == NEWEST:
        return
    # Alembic takes a fifth of a second to load: only who has something to migrate waits for it.
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = configuration(connection)
    if found:
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError as error:
            raise DatabaseTooNew(
                f"The database {path} was written by a newer version of Plenary (its schema is {found},"
                f" this version knows up to {NEWEST}): start that version, or put back an older copy."
            ) from error
    command.upgrade(config, "head")
