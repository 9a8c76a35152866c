"""What alembic runs: the steps on the connection, and in the transaction, that `upgrade` hands over."""

from alembic import context
from sqlalchemy import Connection

from plenary.store.tables import metadata

connection = context.config.attributes["connection"]
assert isinstance(connection, Connection)
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
