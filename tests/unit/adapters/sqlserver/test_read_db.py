"""The address of a read database in SQL Server, and a machine without pyodbc's libraries or the driver that the address
names."""

import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.sqlserver.read_db import sqlserver_read_db
from application.errors import CannotOpen


def place(url: str) -> str:
    return sqlserver_read_db(url).address.place


def test_a_database_is_named_with_its_server_and_without_secrets() -> None:
    address = sqlserver_read_db("mssql+pyodbc://ann:s3cret@db.example/posts").address
    assert (address.place, address.setting) == ("posts on db.example:1433", "read_db.sqlserver.url")
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize("words", ["PWD={p4ss;w}}rd}", "p4ss%3Bw%7Drd", "p4ss;w}rd"])
def test_a_password_does_not_show_in_what_the_driver_says(words: str) -> None:
    address = sqlserver_read_db("mssql+pyodbc://ann:p4ss%3Bw%7Drd@db.example/posts").address
    sentence = address.unreachable(
        Exception("08001", f"[08001] [Microsoft]Bad attribute in {words} (0) (SQLDriverConnect)")
    ).message
    assert "p4ss" not in sentence
    assert sentence.startswith(
        "The read database posts on db.example:1433 (read_db.sqlserver.url) does not answer: Bad attribute in "
    )


def test_a_password_among_the_keywords_does_not_show() -> None:
    address = sqlserver_read_db("mssql+pyodbc://db.example/posts?UID=ann&Pwd=p4ssword").address
    assert "p4ssword" not in address.unreachable(RuntimeError("Pwd=p4ssword")).message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "posts",
        "postgresql://ann:s3cret@db.example/posts",
        "mssql+pymssql://ann:s3cret@db.example/posts",
        "mssql+pyodbc://ann:s3cret@db.example",
        "mssql+pyodbc://ann:s3cret@/posts",
        "mssql+pyodbc://ann:s3cret@db.example:port/posts",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Ds3cret",
        "mssql+pyodbc://ann:s3cret@db.example/posts?dsn=posts",
        "mssql+pyodbc://ann:s3cret@db.example/posts?driver=a&driver=b",
    ],
)
def test_an_address_of_another_form_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        sqlserver_read_db(url)
    assert caught.value.path == "read_db.sqlserver.url"
    assert caught.value.message.endswith(
        "mssql+pyodbc://login:password@host:port/database?driver=ODBC+Driver+18+for+SQL+Server."
    )
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["mssql://db.example/posts", "mssql+pyodbc://db.example:1433/posts"])
def test_the_driver_may_be_left_out_of_the_name(url: str) -> None:
    assert place(url) == "posts on db.example:1433"


URL = "mssql+pyodbc://ann:s3cret@db.example/posts"


class FakePyodbc(ModuleType):
    """Reaches no server. `connect` raises the given error."""

    class Error(Exception):
        pass

    def __init__(self, *said: str) -> None:
        super().__init__("pyodbc")
        self.said = said
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def connect(self, words: str, **options: Any) -> None:
        self.asked.append((words, options))
        raise self.Error(*self.said)


@pytest.fixture
def pyodbc(monkeypatch: pytest.MonkeyPatch) -> FakePyodbc:
    fake = FakePyodbc("08001", "[08001] [Microsoft]Neither DSN nor SERVER keyword supplied (0) (SQLDriverConnect)")
    monkeypatch.setitem(sys.modules, "pyodbc", fake)
    return fake


async def opening_fails(url: str = URL) -> CannotOpen:
    with pytest.raises(CannotOpen) as caught:
        await sqlserver_read_db(url).__aenter__()
    assert caught.value.path == "read_db.sqlserver.url"
    assert "s3cret" not in caught.value.message
    return caught.value


async def test_a_missing_library_of_pyodbc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python reports a module that is None as missing, as it does a missing library."""
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    error = await opening_fails()
    assert error.message.startswith("The read database in SQL Server can't be used: pyodbc can't be loaded (")
    assert "Install unixODBC (Debian: `apt install unixodbc`) and Microsoft's driver 18 (package msodbcsql18)" in (
        error.message
    )


@pytest.mark.parametrize(
    "said",
    [
        ("01000", "[01000] [unixODBC][Driver Manager]Can't open lib 'x' : file not found (0) (SQLDriverConnect)"),
        ("IM002", "[IM002] [unixODBC][Driver Manager]Data source name not found (0) (SQLDriverConnect)"),
        ("IM004", "[IM004] [unixODBC][Driver Manager]Driver's SQLAllocHandle failed (0) (SQLDriverConnect)"),
    ],
    ids=["no file", "no name", "no driver"],
)
async def test_a_driver_that_can_not_be_loaded_is_named_at_once(pyodbc: FakePyodbc, said: tuple[str, str]) -> None:
    pyodbc.said = said
    error = await opening_fails(f"{URL}?driver=My+Driver")
    assert error.message.startswith(
        "The read database in SQL Server can't be used: its ODBC driver 'My Driver' can't be loaded ("
    )
    assert "read_db.sqlserver.url" in error.message


async def test_a_driver_that_can_be_loaded_is_enough_and_no_server_is_contacted(pyodbc: FakePyodbc) -> None:
    async with sqlserver_read_db(URL):
        assert pyodbc.asked == [("DRIVER={ODBC Driver 18 for SQL Server}", {"timeout": 1})]


async def test_pyodbc_keeps_no_pool_of_its_own(pyodbc: FakePyodbc) -> None:
    """A connection that we close is closed, and so are its locks."""
    async with sqlserver_read_db(f"{URL}?DRIVER=/lib/a}}b.so"):
        assert pyodbc.pooling is False
        assert pyodbc.asked[0][0] == "DRIVER={/lib/a}}b.so}"
