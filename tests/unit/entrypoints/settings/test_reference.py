"""What is written down about the settings is what the model says."""

from pathlib import Path

import pytest
import yaml

from domain.limits import Limits
from entrypoints.settings import reference
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Settings
from entrypoints.settings.rendering import scalar
from entrypoints.settings.secret import Secret
from entrypoints.settings.tree import is_secret, leaves

ROOT = Path(__file__).parents[4]
REGENERATE = "run `python -m entrypoints.settings.reference` from the root of the repository"


def test_the_embedded_file_spells_out_every_default() -> None:
    """Every setting is in the file, with the value that the code has."""
    file = ROOT / "config/embedded.yaml"
    assert file.read_text(encoding="utf-8") == reference.embedded_yaml(), REGENERATE
    loaded = load_settings(environ={}, config_file=str(file))
    assert loaded.settings == Settings()
    unset = {path for path, source in loaded.sources.items() if source == "default"}
    assert unset == {"bus.kafka.password"}, "a secret's null says: not given"


def test_other_readers_of_yaml_understand_the_embedded_file_alike() -> None:
    """Nothing in it is a text for us and something else for a reader that guesses types."""
    plain = yaml.safe_load((ROOT / "config/embedded.yaml").read_text(encoding="utf-8"))
    for path, leaf in leaves().items():
        value = plain
        for name in path.split("."):
            value = value[name]
        assert value == (leaf.default.reveal() if isinstance(leaf.default, Secret) else leaf.default), path


def test_the_page_about_settings_has_the_model_s_tables() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert page.partition(reference.BEGIN)[2] == reference.tables(), REGENERATE


def test_writing_them_anew_keeps_the_prose(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/settings.md").write_text("# Words\n\n" + reference.BEGIN + "old\n", encoding="utf-8")
    reference.write(tmp_path)
    assert (tmp_path / "config/embedded.yaml").read_text(encoding="utf-8") == reference.embedded_yaml()
    page = (tmp_path / "docs/settings.md").read_text(encoding="utf-8")
    assert page == "# Words\n\n" + reference.BEGIN + reference.tables()


def test_the_distributed_file_names_real_servers_and_no_password() -> None:
    file = ROOT / "config/distributed.yaml"
    settings = load_settings(environ={}, config_file=str(file)).settings
    adapters = (settings.event_store.adapter, settings.bus.adapter, settings.read_db.adapter)
    assert adapters == ("mongo", "kafka", "postgres")
    assert settings.http.operations is False
    assert "://" not in file.read_text(encoding="utf-8")


def test_every_setting_says_what_it_is_for_in_one_line() -> None:
    for path, leaf in leaves().items():
        assert leaf.description.endswith("."), path
        assert "\n" not in leaf.description, path


def test_every_secret_can_come_from_a_file() -> None:
    secrets = [path for path in leaves() if is_secret(path)]
    assert secrets == [
        "event_store.mongo.url",
        "bus.kafka.password",
        "read_db.postgres.url",
        "read_db.sqlserver.url",
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


def test_the_limits_are_those_that_the_domain_decides_by_when_nobody_tells_it_others() -> None:
    limits = Settings().limits
    assert Limits(name=limits.name, message=limits.message, comment=limits.comment) == Limits()
