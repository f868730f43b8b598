"""Settings that contradict each other, or the command that is to run."""

from pathlib import Path

import pytest

from entrypoints.settings.checks import named_read_dbs, refuse_memory
from entrypoints.settings.loading import load_settings
from entrypoints.settings.problems import SettingsError


def problem_of(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ)
    (problem,) = caught.value.problems
    return str(problem)


def test_log_and_read_database_need_a_file_each() -> None:
    assert problem_of(POSTLOG__READ_DB__SQLITE__PATH="./var/../var/log.sqlite") == (
        "read_db.sqlite.path is the log's file (event_store.sqlite.path); the two need a file each"
        " (POSTLOG__READ_DB__SQLITE__PATH)"
    )


def test_two_sqlite_paths_may_be_equal_when_only_one_is_used() -> None:
    loaded = load_settings(
        environ={"POSTLOG__READ_DB__SQLITE__PATH": "var/log.sqlite", "POSTLOG__READ_DB__ADAPTER": "postgres"}
    )
    assert loaded.settings.read_db.adapter == "postgres"


def test_a_log_in_memory_needs_rows_in_memory() -> None:
    assert problem_of(POSTLOG__EVENT_STORE__ADAPTER="memory") == (
        "read_db.adapter is sqlite, which would outlive a log in memory (event_store.adapter); make both memory"
    )


def test_rows_in_memory_may_stand_on_a_durable_log() -> None:
    assert load_settings(environ={"POSTLOG__READ_DB__ADAPTER": "memory"}).settings.read_db.adapter == "memory"


def test_a_sasl_login_needs_name_and_password() -> None:
    login = {"POSTLOG__BUS__ADAPTER": "kafka", "POSTLOG__BUS__KAFKA__SECURITY": "sasl_ssl"}
    assert problem_of(**login, POSTLOG__BUS__KAFKA__USERNAME="ann") == (
        "bus.kafka.security is sasl_ssl, which needs bus.kafka.username and bus.kafka.password"
        " (POSTLOG__BUS__KAFKA__SECURITY)"
    )
    both = {"POSTLOG__BUS__KAFKA__USERNAME": "ann", "POSTLOG__BUS__KAFKA__PASSWORD": "x"}
    assert load_settings(environ=login | both).settings.bus.kafka.username == "ann"


def test_memory_is_refused_where_another_process_could_not_see_it() -> None:
    names = ("EVENT_STORE", "BUS", "READ_DB")
    loaded = load_settings(environ={f"POSTLOG__{name}__ADAPTER": "memory" for name in names})
    with pytest.raises(SettingsError) as caught:
        refuse_memory(loaded.settings, loaded.sources, "serve query")
    refusal = "is memory, which lives and dies with one `postlog run`; `postlog serve query` needs"
    assert [str(problem) for problem in caught.value.problems] == [
        f"event_store.adapter {refusal} sqlite or mongo (POSTLOG__EVENT_STORE__ADAPTER)",
        f"bus.adapter {refusal} log or kafka (POSTLOG__BUS__ADAPTER)",
        f"read_db.adapter {refusal} sqlite, postgres or sqlserver (POSTLOG__READ_DB__ADAPTER)",
    ]


def test_durable_settings_pass() -> None:
    loaded = load_settings(environ={})
    refuse_memory(loaded.settings, loaded.sources, "serve query")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, {"sqlite"}),
        ({"POSTLOG_DATA": "/data"}, {"sqlite"}),
        ({"POSTLOG__READ_DB__ADAPTER": "postgres", "POSTLOG_DATA": "/data"}, {"postgres"}),
        ({"POSTLOG__READ_DB__POSTGRES__URL": "postgresql://x@127.0.0.1/y"}, {"sqlite", "postgres"}),
        (
            {"POSTLOG__READ_DB__SQLITE__PATH": "x.sqlite", "POSTLOG__READ_DB__ADAPTER": "postgres"},
            {"sqlite", "postgres"},
        ),
    ],
)
def test_a_service_rebuilds_only_read_databases_that_its_settings_name(
    environ: dict[str, str], named: set[str]
) -> None:
    loaded = load_settings(environ=environ)
    assert named_read_dbs(loaded.settings, loaded.sources) == named


def test_a_read_database_whose_address_is_in_a_file_is_named(tmp_path: Path) -> None:
    address = tmp_path / "address"
    address.write_text("mssql+pyodbc://x@127.0.0.1/y?driver=z")
    loaded = load_settings(environ={"POSTLOG__READ_DB__SQLSERVER__URL_FILE": str(address)})
    assert named_read_dbs(loaded.settings, loaded.sources) == {"sqlite", "sqlserver"}
