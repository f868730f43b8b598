"""Which log and which read database are meant: said with results, without passwords."""

from pathlib import Path

import pytest

from entrypoints.settings.loading import load_settings
from entrypoints.settings.places import LOG, READ_DB, in_words, places

POSTGRES = {
    "POSTLOG__READ_DB__ADAPTER": "postgres",
    "POSTLOG__READ_DB__POSTGRES__URL": "postgresql://ann:s3cr3t@db:5432/posts",
}
SQL_SERVER = {
    "POSTLOG__READ_DB__ADAPTER": "sqlserver",
    "POSTLOG__READ_DB__SQLSERVER__URL": "mssql+pyodbc://ann:s3cr3t@db:1433/posts?driver=x",
}
MONGO = {
    "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
    "POSTLOG__EVENT_STORE__MONGO__URL": "mongodb://ann:s3cr3t@one,two/?replicaSet=rs0",
    "POSTLOG__EVENT_STORE__MONGO__DATABASE": "journal",
}
MEMORY = {"POSTLOG__EVENT_STORE__ADAPTER": "memory", "POSTLOG__READ_DB__ADAPTER": "memory"}


@pytest.mark.parametrize(
    ("environ", "log", "read_db"),
    [
        (POSTGRES, None, "postgres postgresql://ann:***@db:5432/posts"),
        (SQL_SERVER, None, "sqlserver mssql+pyodbc://ann:***@db:1433/posts?driver=x"),
        (MONGO, "mongo mongodb://ann:***@one,two/?replicaSet=rs0, database journal", None),
        (MEMORY, "memory", "memory"),
        ({"POSTLOG_DATA": "/data"}, "sqlite /data/log.sqlite", "sqlite /data/read.sqlite"),
    ],
)
def test_a_place_is_named_without_its_password(
    environ: dict[str, str], log: str | None, read_db: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = places(load_settings(environ=environ).settings, LOG, READ_DB)
    assert found == {
        LOG: log or f"sqlite {tmp_path / 'var/log.sqlite'}",
        READ_DB: read_db or f"sqlite {tmp_path / 'var/read.sqlite'}",
    }


def test_only_those_are_told_that_a_job_works_on() -> None:
    settings = load_settings(environ={"POSTLOG_DATA": "/data"}).settings
    assert in_words(places(settings, LOG)) == "Log: sqlite /data/log.sqlite."
    assert in_words(places(settings, READ_DB)) == "Read database: sqlite /data/read.sqlite."
