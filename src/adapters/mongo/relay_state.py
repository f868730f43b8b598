"""The relay's lease and checkpoint on MongoDB: the document `lease` of the collection `relay`.

`{_id: "lease", owner, token, until, position}`; `until` is by the server's clock, `owner` is null after a release.
"""

from typing import Any

from pymongo import ReturnDocument

from adapters.mongo.database import Document, MongoDatabase
from application.ports.relay_state import Lease, RelayStatus

_ID = {"_id": "lease"}


class MongoRelayState:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        grant = {
            "owner": {"$literal": owner},
            "token": {"$add": [{"$ifNull": ["$token", 0]}, 1]},
            "position": {"$ifNull": ["$position", 0]},
            "until": _from_now(ttl_seconds),
        }
        free = {
            "$or": [
                {"$in": [{"$ifNull": ["$owner", None]}, [None, {"$literal": owner}]]},
                {"$lte": ["$until", "$$NOW"]},
            ]
        }
        granted = {"$mergeObjects": ["$$ROOT", {"$cond": [free, grant, {}]}]}
        lease = await self._database.execute(
            lambda session: self._database.relay.find_one_and_update(
                _ID, [{"$replaceWith": granted}], upsert=True, return_document=ReturnDocument.AFTER, session=session
            )
        )
        if lease is None or lease["owner"] != owner:
            return None
        return Lease(owner=owner, token=int(lease["token"]), position=int(lease["position"]), ttl_seconds=ttl_seconds)

    async def renew(self, lease: Lease) -> bool:
        return await self._change(lease, [{"$set": {"until": _from_now(lease.ttl_seconds)}}])

    async def advance(self, lease: Lease, position: int) -> bool:
        return await self._change(lease, {"$max": {"position": position}})

    async def set_back(self, lease: Lease, position: int) -> bool:
        return await self._change(lease, {"$min": {"position": position}})

    async def release(self, lease: Lease) -> None:
        await self._change(lease, {"$set": {"owner": None}})

    async def state(self) -> RelayStatus | None:
        owner = {"$cond": [{"$gt": ["$until", "$$NOW"]}, "$owner", None]}
        wanted = {"owner": owner, "token": 1, "position": 1}
        found = await self._database.execute(
            lambda session: self._database.relay.find_one(_ID, wanted, session=session)
        )
        if found is None:
            return None
        return RelayStatus(owner=found["owner"], token=int(found["token"]), position=int(found["position"]))

    async def _change(self, lease: Lease, change: Document | list[Document]) -> bool:
        """Whether this lease is still the last one granted."""
        this = {**_ID, "owner": lease.owner, "token": lease.token}
        result = await self._database.execute(
            lambda session: self._database.relay.update_one(this, change, session=session)
        )
        return result.matched_count == 1


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", int(seconds * 1_000)]}
