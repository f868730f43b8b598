"""Rebuild, audit and repair of the read database in memory."""

import pytest

from contracts.maintained import maintained_in_memory
from contracts.rebuilding import OpenMaintained, RebuildingContract


@pytest.fixture
def open_maintained() -> OpenMaintained:
    return maintained_in_memory()


class TestRebuilding(RebuildingContract):
    pass
