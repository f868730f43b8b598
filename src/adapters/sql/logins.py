"""The service's login in any engine, as `postlog init` creates it: its name, password and database, and its rights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from adapters.sql.tables import SLOTS, create_views, metadata
from application.ports.provisioning import LoginNotMade, names_too_little

READ = ("SELECT",)
READ_AND_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")

VERSION_TABLE = "postlog_version"
"""Which revision the tables have: Alembic's table, under a name that no other program has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLogin:
    name: str
    password: str = field(repr=False)
    database: str


def rights() -> Mapping[str, tuple[str, ...]]:
    """What the login may do with each table and view. It reads the revision of the tables and never changes it."""
    tables = dict.fromkeys(metadata.tables, READ_AND_WRITE)
    return {**tables, **dict.fromkeys([*create_views(), VERSION_TABLE], READ)}


def slot_tables() -> tuple[str, ...]:
    """The tables that a rebuild empties."""
    return tuple(table.name for slot in SLOTS.values() for table in (slot.posts, slot.comments))


def needed_rights() -> list[tuple[str, str]]:
    """Tables and views, each with a right. The right to read the revision is left out: it is needed before this
    check."""
    return [(table, right) for table, allowed in rights().items() for right in allowed if table != VERSION_TABLE]


def missing(needed: Sequence[tuple[str, str]], has: Sequence[object]) -> list[str]:
    """What the login may not do, in words."""
    return [f"{right} {table}" for (table, right), is_given in zip(needed, has, strict=True) if not is_given]


def address_of(url: str, setting: str, driver: str) -> URL:
    """`driver` is SQLAlchemy's name for engine and driver, `postgresql+psycopg`. Raises `LoginNotMade`."""
    form = f"it has the form {driver}://login:password@host:port/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise LoginNotMade(f"{setting} is not the address of a database; {form}.", path=setting) from None
    if parsed.get_backend_name() != driver.partition("+")[0]:
        raise LoginNotMade(f"{setting} names {parsed.drivername}; {form}.", path=setting)
    return parsed.set(drivername=driver)


def service_login(url: URL, setting: str) -> ServiceLogin:
    """Raises `LoginNotMade` when the address lacks one of them."""
    parts = {"login": url.username, "password": url.password, "database": url.database}
    if missing := [name for name, value in parts.items() if not value]:
        raise names_too_little(setting, missing)
    return ServiceLogin(name=str(url.username), password=str(url.password), database=str(url.database))
