"""The address of a read database in SQL Server."""

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
    sentence = address.away(Exception("08001", f"[08001] [Microsoft]Bad attribute in {words} (0) (SQLDriverConnect)"))
    assert "p4ss" not in sentence
    assert sentence.startswith(
        "The read database posts on db.example:1433 (read_db.sqlserver.url) does not answer: Bad attribute in "
    )


def test_a_password_among_the_keywords_does_not_show() -> None:
    address = sqlserver_read_db("mssql+pyodbc://db.example/posts?UID=ann&Pwd=p4ssword").address
    assert "p4ssword" not in address.away(RuntimeError("Pwd=p4ssword"))


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
