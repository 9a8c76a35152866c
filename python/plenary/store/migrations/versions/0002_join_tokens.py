"""Join tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "join_token",
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("customer_id", sa.Text, sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("conference_id", sa.Text, nullable=False),
        sa.Column("tm_create", sa.Text, nullable=False),
        sa.Column("tm_expire", sa.Text, nullable=False),
        sa.Column("tm_delete", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("join_token_listed", "join_token", ["conference_id", "tm_create", "id"])
    op.create_index("join_token_expired", "join_token", ["tm_expire"])
