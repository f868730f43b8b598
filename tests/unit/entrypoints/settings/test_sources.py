"""The setting, not YAML, decides what a value means."""

from pathlib import Path

import pytest

from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Settings


def load(text: str | bytes, folder: Path) -> Settings:
    file = folder / "postlog.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(environ={}, config_file=str(file)).settings


def problem_of(text: str | bytes, folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text, folder)
    (problem,) = caught.value.problems
    return str(problem).replace(f"{folder}/", "")


@pytest.mark.parametrize("word", ["no", "off", "0123", "1e3", "2026-11-23", "12:30:45", "yes", "0x1F", "1_000"])
def test_a_text_is_taken_literally(word: str, tmp_path: Path) -> None:
    assert load(f"bus: {{kafka: {{group_id: {word}}}}}", tmp_path).bus.kafka.group_id == word


@pytest.mark.parametrize(
    ("word", "meaning"), [("no", False), ("off", False), ("False", False), ("yes", True), ("on", True), ("true", True)]
)
def test_a_switch_accepts_every_boolean_of_yaml(word: str, meaning: bool, tmp_path: Path) -> None:
    assert load(f"http: {{operations: {word}}}", tmp_path).http.operations is meaning


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("port: 010", "http.port is '010'; it must be a whole number from 0 to 65,535"),
        ("port: 0x1F", "http.port is '0x1F'; it must be a whole number from 0 to 65,535"),
        ("port: 80.5", "http.port is '80.5'; it must be a whole number from 0 to 65,535"),
        ('port: "80"', "http.port is the text '80'; write a whole number from 0 to 65,535, without quotes"),
        ("port: true", "http.port is 'true'; it must be a whole number from 0 to 65,535"),
        ("port:", "http.port has no value; set one, or remove the line to use the default"),
        ("port: [80]", "http.port takes one value, not a list or a group"),
        (
            "port: !!python/object:os.system 80",
            ("http.port has the YAML tag tag:yaml.org,2002:python/object:os.system; write the plain value"),
        ),
        ("port: !secret 80", "http.port has the YAML tag !secret; write the plain value"),
        ("operations: 1", "http.operations is '1'; it must be true or false"),
        ("operations: maybe", "http.operations is 'maybe'; it must be true or false"),
        (
            "min_position_wait_seconds: 0",
            "http.min_position_wait_seconds is 0; it must be a number above 0, at most 3,600",
        ),
        (
            "min_position_wait_seconds: .nan",
            ("http.min_position_wait_seconds is '.nan'; it must be a number above 0, at most 3,600"),
        ),
        ('host: ""', "http.host is empty; set a value, or remove it to use the default"),
        ('host: "a\\0b"', "http.host contains a NUL character or bytes that are not UTF-8"),
    ],
)
def test_an_invalid_value_is_refused(line: str, sentence: str, tmp_path: Path) -> None:
    assert problem_of(f"http:\n  {line}\n", tmp_path) == f"{sentence} (postlog.yaml:2)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("http: {port: 1}\nhttp: {port: 2}", "http is given twice, first in line 1 (postlog.yaml:2)"),
        ("http:\n  port: 1\n  port: 2", "http.port is given twice, first in line 2 (postlog.yaml:3)"),
        ("? [a]\n: 1", "postlog.yaml has a key that is not a name (postlog.yaml:1)"),
        ("<<: {http: {port: 1}}", "<< is not a setting; `postlog config` lists all settings (postlog.yaml:1)"),
        (
            "just words",
            "postlog.yaml must contain groups of settings, such as `http:` with `port: 8000` below it (--config)",
        ),
        (
            "- http",
            "postlog.yaml must contain groups of settings, such as `http:` with `port: 8000` below it (--config)",
        ),
        (
            "http: {port: 1",
            "postlog.yaml is not valid YAML in line 1: expected ',' or '}', but got '<stream end>' (--config)",
        ),
        (
            "http:\n\tport: 1",
            ("postlog.yaml is not valid YAML in line 2: found character '\\t' that cannot start any token (--config)"),
        ),
        ("--- {}\n--- {}", "postlog.yaml is not valid YAML in line 2: but found another document (--config)"),
        (b"http: {host: '\xff'}", "postlog.yaml is not UTF-8 text (--config)"),
        (
            "http: {host: \x01}",
            "postlog.yaml is not valid YAML: it contains control characters or is nested too deeply (--config)",
        ),
        (
            "[" * 5_000,
            "postlog.yaml is not valid YAML: it contains control characters or is nested too deeply (--config)",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    assert problem_of(text, tmp_path) == sentence


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"can't be read: Is a directory \(--config\)"):
        load_settings(environ={}, config_file=str(tmp_path))


def test_anchors_and_aliases_work(tmp_path: Path) -> None:
    settings = load("read_db:\n  postgres: {pool_size: &size 7}\n  sqlserver: {pool_size: *size}", tmp_path)
    assert (settings.read_db.postgres.pool_size, settings.read_db.sqlserver.pool_size) == (7, 7)
