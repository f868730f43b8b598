"""`postlog init` for PostgreSQL, with an administrator's address: creates the database and the login of the service."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from adapters.postgres.errors import server_message
from adapters.postgres.read_db import SETTING
from adapters.sql.address import Address
from adapters.sql.logins import READ_AND_WRITE, ServiceLogin, address_of, rights, service_login, slot_tables
from application.errors import SchemaOutdated
from application.ports.provisioning import LoginNotMade, may_do_more

ADMIN_SETTING = "POSTLOG_ADMIN__POSTGRES_URL"

_DRIVER = "postgresql+psycopg"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('postlog logins', 0))"


class PostgresLogins:
    """The administrator is a superuser, or a login with CREATEROLE and CREATEDB. Both addresses are SQLAlchemy's."""

    def __init__(self, admin_url: str, service_url: str) -> None:
        self._admin = address_of(admin_url, ADMIN_SETTING, _DRIVER)
        self._login = service_login(address_of(service_url, SETTING, _DRIVER), SETTING)

    @property
    def tables_url(self) -> str:
        """The service's database by the administrator's login, which creates and owns its tables."""
        return self._admin.set(database=self._login.database).render_as_string(hide_password=False)

    async def make_database(self) -> list[str]:
        made = await self._make_missing_database()
        async with self._connected(self._login.database) as connection:
            [[schema]] = await _all(connection, "SELECT current_schema()")
        if schema != "public":
            raise LoginNotMade(
                f"The administrator's login ({ADMIN_SETTING}) would create the tables in the schema {schema}, by its "
                f"search_path, and the service looks for them in public: ALTER ROLE … SET search_path = public.",
                path=ADMIN_SETTING,
            )
        return made

    async def _make_missing_database(self) -> list[str]:
        name = self._login.database
        async with self._connected(self._admin.database or "postgres") as connection:
            await connection.set_autocommit(True)
            if await _all(connection, "SELECT 1 FROM pg_database WHERE datname = %s", name):
                return []
            for text in (
                "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0",
                "REVOKE ALL ON DATABASE {} FROM PUBLIC",
            ):
                await connection.execute(sql.SQL(text).format(sql.Identifier(name)))
        return [f"Created the database '{name}' in PostgreSQL."]

    async def make_login(self) -> list[str]:
        async with self._connected(self._login.database) as connection:
            await connection.execute(_ONE_AT_A_TIME)
            made = [await self._make_or_change_role(connection)]
            before = await _all(connection, _GRANTED)
            for statement in _grants(self._login):
                await connection.execute(statement)
            if set(before) != set(await _all(connection, _GRANTED)):
                made.append(
                    f"Granted the login '{self._login.name}' its rights in the database '{self._login.database}': to "
                    f"read and write rows, and nothing else."
                )
            return made + await _close_other_databases(connection, self._login)

    async def _make_or_change_role(self, connection: AsyncConnection) -> str:
        name = self._login.name
        if unfit := [reason for [reason] in await _all(connection, _MORE_THAN_NEEDED, name)]:
            raise may_do_more(SETTING, name, unfit)
        is_there = bool(await _all(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name))
        statement = "ALTER ROLE {} LOGIN PASSWORD {}" if is_there else "CREATE ROLE {} LOGIN PASSWORD {}"
        # Hashed here, because the server may log statements, and passwords in them.
        hashed = connection.pgconn.encrypt_password(self._login.password.encode(), name.encode(), b"scram-sha-256")
        await connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(hashed.decode())))
        return f"{'Set the password of' if is_there else 'Created'} the login '{name}' in PostgreSQL."

    @asynccontextmanager
    async def _connected(self, database: str) -> AsyncIterator[AsyncConnection]:
        """A transaction as the administrator."""
        url = self._admin.set(database=database)
        _, options = url.get_dialect()().create_connect_args(url)
        place = Address(
            setting=ADMIN_SETTING,
            place=f"{database} on {url.host or 'this machine'}:{url.port or 5432}",
            secrets=tuple(filter(None, (self._login.password, url.password))),
            describe=server_message,
        )
        try:
            async with await AsyncConnection.connect(
                **{"connect_timeout": 5, "client_encoding": "utf8", **options}
            ) as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise SchemaOutdated(place.without_tables().message, path=SETTING) from error
        except psycopg.OperationalError as error:
            raise (place.reported(error) if "FATAL: " in str(error) else place.unreachable(error)) from error
        except psycopg.Error as error:
            refusal = f"PostgreSQL refuses what the administrator's login ({ADMIN_SETTING}) asks"
            raise LoginNotMade(f"{refusal}: {place.redacted(error)}.", path=ADMIN_SETTING) from error


async def _all(connection: AsyncConnection, query: str, *values: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode(), values)).fetchall()


_OPEN = """
SELECT datname, pg_has_role(datdba, 'USAGE')
FROM pg_database
WHERE datallowconn AND datname <> current_database() AND has_database_privilege(%s, oid, 'CONNECT')
ORDER BY datname
"""
_OTHERS = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname NOT IN (current_user, %s))
"""


async def _close_other_databases(connection: AsyncConnection, login: ServiceLogin) -> list[str]:
    """Keeps the service's login out of the server's other databases. PostgreSQL lets every login into every database,
    and no right takes precedence over that. A right that everybody has can only be revoked from everybody: done here
    where no other login can depend on it, and reported otherwise. Returns a sentence for each database that was closed,
    and one for those that stay open."""
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
            f"Closed the database '{database}' to logins without a right of their own; until now every login could "
            f"connect."
        )
    if still_open:
        names = ", ".join(f"'{name}'" for name in still_open)
        sentences.append(
            f"The login '{login.name}' can still connect to {names}, as every login can: other logins may rely on "
            f"that, so it was left. To close one: REVOKE CONNECT ON DATABASE … FROM PUBLIC, and GRANT it to those who "
            f"need it."
        )
    return sentences


_MORE_THAN_NEEDED = """
SELECT reason FROM pg_roles AS role, LATERAL (VALUES
    (role.rolname = current_user, 'is the administrator''s own'),
    (role.rolsuper, 'is a superuser'),
    (role.rolcreaterole, 'may create roles'),
    (role.rolcreatedb, 'may create databases'),
    (role.rolreplication, 'may replicate'),
    (role.rolbypassrls, 'bypasses row security'),
    (EXISTS (SELECT FROM pg_auth_members WHERE member = role.oid), 'is a member of other roles'),
    (EXISTS (
        SELECT FROM pg_shdepend AS owned
        LEFT JOIN pg_database AS here ON here.oid = owned.dbid AND here.datname = current_database()
        LEFT JOIN pg_class AS kept
            ON here.oid IS NOT NULL AND owned.classid = 'pg_class'::regclass AND kept.oid = owned.objid
        WHERE owned.refclassid = 'pg_authid'::regclass AND owned.refobjid = role.oid AND owned.deptype = 'o'
            AND kept.relpersistence IS DISTINCT FROM 't'
    ), 'owns databases, schemas or tables')
) AS more (holds, reason)
WHERE role.rolname = %s AND more.holds
"""
"""Why a login is unfit for the service. Its temporary tables do not count."""

_GRANTED = """
SELECT 'database', datname, acl.* FROM pg_database, aclexplode(datacl) AS acl WHERE datname = current_database()
UNION ALL SELECT 'schema', nspname, acl.* FROM pg_namespace, aclexplode(nspacl) AS acl WHERE nspname = 'public'
UNION ALL SELECT 'table', relname, acl.* FROM pg_class, aclexplode(relacl) AS acl
    WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'tables to come', defaclrole::regrole::text, acl.* FROM pg_default_acl, aclexplode(defaclacl) AS acl
    WHERE defaclnamespace = 'public'::regnamespace
"""
"""Every right on what is Postlog's, to see whether the statements below changed any."""


def _grants(login: ServiceLogin) -> Iterator[sql.Composed]:
    """Run in one transaction, so that a running service keeps its rights."""
    names = {"login": sql.Identifier(login.name), "database": sql.Identifier(login.database)}
    for text in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, {login}",
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {login}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM {login}",
        "GRANT USAGE ON SCHEMA public TO {login}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {login}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {login}",
    ):
        yield sql.SQL(text).format(**names)
    for table, allowed in rights().items():
        yield _grant(allowed, table, login)
    for table in slot_tables():
        yield _grant(("TRUNCATE",), table, login)
    yield sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {allowed} ON TABLES TO {login}").format(
        allowed=_listed(READ_AND_WRITE), **names
    )


def _grant(allowed: tuple[str, ...], table: str, login: ServiceLogin) -> sql.Composed:
    return sql.SQL("GRANT {allowed} ON TABLE {table} TO {login}").format(
        allowed=_listed(allowed), table=sql.Identifier("public", table), login=sql.Identifier(login.name)
    )


def _listed(allowed: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.SQL, allowed))
