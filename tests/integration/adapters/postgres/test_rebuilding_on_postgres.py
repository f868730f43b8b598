"""Rebuild, audit and repair of the read database in PostgreSQL."""

import pytest

from adapters.postgres.read_db import postgres_read_db
from contracts.maintained import maintained_in_sql
from contracts.rebuilding import OpenMaintained, RebuildingContract


@pytest.fixture
def open_maintained(fresh_postgres_url: str) -> OpenMaintained:
    return maintained_in_sql(lambda: postgres_read_db(fresh_postgres_url, pool_size=4))


class TestRebuilding(RebuildingContract):
    pass
