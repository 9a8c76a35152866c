"""The first tables: customers, resources, the event log, dialogs, the engine's position."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

THERE = sa.text("tm_delete = '9999-01-01 00:00:00.000000'")


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "access_key",
        sa.Column("hash", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
    )
    resource_table("conference")
    resource_table("conferencecall", "conference_id")
    resource_table("call")
    resource_table("recording", "reference_id")
    op.create_table(
        "event",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("conference_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("tm", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_customer", "event", ["customer_id", "position"])
    op.create_index("event_of_conference", "event", ["conference_id", "position"])
    op.create_index(
        "event_number", "event", ["conference_id", "number"], unique=True, sqlite_where=sa.text("number > 0")
    )
    op.create_table(
        "conference_number",
        sa.Column("conference_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.create_table(
        "dialog",
        sa.Column("call_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "engine_position",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("acked", sa.Integer, nullable=False),
    )


def resource_table(name: str, *references: str) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
        *(sa.Column(reference, sa.Text, nullable=False) for reference in references),
        sa.Column("tm_create", sa.Text, nullable=False),
        sa.Column("tm_delete", sa.Text, nullable=False),
        sa.Column("live", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_index(f"{name}_listed", name, ["customer_id", "tm_create", "id"], sqlite_where=THERE)
    op.create_index(f"{name}_live", name, ["tm_create"], sqlite_where=sa.text("live = 1"))
    for reference in references:
        op.create_index(f"{name}_by_{reference}", name, [reference, "tm_create", "id"], sqlite_where=THERE)
