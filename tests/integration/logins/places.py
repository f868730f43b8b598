"""Servers on which a login of the service is to be made, as the administrator and as the service see them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

import psycopg
import pymongo
from psycopg import sql
from sqlalchemy import make_url

from adapters.mongo.database import MongoDatabase
from adapters.mongo.logins import MongoLogins
from adapters.mongo.provisioning import MongoProvisioning
from adapters.postgres.logins import PostgresLogins
from adapters.postgres.read_db import postgres_read_db
from adapters.sqlserver import driver
from adapters.sqlserver.logins import SqlServerLogins
from adapters.sqlserver.read_db import sqlserver_read_db
from local.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPlace:
    """Addresses are SQLAlchemy's. Login and database have names of their own; nothing of them is there at first."""

    admin_url: str
    service_url: str

    @property
    def login(self) -> str:
        return str(make_url(self.service_url).username)

    @property
    def password(self) -> str:
        return str(make_url(self.service_url).password)

    @property
    def database(self) -> str:
        return str(make_url(self.service_url).database)

    @property
    def logins(self) -> PostgresLogins:
        return PostgresLogins(self.admin_url, self.service_url)

    def with_password(self, password: str) -> "PostgresPlace":
        url = make_url(self.service_url).set(password=password)
        return replace(self, service_url=url.render_as_string(hide_password=False))

    async def make_database(self) -> list[str]:
        """With its tables."""
        made = await self.logins.make_database()
        async with postgres_read_db(self.logins.tables_url, pool_size=1) as database:
            return made + await database.provisioning.provision()

    async def init(self) -> list[str]:
        """What `postlog init` does with an administrator's address."""
        return await self.make_database() + await self.logins.make_login()

    def as_admin(self, database: str | None = None) -> psycopg.Connection:
        return connect(self.admin_url, database)

    def as_service(self, database: str | None = None) -> psycopg.Connection:
        return connect(self.service_url, database)

    def tell(self, statement: str, database: str | None = None) -> None:
        """As the administrator; `{login}` and `{database}` in it stand for the names."""
        names = {"login": sql.Identifier(self.login), "database": sql.Identifier(self.database)}
        with self.as_admin(database) as connection:
            connection.execute(sql.SQL(statement).format(**names))

    @contextmanager
    def another_login(self) -> Iterator[str]:
        name = f"somebody_{uuid.uuid4().hex[:12]}"
        self.tell(f"CREATE ROLE {name} LOGIN")
        try:
            yield name
        finally:
            self.tell(f"DROP ROLE {name}")

    @contextmanager
    def another_database(self) -> Iterator[str]:
        name = f"elsewhere_{uuid.uuid4().hex[:12]}"
        self.tell(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            self.tell(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgres_place(admin_url: str) -> Iterator[PostgresPlace]:
    """Login and database are dropped at the end, whether they were made or not."""
    name = uuid.uuid4().hex[:12]
    service = make_url(admin_url).set(
        username=f'SMUser "{name}', password=f"pass:word@/'\"\\%20 {name}", database=f"SocialMedia '{name}"
    )
    place = PostgresPlace(admin_url=admin_url, service_url=service.render_as_string(hide_password=False))
    try:
        yield place
    finally:
        place.tell("DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        place.tell("DROP ROLE IF EXISTS {login}")


def connect(url: str, database: str | None = None) -> psycopg.Connection:
    address = make_url(url)
    address = address.set(drivername="postgresql+psycopg", database=database or address.database)
    _, options = address.get_dialect()().create_connect_args(address)
    return psycopg.connect(**options, autocommit=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoPlace:
    """A log's database and the service's login; nothing of them is there at first."""

    admin_url: str
    login: str
    password: str
    database: str

    @property
    def service_url(self) -> str:
        scheme, _, rest = self.admin_url.partition("://")
        return f"{scheme}://{quote_plus(self.login)}:{quote_plus(self.password)}@{rest.rpartition('@')[2]}"

    @property
    def logins(self) -> MongoLogins:
        return MongoLogins(self.admin_url, self.service_url, self.database)

    async def init(self) -> list[str]:
        """What `postlog init` does with an administrator's address."""
        made = await self.logins.make_database()
        async with MongoDatabase(self.admin_url, self.database) as database:
            made += await MongoProvisioning(database).provision()
        return made + await self.logins.make_login()

    def as_admin(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.admin_url, timeoutMS=10_000)

    def as_service(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.service_url, timeoutMS=10_000)


@contextmanager
def mongo_place(admin_url: str) -> Iterator[MongoPlace]:
    name = uuid.uuid4().hex[:12]
    place = MongoPlace(
        admin_url=admin_url, login=f"postlog {name}", password=f"pass:word@/'%20 {name}", database=f"log_{name}"
    )
    try:
        yield place
    finally:
        with place.as_admin() as admin:
            admin.drop_database(place.database)
            admin[place.database].command("dropAllRolesFromDatabase")
            admin[place.database].command("dropAllUsersFromDatabase")
            if admin.admin.command("usersInfo", place.login)["users"]:
                admin.admin.command("dropUser", place.login)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerPlace:
    """Addresses are SQLAlchemy's. Login and database have names of their own; nothing of them is there at first."""

    admin_url: str
    service_url: str

    @property
    def login(self) -> str:
        return str(make_url(self.service_url).username)

    @property
    def password(self) -> str:
        return str(make_url(self.service_url).password)

    @property
    def database(self) -> str:
        return str(make_url(self.service_url).database)

    @property
    def logins(self) -> SqlServerLogins:
        return SqlServerLogins(self.admin_url, self.service_url)

    def with_password(self, password: str) -> "SqlServerPlace":
        url = make_url(self.service_url).set(password=password)
        return replace(self, service_url=url.render_as_string(hide_password=False))

    async def init(self) -> list[str]:
        """What `postlog init` does with an administrator's address."""
        made = await self.logins.make_database()
        async with sqlserver_read_db(self.logins.tables_url, pool_size=1) as database:
            made += await database.provisioning.provision()
        return made + await self.logins.make_login()

    def ask_as_admin(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return ask(self.admin_url, query, database)

    def ask_as_service(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return ask(self.service_url, query, database)


@contextmanager
def sqlserver_place(admin_url: str) -> Iterator[SqlServerPlace]:
    """Login and database are dropped at the end, whether they were made or not."""
    name = uuid.uuid4().hex[:12]
    service = make_url(admin_url).set(
        username=f"SMUser {name}", password=f"Pass:word@/'\"]%20 {name}", database=f"SocialMedia_{name}"
    )
    place = SqlServerPlace(admin_url=admin_url, service_url=service.render_as_string(hide_password=False))
    try:
        yield place
    finally:
        wait_until(lambda: _gone(place), seconds=20, failure=lambda: TimeoutError(f"{place.database} was not dropped."))


def _gone(place: SqlServerPlace) -> bool:
    """Sessions end a moment after they were closed."""
    login = place.login.replace("]", "]]")
    try:
        place.ask_as_admin(f"DROP DATABASE IF EXISTS {place.database}", "master")
        is_there = "SELECT SUSER_ID('{}')".format(place.login.replace("'", "''"))
        if place.ask_as_admin(is_there, "master") != [(None,)]:
            place.ask_as_admin(f"DROP LOGIN [{login}]", "master")
    except driver.load().Error:
        return False
    return True


def ask(url: str, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """By ODBC, without SQLAlchemy's help."""
    address = make_url(url)
    address = address.set(database=database or address.database)
    [[words], _] = address.get_dialect()().create_connect_args(address)
    connection = driver.load().connect(words, autocommit=True, timeout=5)
    try:
        cursor = connection.execute(query)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()
