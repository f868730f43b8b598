"""Alembic runs this; `upgrade` hands it the connection. The transaction is the caller's."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
