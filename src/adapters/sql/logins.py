"""What `postlog init` needs to make the service's login, whatever the engine: who it is, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from adapters.sql.tables import SLOTS, metadata
from adapters.sql.views import create_views
from application.ports.logins import LoginNotMade, names_too_little

READ = ("SELECT",)
READ_AND_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")

_REVISIONS = "alembic_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLogin:
    name: str
    password: str = field(repr=False)
    database: str


def rights() -> Mapping[str, tuple[str, ...]]:
    """What the login may do with each table and view. Which revision the tables have is told, not decided, by it."""
    tables = dict.fromkeys(metadata.tables, READ_AND_WRITE)
    return {**tables, **dict.fromkeys([*create_views(), _REVISIONS], READ)}


def slot_tables() -> tuple[str, ...]:
    """Those that a rebuild empties."""
    return tuple(table.name for slot in SLOTS.values() for table in (slot.posts, slot.comments))


def address_of(url: str, setting: str, driver: str) -> URL:
    """`driver` is SQLAlchemy's name for engine and driver, `postgresql+psycopg`. Raises `LoginNotMade`."""
    form = f"it has the form {driver}://login:password@host:port/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise LoginNotMade(f"{setting} is no address of a database; {form}.", path=setting) from None
    if parsed.get_backend_name() != driver.partition("+")[0]:
        raise LoginNotMade(f"{setting} names {parsed.drivername}; {form}.", path=setting)
    return parsed.set(drivername=driver)


def service_login(url: URL, setting: str) -> ServiceLogin:
    """Raises `LoginNotMade` when the address leaves something open."""
    parts = {"login": url.username, "password": url.password, "database": url.database}
    if missing := [name for name, value in parts.items() if not value]:
        raise names_too_little(setting, missing)
    return ServiceLogin(name=str(url.username), password=str(url.password), database=str(url.database))
