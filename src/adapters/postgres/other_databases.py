"""Keeps the service's login out of the server's other databases.

PostgreSQL lets every login into every database, and knows no right that takes precedence over that. What everybody
has can only be taken from everybody: done here as long as nobody else loses by it, and told otherwise.
"""

from psycopg import AsyncConnection, sql

from adapters.sql.logins import ServiceLogin

_OPEN = """
SELECT datname, pg_has_role(datdba, 'USAGE')
FROM pg_database
WHERE datallowconn AND datname <> current_database() AND has_database_privilege(%s, oid, 'CONNECT')
ORDER BY datname
"""
_OTHERS = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname NOT IN (current_user, %s))
"""


async def close_other_databases(connection: AsyncConnection, login: ServiceLogin) -> list[str]:
    """A sentence for each database that was closed, and one for those that stay open."""
    found = await (await connection.execute(_OPEN, [login.name])).fetchall()
    [others] = await (await connection.execute(_OTHERS, [login.name])).fetchone() or [True]
    sentences, still_open = [], []
    for database, is_ours in found:
        if others or not is_ours:
            still_open.append(database)
            continue
        await connection.execute(
            sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
        )
        sentences.append(
            f"Closed the database '{database}' to logins without a right of their own; until now it let everybody in."
        )
    return [*sentences, *_told(login, still_open)]


def _told(login: ServiceLogin, still_open: list[str]) -> list[str]:
    if not still_open:
        return []
    names = ", ".join(f"'{name}'" for name in still_open)
    told = (
        f"The login '{login.name}' can still connect to {names}, as every login can: other logins may rely on that, so "
        f"it was left. To close one: REVOKE CONNECT ON DATABASE … FROM PUBLIC, and GRANT it to those who need it."
    )
    return [told]
