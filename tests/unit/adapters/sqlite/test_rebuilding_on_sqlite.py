"""Rebuild, audit and repair of the read database in a SQLite file."""

from pathlib import Path

import pytest

from adapters.sqlite.read_db import sqlite_read_db
from contracts.maintained import maintained_in_sql
from contracts.rebuilding import OpenMaintained, RebuildingContract


@pytest.fixture
def open_maintained(tmp_path: Path) -> OpenMaintained:
    return maintained_in_sql(lambda: sqlite_read_db(tmp_path / "read.sqlite"))


class TestRebuilding(RebuildingContract):
    pass
