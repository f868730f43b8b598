"""The logins that `postlog init` creates, and the addresses by which it creates tables and indexes."""

import sys

import pytest

from application.errors import CannotOpen
from application.ports.provisioning import LoginNotMade
from entrypoints.composition.provisioning import as_administrators, chosen_logins
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Settings
from entrypoints.settings.secret import Secret

SERVICE = {
    "POSTLOG__EVENT_STORE__MONGO__URL": "mongodb://postlog:s3cr3t@mongo/?replicaSet=rs0",
    "POSTLOG__READ_DB__POSTGRES__URL": "postgresql+psycopg://SMUser:s3cr3t@pg/SocialMedia",
    "POSTLOG__READ_DB__SQLSERVER__URL": "mssql+pyodbc://SMUser:s3cr3t@ms/SocialMedia?driver=x",
}
ALL = Administrators(
    mongo=Secret("mongodb://root:r00t@mongo/?replicaSet=rs0"),
    postgres=Secret("postgresql+psycopg://postgres:r00t@pg/postgres"),
    sqlserver=Secret("mssql+pyodbc://sa:r00t@ms/master?driver=y"),
)


def settings(event_store: str, read_db: str) -> Settings:
    chosen = {"POSTLOG__EVENT_STORE__ADAPTER": event_store, "POSTLOG__READ_DB__ADAPTER": read_db}
    return load_settings(environ=SERVICE | chosen).settings


@pytest.mark.parametrize(
    ("event_store", "read_db", "servers"),
    [
        ("mongo", "postgres", ["event_store.mongo", "read_db.postgres"]),
        ("mongo", "sqlserver", ["event_store.mongo", "read_db.sqlserver"]),
        ("sqlite", "postgres", ["read_db.postgres"]),
        ("sqlite", "sqlite", []),
    ],
)
def test_logins_are_created_on_the_servers_that_the_settings_choose(
    event_store: str, read_db: str, servers: list[str]
) -> None:
    assert list(chosen_logins(settings(event_store, read_db), ALL)) == servers


def test_without_an_administrator_no_login_is_created() -> None:
    only = Administrators(postgres=ALL.postgres)
    assert list(chosen_logins(settings("mongo", "postgres"), only)) == ["read_db.postgres"]
    assert chosen_logins(settings("mongo", "postgres"), Administrators()) == {}


@pytest.mark.parametrize(
    ("read_db", "url"),
    [
        ("postgres", "postgresql+psycopg://postgres:r00t@pg/SocialMedia"),
        ("sqlserver", "mssql+pyodbc://sa:r00t@ms/SocialMedia?driver=y"),
    ],
)
def test_tables_are_created_in_the_service_s_database_by_the_administrator(read_db: str, url: str) -> None:
    before = settings("mongo", read_db)
    after = as_administrators(before, chosen_logins(before, ALL))
    assert after.event_store.mongo.url.reveal() == "mongodb://root:r00t@mongo/?replicaSet=rs0"
    assert getattr(after.read_db, read_db).url.reveal() == url
    assert (after.bus, after.read_db.adapter) == (before.bus, read_db)
    assert before.event_store.mongo.url.reveal() == SERVICE["POSTLOG__EVENT_STORE__MONGO__URL"]


def test_an_address_of_the_service_that_names_no_login_is_refused() -> None:
    nameless = {**SERVICE, "POSTLOG__READ_DB__POSTGRES__URL": "postgresql://pg/SocialMedia"}
    chosen = load_settings(environ=nameless | {"POSTLOG__READ_DB__ADAPTER": "postgres"}).settings
    with pytest.raises(LoginNotMade, match=r"read_db\.postgres\.url contains no login and no password"):
        chosen_logins(chosen, ALL)


def test_a_missing_driver_is_reported_before_anything_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CannotOpen, match=r"^read_db\.postgres\.url needs the driver psycopg"):
        chosen_logins(settings("sqlite", "postgres"), ALL)
