"""Messages name the database without its secrets."""

import sys

import pytest

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.address import Address
from application.errors import CannotOpen

ADDRESS = Address(setting="read_db.postgres.url", place="posts on db:5432", secrets=("s3cr%t", "s3cr%25t"))


def test_a_sentence_names_the_place_and_the_setting() -> None:
    assert ADDRESS.unreachable("connection refused\n\tIs it running?").message == (
        "The read database posts on db:5432 (read_db.postgres.url) does not answer: connection refused."
    )


def test_secrets_are_masked_whatever_a_driver_says() -> None:
    assert ADDRESS.redacted("bad URL x:s3cr%25t@db, password s3cr%t") == "bad URL x:***@db, password ***"


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert ADDRESS.redacted(TimeoutError()) == "TimeoutError"


def test_secrets_do_not_show_in_its_repr() -> None:
    assert "s3cr" not in repr(ADDRESS)


def test_place_and_secrets_come_from_the_address() -> None:
    address = postgres_read_db("postgresql://ann:p%40ss@db.example/posts?password=other").address
    assert address.place == "posts on db.example:5432"
    assert address.redacted("p@ss p%40ss other") == "*** *** ***"


@pytest.mark.parametrize("url", ["mysql://ann:s3cret@db/posts", "s3cret", "", "postgresql://db:s3cret/posts"])
def test_an_address_of_another_form_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CannotOpen) as caught:
        postgres_read_db(url)
    assert caught.value.path == "read_db.postgres.url"
    assert "postgresql+psycopg://login:password@host:port/database" in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


async def test_a_missing_driver_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CannotOpen) as caught:
        await postgres_read_db("postgresql://ann:s3cret@db/posts").__aenter__()
    assert caught.value.path == "read_db.postgres.url"
    assert caught.value.message.startswith("read_db.postgres.url needs the driver psycopg, which can't be loaded: ")
    assert caught.value.message.endswith("Install 'psycopg[binary]'.")
