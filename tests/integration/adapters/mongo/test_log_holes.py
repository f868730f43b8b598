from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
import pytest

from contracts.log_holes import LogHolesContract, Removed
from local.databases import MongoDatabase as Place


@pytest.fixture
def removed(fresh_mongo_database: Place) -> Removed:
    """As an administrator does with a shell."""

    @asynccontextmanager
    async def removed(positions: Sequence[int]) -> AsyncIterator[None]:
        with pymongo.MongoClient[dict[str, Any]](fresh_mongo_database.url, timeoutMS=20_000) as client:
            commits = client[fresh_mongo_database.name].get_collection(
                "commits", write_concern=pymongo.WriteConcern("majority")
            )
            documents = list(commits.find({"_id": {"$in": list(positions)}}))
            assert commits.delete_many({"_id": {"$in": list(positions)}}).deleted_count == len(positions)
            yield
            commits.insert_many(documents)

    return removed


class TestLogHolesOnMongo(LogHolesContract):
    """Adopts the contract with the fixtures `open_log` and `removed`."""
