"""Alembic runs this; `upgrade` hands it the connection. The transaction is the caller's."""

from alembic import context

from adapters.sql.logins import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
