"""The sources of administrators' addresses for `postlog init`."""

from pathlib import Path

import pytest

from adapters.mongo.logins import ADMIN_SETTING as MONGO
from adapters.postgres.logins import ADMIN_SETTING as POSTGRES
from entrypoints.settings.administrators import Administrators, administrators
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import load_settings
from entrypoints.settings.secret import Secret

MONGO_URL = "mongodb://root:s3cr3t@mongo:27017/?replicaSet=rs0"
POSTGRES_URL = "postgresql+psycopg://postgres:s3cr3t@postgres:5432/postgres"
SQLSERVER_URL = "mssql+pyodbc://sa:s3cr3t@sqlserver:1433/master?driver=x"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "address"
    file.write_text(f"{POSTGRES_URL}\n")
    return file


def problems_of(environ: dict[str, str], *files: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        administrators(environ, files)
    assert "s3cr3t" not in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


def test_without_variables_there_are_no_addresses() -> None:
    assert administrators({"POSTLOG__LOG__LEVEL": "debug"}) == Administrators()


def test_each_server_has_a_variable() -> None:
    environ = {MONGO: MONGO_URL, POSTGRES: POSTGRES_URL, "POSTLOG_ADMIN__SQLSERVER_URL": SQLSERVER_URL}
    assert administrators(environ) == Administrators(
        mongo=Secret(MONGO_URL), postgres=Secret(POSTGRES_URL), sqlserver=Secret(SQLSERVER_URL)
    )


def test_a_variable_may_name_a_file(file: Path) -> None:
    assert administrators({f"{POSTGRES}_FILE": str(file)}) == Administrators(postgres=Secret(POSTGRES_URL))


def test_an_option_s_file_is_for_the_server_of_its_scheme(file: Path) -> None:
    assert administrators({}, [str(file)]) == Administrators(postgres=Secret(POSTGRES_URL))


def test_administrators_addresses_are_not_settings() -> None:
    loaded = load_settings(environ={MONGO: MONGO_URL})
    assert loaded.settings.event_store.mongo.url.reveal() == "mongodb://127.0.0.1:27017/?replicaSet=rs0"


def test_an_address_of_another_server_is_refused() -> None:
    assert problems_of({MONGO: POSTGRES_URL}) == [f"{MONGO} must begin with mongodb:// or mongodb+srv://"]


def test_a_file_without_an_address_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text("s3cr3t")
    [problem] = problems_of({}, str(file))
    assert problem == (
        f"--admin-url-file {file} must begin with mongodb:// or mongodb+srv:// or postgresql+psycopg:// or "
        f"postgresql:// or mssql+pyodbc://"
    )


def test_all_problems_are_reported_at_once(file: Path) -> None:
    environ = {
        f"{MONGO}_FILE": "/nowhere/mongo",
        POSTGRES: POSTGRES_URL,
        "POSTLOG_ADMIN__POSTGRE_URL": POSTGRES_URL,
    }
    assert problems_of(environ, str(file)) == [
        f"{MONGO}_FILE should come from /nowhere/mongo, which can't be read: No such file or directory",
        f"POSTLOG_ADMIN__POSTGRE_URL is not an administrator's variable; did you mean {POSTGRES}?",
        f"--admin-url-file {file} and {POSTGRES} both give an address for postgres; remove one",
    ]
