"""A read database in SQL Server, through pyodbc."""

from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from adapters.sql.address import Address
from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb, TimeLimits
from adapters.sqlserver.driver import DRIVER, SETTING, require_driver, server_message
from application.errors import CannotOpen

_DIALECT = "mssql+pyodbc"
_FORM = f"{_DIALECT}://login:password@host:port/database?driver={DRIVER.replace(' ', '+')}"
_DEFAULTS = {
    "driver": DRIVER,
    "APP": "postlog",
    "LongAsMax": "yes",  # long texts are nvarchar(max), not the old ntext, which can't be compared
    "KeepAlive": "10",  # seconds; detects a server that vanished
    "KeepAliveInterval": "5",
}
_PASSWORDS = {"pwd", "password"}


def sqlserver_read_db(url: str, pool_size: int = 10, limits: TimeLimits | None = None) -> SqlReadDb:
    """`url` is SQLAlchemy's, with the ODBC driver's keywords behind the `?`. There are at most `pool_size` connections.
    Opened by `async with`, also while the server is unreachable. Raises `CannotOpen` for an address of another form,
    and when it is opened on a machine without the driver."""
    parsed = _parsed(url)

    def connect() -> SqlBackend:
        from adapters.sqlserver.engine import sqlserver_backend

        return sqlserver_backend(parsed, pool_size)

    return SqlReadDb(
        address=_address(parsed),
        threads=pool_size,
        check=lambda: require_driver(str(parsed.query["driver"])),
        connect=connect,
        limits=limits,
    )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unusable("is not the address of a database") from None
    if parsed.drivername not in ("mssql", _DIALECT):
        raise _unusable(f"names {parsed.drivername}")
    if not parsed.host or not parsed.database or _lower(parsed) & {"odbc_connect", "dsn"}:
        raise _unusable("must name a host and a database, and no data source of ODBC")
    return parsed.set(drivername=_DIALECT, query=_keywords(parsed))


def _keywords(url: URL) -> dict[str, str]:
    """ODBC's keywords, whose case does not matter; SQLAlchemy knows `driver` in lower case only."""
    given = {name if name.lower() != "driver" else "driver": value for name, value in url.query.items()}
    if twice := [name for name, value in given.items() if not isinstance(value, str)]:
        raise _unusable(f"gives {twice[0]} twice")
    defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in _lower(url)}
    return {**defaults, **{name: str(value) for name, value in given.items()}}


def _lower(url: URL) -> set[str]:
    return {name.lower() for name in url.query}


def _unusable(what: str) -> CannotOpen:
    return CannotOpen(f"{SETTING} {what}; it has the form {_FORM}.", path=SETTING)


def _address(url: URL) -> Address:
    place = f"{url.database} on {url.host}:{url.port or 1433}"
    passwords = [str(url.password or ""), *(str(url.query[name]) for name in url.query if name.lower() in _PASSWORDS)]
    secrets = [form for word in passwords if word for form in (word, quote(word, safe=""), word.replace("}", "}}"))]
    return Address(setting=SETTING, place=place, secrets=tuple(secrets), describe=server_message)
