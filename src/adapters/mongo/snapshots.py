"""Snapshots on MongoDB: one document a stream, `{_id: streamId, version, position, format, state}`."""

from pymongo.errors import DuplicateKeyError

from adapters.mongo.database import MongoDatabase
from application.ports.snapshots import Snapshot
from domain.ids import PostId


class MongoSnapshots:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def load(self, stream_id: PostId) -> Snapshot | None:
        async with self._database.answering() as session:
            found = await self._database.snapshots.find_one({"_id": stream_id}, session=session)
        if found is None:
            return None
        return Snapshot(
            stream_id=stream_id,
            version=found["version"],
            position=found["position"],
            format=found["format"],
            state=bytes(found["state"]),
        )

    async def store(self, snapshot: Snapshot) -> None:
        document = {
            "version": snapshot.version,
            "position": snapshot.position,
            "format": snapshot.format,
            "state": snapshot.state,
        }
        not_newer = {"_id": snapshot.stream_id, "version": {"$lte": snapshot.version}}
        async with self._database.answering() as session:
            try:
                await self._database.snapshots.replace_one(not_newer, document, upsert=True, session=session)
            except DuplicateKeyError:
                return  # a newer one is there, so nothing matched, and its `_id` refuses a second
