"""Rebuild, audit and repair of the read database in SQL Server."""

import pytest

from adapters.sqlserver.read_db import sqlserver_read_db
from contracts.maintained import maintained_in_sql
from contracts.rebuilding import OpenMaintained, RebuildingContract


@pytest.fixture
def open_maintained(new_read_db_url: str) -> OpenMaintained:
    return maintained_in_sql(lambda: sqlserver_read_db(new_read_db_url, pool_size=4))


class TestRebuilding(RebuildingContract):
    pass
