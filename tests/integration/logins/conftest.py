"""Logins of the service on real servers. In PostgreSQL they belong to the whole server, so each has a name of its own
and goes when its test ends."""

from collections.abc import Iterator

import pytest

from integration.logins.places import MongoPlace, PostgresPlace, mongo_place, postgres_place
from local.postgres import Postgres


@pytest.fixture
def place(postgres_url: str) -> Iterator[PostgresPlace]:
    """On a server that others use too: there is another login, and nothing of theirs is to be changed."""
    with postgres_place(postgres_url) as place, place.another_login():
        yield place


@pytest.fixture
def place_of_its_own(killable_postgres: Postgres) -> Iterator[PostgresPlace]:
    """On a server where nobody else logs in."""
    with postgres_place(killable_postgres.url) as place:
        yield place


@pytest.fixture
def mongo(mongo_with_logins_url: str) -> Iterator[MongoPlace]:
    with mongo_place(mongo_with_logins_url) as place:
        yield place
