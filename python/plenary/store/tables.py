"""The tables as they are now. `migrations/` leads here from every earlier version; a test holds the two together.

A resource is kept as it goes out: `body` is the JSON that the API answers with, and the columns beside it are only
what the store searches and sorts by. `state` is its machine's own (msgpack), for the start after a crash.
"""

import sqlalchemy as sa

from ..core.ids import NEVER

metadata = sa.MetaData()

customer = sa.Table(
    "customer",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
)

access_key = sa.Table(
    "access_key",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True, nullable=False),
    sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
)
"""`hash` is the SHA-256 of the key, which is random and long: nothing slower is needed."""


def _resource_table(name: str, *more: sa.Column[str]) -> sa.Table:
    """A table of resources, indexed for the order in which lists show them and for the start."""
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
        *more,
        sa.Column("tm_create", sa.Text, nullable=False),
        sa.Column("tm_delete", sa.Text, nullable=False),
        sa.Column("live", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    there = sa.text(f"tm_delete = '{NEVER}'")
    sa.Index(f"{name}_listed", table.c.customer_id, table.c.tm_create, table.c.id, sqlite_where=there)
    sa.Index(f"{name}_live", table.c.tm_create, sqlite_where=sa.text("live = 1"))
    for column in more:
        sa.Index(f"{name}_by_{column.name}", column, table.c.tm_create, table.c.id, sqlite_where=there)
    return table


conference = _resource_table("conference")
conferencecall = _resource_table("conferencecall", sa.Column("conference_id", sa.Text, nullable=False))
call = _resource_table("call")
recording = _resource_table("recording", sa.Column("reference_id", sa.Text, nullable=False))

join_token = sa.Table(
    "join_token",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
    sa.Column("conference_id", sa.Text, nullable=False),
    sa.Column("tm_create", sa.Text, nullable=False),
    sa.Column("tm_expire", sa.Text, nullable=False),
    sa.Column("tm_delete", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""What was signed; a token that is not here is good for nothing, whoever signed it."""
sa.Index("join_token_listed", join_token.c.conference_id, join_token.c.tm_create, join_token.c.id)
sa.Index("join_token_expired", join_token.c.tm_expire)

event = sa.Table(
    "event",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("conference_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("tm", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""The log. AUTOINCREMENT: a position is never given twice, even when the newest entries are pruned away."""
sa.Index("event_of_customer", event.c.customer_id, event.c.position)
sa.Index("event_of_conference", event.c.conference_id, event.c.position)
sa.Index("event_number", event.c.conference_id, event.c.number, unique=True, sqlite_where=sa.text("number > 0"))

conference_number = sa.Table(
    "conference_number",
    metadata,
    sa.Column("conference_id", sa.Text, primary_key=True, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
)
"""The last event number of each conference: outlives the events, which are pruned."""

dialog = sa.Table(
    "dialog",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True, nullable=False),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
)

engine_position = sa.Table(
    "engine_position",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, nullable=False),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("acked", sa.Integer, nullable=False),
)
"""One row: the engine that was spoken to last, and the last of its messages that was dealt with."""
