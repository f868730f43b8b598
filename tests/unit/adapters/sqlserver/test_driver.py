"""A machine without pyodbc's libraries, or without the driver that the address names."""

import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.sqlserver.read_db import sqlserver_read_db
from application.errors import CannotOpen

URL = "mssql+pyodbc://ann:s3cret@db.example/posts"


class FakePyodbc(ModuleType):
    """Knows no server. `connect` raises what it is told."""

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


async def test_what_pyodbc_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls a module that is None missing, and a library as well."""
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


async def test_a_driver_that_can_be_loaded_will_do_and_no_server_is_asked(pyodbc: FakePyodbc) -> None:
    async with sqlserver_read_db(URL):
        assert pyodbc.asked == [("DRIVER={ODBC Driver 18 for SQL Server}", {"timeout": 1})]


async def test_pyodbc_keeps_no_pool_of_its_own(pyodbc: FakePyodbc) -> None:
    """A connection that we close is closed, and so are its locks."""
    async with sqlserver_read_db(f"{URL}?DRIVER=/lib/a}}b.so"):
        assert pyodbc.pooling is False
        assert pyodbc.asked[0][0] == "DRIVER={/lib/a}}b.so}"
