"""`postlog init` for PostgreSQL, with an administrator's address: the database and the login of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from adapters.postgres.driver import SETTING
from adapters.postgres.errors import what_was_said
from adapters.postgres.other_databases import close_other_databases
from adapters.postgres.rights import ANSWERED_FOR, MORE_THAN_NEEDED, statements
from adapters.sql.address import Address
from adapters.sql.attempts import not_made
from adapters.sql.logins import address_of, service_login
from application.errors import ReadDbUnavailable, SchemaOutdated
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
        """The service's database by the administrator's login, who makes and owns its tables."""
        return self._admin.set(database=self._login.database).render_as_string(hide_password=False)

    async def make_database(self) -> list[str]:
        made = await self._make_missing_database()
        async with self._connected(self._login.database) as connection:
            [[schema]] = await _all(connection, "SELECT current_schema()")
        if schema != "public":
            raise LoginNotMade(
                f"The administrator's login ({ADMIN_SETTING}) would make the tables in the schema {schema}, by its "
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
        return [f"Made the database '{name}' in PostgreSQL."]

    async def make_login(self) -> list[str]:
        async with self._connected(self._login.database) as connection:
            await connection.execute(_ONE_AT_A_TIME)
            made = [await self._make_or_change_role(connection)]
            before = await _all(connection, ANSWERED_FOR)
            for statement in statements(self._login):
                await connection.execute(statement)
            if set(before) != set(await _all(connection, ANSWERED_FOR)):
                made.append(
                    f"Gave the login '{self._login.name}' its rights in the database '{self._login.database}': to read "
                    f"and write rows, and nothing else."
                )
            return made + await close_other_databases(connection, self._login)

    async def _make_or_change_role(self, connection: AsyncConnection) -> str:
        name = self._login.name
        if unfit := [reason for [reason] in await _all(connection, MORE_THAN_NEEDED, name)]:
            raise may_do_more(SETTING, name, unfit)
        is_there = bool(await _all(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name))
        statement = "ALTER ROLE {} LOGIN PASSWORD {}" if is_there else "CREATE ROLE {} LOGIN PASSWORD {}"
        # Hashed here: the server may log statements, and then would log the password.
        hashed = connection.pgconn.encrypt_password(self._login.password.encode(), name.encode(), b"scram-sha-256")
        await connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(hashed.decode())))
        return f"{'Set the password of' if is_there else 'Made'} the login '{name}' in PostgreSQL."

    @asynccontextmanager
    async def _connected(self, database: str) -> AsyncIterator[AsyncConnection]:
        """A transaction as the administrator."""
        url = self._admin.set(database=database)
        _, options = url.get_dialect()().create_connect_args(url)
        place = Address(
            setting=ADMIN_SETTING,
            place=f"{database} on {url.host or 'this machine'}:{url.port or 5432}",
            secrets=tuple(filter(None, (self._login.password, url.password))),
            wording=what_was_said,
        )
        try:
            async with await AsyncConnection.connect(
                **{"connect_timeout": 5, "client_encoding": "utf8", **options}
            ) as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise SchemaOutdated(not_made(place), path=SETTING) from error
        except psycopg.OperationalError as error:
            sentence = place.reported(error) if "FATAL: " in str(error) else place.away(error)
            raise ReadDbUnavailable(sentence, path=ADMIN_SETTING) from error
        except psycopg.Error as error:
            refusal = f"PostgreSQL refuses what the administrator's login ({ADMIN_SETTING}) asks"
            raise LoginNotMade(f"{refusal}: {place.hushed(error)}.", path=ADMIN_SETTING) from error


async def _all(connection: AsyncConnection, query: str, *values: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode(), values)).fetchall()
