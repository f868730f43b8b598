"""The written reference matches the model; log and read database are named without passwords."""

from pathlib import Path

import pytest
import yaml

from domain.limits import Limits
from entrypoints.settings import rendering
from entrypoints.settings.leaves import is_secret, leaves
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Settings
from entrypoints.settings.rendering import LOG, READ_DB, in_words, places, scalar
from entrypoints.settings.secret import Secret

ROOT = Path(__file__).parents[4]
REGENERATE = "run `python -m entrypoints.settings.rendering` from the root of the repository"


def test_the_embedded_file_has_every_default() -> None:
    """Every setting is in the file, with the default of the code."""
    file = ROOT / "config/embedded.yaml"
    assert file.read_text(encoding="utf-8") == rendering.embedded_yaml(), REGENERATE
    loaded = load_settings(environ={}, config_file=str(file))
    assert loaded.settings == Settings()
    unset = {path for path, source in loaded.sources.items() if source == "default"}
    kafka = {"bus.kafka.password", "bus.kafka.key_password", "bus.kafka.oauth.client_secret"}
    assert unset == kafka | {"auth.gateway.secret", "auth.jwt.secret"}, "a secret's null says: not given"


def test_any_yaml_reader_understands_the_embedded_file_alike() -> None:
    """No text in it has another type for a reader that guesses types."""
    plain = yaml.safe_load((ROOT / "config/embedded.yaml").read_text(encoding="utf-8"))
    for path, leaf in leaves().items():
        value = plain
        for name in path.split("."):
            value = value[name]
        assert value == (leaf.default.reveal() if isinstance(leaf.default, Secret) else leaf.default), path


def test_the_settings_page_has_the_tables_of_the_model() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert page.partition(rendering.BEGIN)[2] == rendering.tables(), REGENERATE


def test_writing_the_reference_keeps_the_prose(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/settings.md").write_text("# Words\n\n" + rendering.BEGIN + "old\n", encoding="utf-8")
    rendering.write_reference(tmp_path)
    assert (tmp_path / "config/embedded.yaml").read_text(encoding="utf-8") == rendering.embedded_yaml()
    page = (tmp_path / "docs/settings.md").read_text(encoding="utf-8")
    assert page == "# Words\n\n" + rendering.BEGIN + rendering.tables()


def test_the_distributed_file_names_real_servers_and_no_password() -> None:
    file = ROOT / "config/distributed.yaml"
    settings = load_settings(environ={}, config_file=str(file)).settings
    adapters = (settings.event_store.adapter, settings.bus.adapter, settings.read_db.adapter)
    assert adapters == ("mongo", "kafka", "postgres")
    assert settings.http.operations is False
    assert "://" not in file.read_text(encoding="utf-8")


def test_every_setting_has_a_description_of_one_line() -> None:
    for path, leaf in leaves().items():
        assert leaf.description.endswith("."), path
        assert "\n" not in leaf.description, path


def test_every_secret_can_come_from_a_file() -> None:
    secrets = [path for path in leaves() if is_secret(path)]
    assert secrets == [
        "event_store.mongo.url",
        "bus.kafka.password",
        "bus.kafka.oauth.client_secret",
        "bus.kafka.key_password",
        "read_db.postgres.url",
        "read_db.sqlserver.url",
        "auth.gateway.secret",
        "auth.jwt.secret",
    ]
    assert all(f"{path}_file" in leaves() for path in secrets)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5.0, "5"),
        (0.25, "0.25"),
        (1_000_000, "1000000"),
        ("var/log.sqlite", "var/log.sqlite"),
        ("no", '"no"'),
        ("0123", '"0123"'),
        ("a #b", '"a #b"'),
        ("a: b", '"a: b"'),
        ('"', '"\\""'),
    ],
)
def test_a_value_is_written_so_that_any_yaml_reads_it_back(value: object, text: str) -> None:
    assert scalar(value) == text
    assert yaml.safe_load(text) == value


def test_the_default_limits_are_the_domain_s_defaults() -> None:
    limits = Settings().limits
    assert Limits(name=limits.name, message=limits.message, comment=limits.comment) == Limits()


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


def test_only_the_requested_places_are_named() -> None:
    settings = load_settings(environ={"POSTLOG_DATA": "/data"}).settings
    assert in_words(places(settings, LOG)) == "Log: sqlite /data/log.sqlite."
    assert in_words(places(settings, READ_DB)) == "Read database: sqlite /data/read.sqlite."
