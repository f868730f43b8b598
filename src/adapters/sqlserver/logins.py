"""`postlog init` for SQL Server, with an administrator's address: creates the database, and login and user of the
service."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import URL

from adapters.sql.address import Address
from adapters.sql.logins import READ, ServiceLogin, address_of, rights, service_login
from adapters.sqlserver.driver import DRIVER, SETTING, load, require_driver, server_message
from application.errors import SchemaOutdated
from application.ports.provisioning import LoginNotMade, may_do_more

ADMIN_SETTING = "POSTLOG_ADMIN__SQLSERVER_URL"

_DIALECT = "mssql+pyodbc"
_SECONDS = 5
_LOGIN_FAILED = "(18456)"


class SqlServerLogins:
    """The administrator is a sysadmin, or may create databases (dbcreator) and logins (securityadmin). Both addresses
    are SQLAlchemy's. Raises `CannotOpen` when the ODBC driver is missing."""

    def __init__(self, admin_url: str, service_url: str) -> None:
        self._admin = _with_driver(address_of(admin_url, ADMIN_SETTING, _DIALECT))
        self._login = service_login(address_of(service_url, SETTING, _DIALECT), SETTING)

    @property
    def tables_url(self) -> str:
        """The service's database by the administrator's login, which creates and owns its tables."""
        return self._admin.set(database=self._login.database).render_as_string(hide_password=False)

    async def make_database(self) -> list[str]:
        return await asyncio.to_thread(self._make_database)

    async def make_login(self) -> list[str]:
        return await asyncio.to_thread(self._make_login)

    def _make_database(self) -> list[str]:
        name = self._login.database
        with self._connected(self._admin.database or "master") as cursor:
            if _column(cursor, "SELECT DB_ID(?)", name) != [None]:
                return []
            cursor.execute(f"CREATE DATABASE {_quoted(name)}")
            if not all(_column(cursor, "SELECT is_read_committed_snapshot_on FROM sys.databases WHERE name = ?", name)):
                # Readers see one snapshot without waiting for writers; the option can be set while nobody reads.
                cursor.execute(f"ALTER DATABASE {_quoted(name)} SET READ_COMMITTED_SNAPSHOT ON")
        return [f"Created the database '{name}' in SQL Server."]

    def _make_login(self) -> list[str]:
        name, database = self._login.name, self._login.database
        with self._connected(database) as cursor:
            self._require_tables(cursor)
            unfit = _column(cursor, _UNFIT_ON_SERVER, name, name) + _column(
                cursor, _UNFIT_IN_DATABASE, name, name, name
            )
            if unfit:
                raise may_do_more(SETTING, name, unfit)
            made = [self._make_or_change_login(cursor), *self._make_user(cursor)]
            before = _granted(cursor, name)
            for statement in _grants(self._login):
                cursor.execute(statement)
            if before != _granted(cursor, name):
                made.append(
                    f"Granted the login '{name}' its rights in the database '{database}': to read and write rows, and "
                    f"nothing else."
                )
        return made

    def _make_or_change_login(self, cursor: Any) -> str:
        """The server masks the password wherever it logs these statements."""
        name, password = _quoted(self._login.name), _literal(self._login.password)
        is_there = _column(cursor, "SELECT SUSER_ID(?)", self._login.name) != [None]
        if is_there:
            cursor.execute(f"ALTER LOGIN {name} WITH PASSWORD = {password}")
        else:
            default = _quoted(self._login.database)
            cursor.execute(f"CREATE LOGIN {name} WITH PASSWORD = {password}, DEFAULT_DATABASE = {default}")
        return f"{'Set the password of' if is_there else 'Created'} the login '{self._login.name}' in SQL Server."

    def _make_user(self, cursor: Any) -> list[str]:
        """The user of a restored backup belongs to a login of the same name on another server."""
        name = self._login.name
        users = "SELECT CASE WHEN sid = SUSER_SID(?) THEN 1 ELSE 0 END FROM sys.database_principals WHERE name = ?"
        found = _column(cursor, users, name, name)
        if not found:
            cursor.execute(f"CREATE USER {_quoted(name)} FOR LOGIN {_quoted(name)}")
            return [f"Created the user '{name}' in the database '{self._login.database}'."]
        if found == [0]:
            cursor.execute(f"ALTER USER {_quoted(name)} WITH LOGIN = {_quoted(name)}")
            return [f"Mapped the user '{name}' in the database '{self._login.database}' to its login again."]
        return []

    def _require_tables(self, cursor: Any) -> None:
        there = _column(cursor, "SELECT name FROM sys.objects WHERE schema_id = SCHEMA_ID('dbo')")
        if not set(rights()) <= set(there):
            raise SchemaOutdated(self._place(self._login.database).without_tables().message, path=SETTING)

    @contextmanager
    def _connected(self, database: str) -> Iterator[Any]:
        """A cursor of the administrator; each statement is a transaction."""
        pyodbc = load()
        require_driver(str(self._admin.query["driver"]))
        url = self._admin.set(database=database)
        [[words], options] = url.get_dialect()().create_connect_args(url)
        place = self._place(database)
        try:
            with (
                closing(pyodbc.connect(words, autocommit=True, timeout=_SECONDS, **options)) as connection,
                closing(connection.cursor()) as cursor,
            ):
                yield cursor
        except pyodbc.Error as error:
            if "(SQLDriverConnect)" in str(error) and _LOGIN_FAILED not in str(error):
                raise place.unreachable(error) from error
            refusal = f"SQL Server refuses what the administrator's login ({ADMIN_SETTING}) asks"
            raise LoginNotMade(f"{refusal}: {place.redacted(error)}.", path=ADMIN_SETTING) from error

    def _place(self, database: str) -> Address:
        passwords = [word for word in (self._login.password, self._admin.password) if word]
        return Address(
            setting=ADMIN_SETTING,
            place=f"{database} on {self._admin.host}:{self._admin.port or 1433}",
            secrets=tuple(form for word in passwords for form in (word, word.replace("}", "}}"))),
            describe=server_message,
        )


def _with_driver(url: URL) -> URL:
    """The case of ODBC's keywords does not matter; SQLAlchemy knows `driver` in lower case only."""
    if named := [value for name, value in url.query.items() if name.lower() == "driver"]:
        return url.set(query={**{k: v for k, v in url.query.items() if k.lower() != "driver"}, "driver": named[0]})
    return url.update_query_dict({"driver": DRIVER})


def _granted(cursor: Any, name: str) -> set[tuple[str, str]]:
    """Tables and views, each with a right that the user has on it."""
    granted = set()
    for table in rights():
        cursor.execute("EXEC sp_table_privileges @table_name = ?", table)
        granted |= {(table, row.PRIVILEGE) for row in cursor.fetchall() if name == row.GRANTEE}
    return granted


def _column(cursor: Any, query: str, *values: str) -> list[Any]:
    return [row[0] for row in cursor.execute(query, *values).fetchall()]


_UNFIT_ON_SERVER = """
SELECT 'is the administrator''s own' WHERE SUSER_SNAME() = ?
UNION ALL SELECT CONCAT('has the server role ', role.name) FROM sys.server_role_members AS membership
    JOIN sys.server_principals AS role ON role.principal_id = membership.role_principal_id
    JOIN sys.server_principals AS member ON member.principal_id = membership.member_principal_id
    WHERE member.name = ?
"""
_UNFIT_IN_DATABASE = """
SELECT 'owns the database' FROM sys.databases WHERE database_id = DB_ID() AND SUSER_SNAME(owner_sid) = ?
UNION ALL SELECT CONCAT('has the database role ', role.name) FROM sys.database_role_members AS membership
    JOIN sys.database_principals AS role ON role.principal_id = membership.role_principal_id
    JOIN sys.database_principals AS member ON member.principal_id = membership.member_principal_id
    WHERE member.name = ?
UNION ALL SELECT CONCAT('has the right ', permission_name) FROM sys.database_permissions
    WHERE grantee_principal_id = DATABASE_PRINCIPAL_ID(?) AND state IN ('G', 'W')
        AND NOT (class = 0 AND permission_name = 'CONNECT')
        AND NOT (class = 1 AND permission_name IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))
"""
"""Why a login, or its user in the database, is unfit for the service."""


def _grants(login: ServiceLogin) -> Iterator[str]:
    user = _quoted(login.name)
    for table, allowed in rights().items():
        yield f"GRANT {', '.join(allowed)} ON {_in_dbo(table)} TO {user}"
        if allowed == READ:
            yield f"REVOKE INSERT, UPDATE, DELETE ON {_in_dbo(table)} FROM {user}"


def _quoted(name: str) -> str:
    return f"[{name.replace(']', ']]')}]"


def _literal(value: str) -> str:
    """A literal, because statements that create logins take no parameters."""
    return "N'" + value.replace("'", "''") + "'"


def _in_dbo(table: str) -> str:
    return f"dbo.{_quoted(table)}"
