from typing import Any

import pymongo
import pytest

from contracts.damaged_streams import DamagedStreamsContract, Rewrite
from local.databases import MongoDatabase as Place

_FIELDS = {"stream_id": "streamId", "version": "version", "events": "events"}


@pytest.fixture
def rewrite(fresh_mongo_database: Place) -> Rewrite:
    """As an administrator does with a shell."""

    async def rewrite(position: int, **changes: Any) -> None:
        if "events" in changes:
            changes["events"] = [
                {"type": event.type, "schemaVersion": event.schema_version, "data": dict(event.data)}
                for event in changes["events"]
            ]
        with pymongo.MongoClient[dict[str, Any]](fresh_mongo_database.url, timeoutMS=20_000) as client:
            commits = client[fresh_mongo_database.name].get_collection(
                "commits", write_concern=pymongo.WriteConcern("majority")
            )
            changed = commits.update_one(
                {"_id": position},
                {"$set": {_FIELDS[name]: value for name, value in changes.items()}},
                bypass_document_validation=True,
            )
            assert changed.matched_count == 1

    return rewrite


class TestDamagedStreamsOnMongo(DamagedStreamsContract):
    """Adopts the contract with the fixtures `open_log` and `rewrite`."""
