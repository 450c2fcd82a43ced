"""Alembic's environment: it runs inside the service, on a connection that it is given."""

from alembic import context

from services.store.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
