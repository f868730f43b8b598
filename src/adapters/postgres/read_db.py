"""A read database in PostgreSQL, through psycopg."""

from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from adapters.postgres.errors import server_message
from adapters.sql.address import Address
from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb, TimeLimits
from application.errors import CannotOpen

SETTING = "read_db.postgres.url"

_DRIVER = "postgresql+psycopg"
_ALIASES = {"postgresql", "postgres", _DRIVER}


def postgres_read_db(url: str, pool_size: int = 10, limits: TimeLimits | None = None) -> SqlReadDb:
    """`url` is SQLAlchemy's, `postgresql+psycopg://login:password@host:port/database`. There are at most `pool_size`
    connections. Opened by `async with`, also while the server is unreachable. Raises `CannotOpen` for an address of
    another form, and when it is opened without a driver."""
    parsed = _parsed(url)

    def connect() -> SqlBackend:
        from adapters.postgres.engine import postgres_backend

        return postgres_backend(parsed, pool_size)

    return SqlReadDb(address=_address(parsed), threads=pool_size, check=require_driver, connect=connect, limits=limits)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unusable("is not the address of a database") from None
    if parsed.drivername not in _ALIASES:
        raise _unusable(f"names {parsed.drivername}")
    return parsed.set(drivername=_DRIVER)


def _unusable(what: str) -> CannotOpen:
    return CannotOpen(f"{SETTING} {what}; it has the form {_DRIVER}://login:password@host:port/database.", path=SETTING)


def _address(url: URL) -> Address:
    several = url.query.get("host", ())  # "a:5432" each, or one name without a port, or the folder of a socket
    hosts = [several] if isinstance(several, str) else list(several)
    where = ", ".join(hosts) or f"{url.host or 'this machine'}:{url.port or 5432}"
    place = f"{url.database or 'of the login'} on {where}"
    passwords = [str(word) for word in (url.password, url.query.get("password")) if word]
    secrets = (*passwords, *(quote(word, safe="") for word in passwords))
    return Address(setting=SETTING, place=place, secrets=secrets, describe=server_message)


def require_driver() -> None:
    """A service starts while its server is unreachable, but not without a driver. Raises `CannotOpen`."""
    try:
        import psycopg  # noqa: F401 (only to see whether it works)
    except ImportError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise CannotOpen(
            f"{SETTING} needs the driver psycopg, which can't be loaded: {reason}. Install 'psycopg[binary]'.",
            path=SETTING,
        ) from error
