"""No password is shown: not by `postlog config`, not in errors, logs or representations."""

import json
import traceback
from pathlib import Path

import pytest

from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import LoadedSettings, Option, load_settings
from entrypoints.settings.rendering import as_records, as_yaml
from entrypoints.settings.secret import Secret, mask

URL = "POSTLOG__READ_DB__POSTGRES__URL"
URL_FILE = "POSTLOG__READ_DB__POSTGRES__URL_FILE"
HIDDEN = "s3cr3t"


def postgres_url(loaded: LoadedSettings) -> str:
    return loaded.settings.read_db.postgres.url.reveal()


def problem_of(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ)
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:s3cr3t@db:5432/postlog", "postgresql://ann:***@db:5432/postlog"),
        ("mongodb://ann:s3cr3t@h1:1,h2:2/?replicaSet=rs0", "mongodb://ann:***@h1:1,h2:2/?replicaSet=rs0"),
        ("mongodb://:s3cr3t@h1/", "mongodb://:***@h1/"),
        ("postgresql://ann:s3@cr3t/x:y@db/postlog", "postgresql://ann:***@db/postlog"),
        ("postgresql:///postlog?user=ann&password=s3cr3t&x=1", "postgresql:///postlog?user=ann&password=***&x=1"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Da%3BPWD%3Ds3cr3t", "mssql+pyodbc:///?odbc_connect=***"),
        ("mssql+pyodbc://h/d?driver=x&Pwd=s3cr3t", "mssql+pyodbc://h/d?driver=x&Pwd=***"),
        ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:s3cr3t", "mongodb://h/?authMechanismProperties=***"),
        ("could not reach mongodb://ann:s3cr3t@h1/ in time", "could not reach mongodb://ann:***@h1/ in time"),
        ("postgresql://ann@db/postlog", "postgresql://ann@db/postlog"),
        ("http://127.0.0.1:8000/docs", "http://127.0.0.1:8000/docs"),
    ],
)
def test_masking_hides_the_password_and_nothing_else(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_a_secret_is_masked_until_it_is_revealed() -> None:
    url, password = Secret("postgresql://ann:s3cr3t@db/postlog"), Secret(HIDDEN)
    assert (str(url), repr(url)) == ("postgresql://ann:***@db/postlog", "Secret('postgresql://ann:***@db/postlog')")
    assert (str(password), repr(password), f"{password}") == ("***", "Secret('***')", "***")
    assert password.reveal() == HIDDEN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:s3 cr3t@ s3:cr3t@db/postlog", "postgresql://ann:***@db/postlog"),
        ("mssql+pyodbc://SM User:s3cr3t\n@h/d?driver=x", "mssql+pyodbc://SM User:***@h/d?driver=x"),
        ("mssql+pyodbc://ann@db:s3cr3t@h/d", "mssql+pyodbc://ann@db:***@h/d"),
        ("mssql+pyodbc://h/d?PWD=s3 cr3t s3&driver=x", "mssql+pyodbc://h/d?PWD=***&driver=x"),
        ("postgresql://h/d?user=ann&password=s3&cr 3t", "postgresql://h/d?user=ann&password=***"),
        ("mongodb://h1:27017,h2:27017/?replicaSet=rs0", "mongodb://h1:27017,h2:27017/?replicaSet=rs0"),
    ],
)
def test_a_password_that_should_have_been_escaped_is_hidden_whole(text: str, shown: str) -> None:
    assert str(Secret(text)) == shown


def test_nothing_that_is_printed_shows_a_password() -> None:
    loaded = load_settings(
        environ={
            URL: "postgresql://ann:s3cr3t@db/postlog",
            "POSTLOG__EVENT_STORE__MONGO__URL": "mongodb://ann:s3cr3t@h/",
            "POSTLOG__BUS__KAFKA__PASSWORD": HIDDEN,
        }
    )
    printed = as_yaml(loaded) + repr(loaded) + json.dumps(list(as_records(loaded)))
    assert HIDDEN not in printed
    assert 'url: "postgresql://ann:***@db/postlog"  # POSTLOG__READ_DB__POSTGRES__URL' in as_yaml(loaded)
    assert 'password: "***"  # POSTLOG__BUS__KAFKA__PASSWORD' in as_yaml(loaded)


def test_no_error_shows_a_password(tmp_path: Path) -> None:
    """An invalid value may be a mistyped address with its password."""
    file = tmp_path / "postlog.yaml"
    file.write_text("read_db:\n  postgres:\n    url: ann:s3cr3t@db\n", encoding="utf-8")
    for environ, config in (({URL: "ann:s3cr3t@db"}, None), ({}, str(file))):
        with pytest.raises(SettingsError) as caught:
            load_settings(environ=environ, config_file=config)
        shown = "".join(traceback.format_exception(caught.value))
        assert "read_db.postgres.url must begin with postgresql+psycopg:// or postgresql://" in shown
        assert HIDDEN not in shown


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://ann:s3cr3t@db/postlog\n", encoding="utf-8")
    loaded = load_settings(environ={URL_FILE: str(file)})
    assert postgres_url(loaded) == "postgresql://ann:s3cr3t@db/postlog"
    assert loaded.sources["read_db.postgres.url"] == f"{file}, named by {URL_FILE}"


@pytest.mark.parametrize("written", [b"%b\n", b"%b\r\n", b"\n  %b  \n\n", b"\xef\xbb\xbf%b\r\n"])
def test_blanks_and_byte_order_marks_around_a_secret_are_ignored(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "url"
    file.write_bytes(written.replace(b"%b", "postgresql://ann:pæss@db/postlog".encode()))
    assert postgres_url(load_settings(environ={URL_FILE: str(file)})) == "postgresql://ann:pæss@db/postlog"


def test_a_null_beside_a_secret_file_is_ignored(tmp_path: Path) -> None:
    secret, config = tmp_path / "url", tmp_path / "postlog.yaml"
    secret.write_text("postgresql://db/postlog", encoding="utf-8")
    config.write_text(f"read_db: {{postgres: {{url: null, url_file: {secret}}}}}", encoding="utf-8")
    assert postgres_url(load_settings(environ={}, config_file=str(config))) == "postgresql://db/postlog"


def test_a_value_and_its_file_together_are_refused_wherever_they_come_from(tmp_path: Path) -> None:
    secret, config = tmp_path / "url", tmp_path / "postlog.yaml"
    secret.write_text("postgresql://db/postlog", encoding="utf-8")
    both = f"read_db.postgres.url and read_db.postgres.url_file ({URL_FILE}) are both set; remove one of them"
    assert problem_of(**{URL: "postgresql://a/b", URL_FILE: str(secret)}) == f"{both} ({URL})"
    config.write_text("read_db: {postgres: {url: 'postgresql://a/b'}}", encoding="utf-8")
    assert problem_of(POSTLOG_CONFIG=str(config), **{URL_FILE: str(secret)}) == f"{both} ({config}:1)"


def test_an_unreadable_or_invalid_secret_file_is_named(tmp_path: Path) -> None:
    empty, wrong, bytes_ = tmp_path / "empty", tmp_path / "wrong", tmp_path / "bytes"
    empty.write_text("\n", encoding="utf-8")
    wrong.write_text("ann:s3cr3t@db", encoding="utf-8")
    bytes_.write_bytes("postgresql://ann:s3cr3t@db/postlog".encode("utf-16"))
    path = "read_db.postgres.url"
    assert problem_of(**{URL_FILE: str(tmp_path)}) == (
        f"{path} should come from {tmp_path}, which can't be read: Is a directory ({URL_FILE})"
    )
    assert problem_of(**{URL_FILE: "/nowhere/url"}) == (
        f"{path} should come from /nowhere/url, which can't be read: No such file or directory ({URL_FILE})"
    )
    assert problem_of(**{URL_FILE: str(empty)}) == (
        f"{path} is empty; set a value, or remove it to use the default ({URL_FILE})"
    )
    assert problem_of(**{URL_FILE: str(wrong)}) == (
        f"{path} must begin with postgresql+psycopg:// or postgresql:// ({URL_FILE})"
    )
    assert problem_of(**{URL_FILE: str(bytes_)}) == (
        f"{path} should come from {bytes_}, which is not UTF-8 text ({URL_FILE})"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("read_db.postgres.url", "postgresql://ann:s3cr3t@db/postlog"),
        ("read_db.sqlserver.url", "mssql+pyodbc://db/postlog?driver=x&PWD=s3cr3t"),
        ("bus.kafka.password", HIDDEN),
    ],
)
def test_a_password_on_the_command_line_is_refused(path: str, text: str) -> None:
    """The list of processes would show it."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={}, options=[Option(path, text, f"--set {path}")])
    variable = f"POSTLOG__{path.replace('.', '__').upper()}"
    assert str(caught.value) == (
        f"Invalid settings: {path} contains a password, and every user of this machine can read command lines; set "
        f"{variable}, or {path}_file to a file that contains it (--set {path})"
    )
    assert f"{path}_file" in load_settings(environ={}).sources


def test_an_address_without_a_password_is_allowed_on_the_command_line() -> None:
    url = Option("read_db.postgres.url", "postgresql://ann@db/postlog", "--set read_db.postgres.url")
    assert postgres_url(load_settings(environ={}, options=[url])) == "postgresql://ann@db/postlog"


def test_a_secret_file_that_this_process_may_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because tests may run as root, which can read everything."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert problem_of(**{URL_FILE: "/run/secrets/url"}) == (
        f"read_db.postgres.url should come from /run/secrets/url, which can't be read: Permission denied ({URL_FILE})"
    )
