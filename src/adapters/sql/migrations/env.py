"""Alembic runs this; `upgrade` passes the connection. The transaction belongs to the caller."""

from alembic import context

from adapters.sql.logins import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
