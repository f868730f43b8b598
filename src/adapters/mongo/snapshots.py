"""Snapshots on MongoDB: one document a snapshot, `{_id: key, version, position, format, state}`. The key is the
stream's id, with `@name` after it if the snapshot has a name.

A document has at most 16 MB. For a larger state it holds the first part, and `parts` is how many there are; the others
are documents of their own, `{_id: "key/version/n", version, state}`. They are written before it and removed after
it, so a reader that misses one was overtaken by a newer snapshot.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from adapters.mongo.database import Document, MongoDatabase
from application.ports.event_store import Snapshot, snapshot_key
from domain.ids import PostId

_PART_BYTES = 8_000_000
_TRIES = 3
"""Of a reader that newer snapshots overtake."""


class MongoSnapshots:
    def __init__(self, database: MongoDatabase, part_bytes: int = _PART_BYTES) -> None:
        self._database = database
        self._part_bytes = part_bytes

    async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
        key = snapshot_key(stream_id, name)
        for _ in range(_TRIES):
            found = await self._found(key)
            if found is None:
                return None
            state = await self._whole_state(key, found)
            if state is not None:
                return Snapshot(
                    stream_id=stream_id,
                    name=name,
                    version=int(found["version"]),
                    position=int(found["position"]),
                    format=found["format"],
                    state=state,
                )
        return None

    async def store(self, snapshot: Snapshot) -> None:
        first, *others = _parts(snapshot.state, self._part_bytes)
        document: dict[str, Any] = {
            "version": snapshot.version,
            "position": snapshot.position,
            "format": snapshot.format,
            "state": first,
        }
        if others:
            document["parts"] = 1 + len(others)
        not_newer = {"_id": snapshot.key, "version": {"$lte": snapshot.version}}
        for number, part in enumerate(others, start=1):
            await self._store_part(snapshot, number, part)
        obsolete: dict[str, Any] = {"version": {"$lt": snapshot.version}}
        if not await self._replace(not_newer, document):
            obsolete = {"version": snapshot.version}
        await self._remove_parts(snapshot.key, obsolete)

    async def _whole_state(self, key: str, found: Mapping[str, Any]) -> bytes | None:
        """None when parts are missing."""
        parts = [bytes(found["state"])]
        for number in range(1, found.get("parts", 1)):
            part = await self._found(_part_id(key, found["version"], number))
            if part is None:
                return None
            parts.append(bytes(part["state"]))
        return b"".join(parts)

    async def _store_part(self, snapshot: Snapshot, number: int, part: bytes) -> None:
        this = {"_id": _part_id(snapshot.key, snapshot.version, number)}
        document = {"version": snapshot.version, "state": part}
        await self._replace(this, document)

    async def _remove_parts(self, key: str, which: dict[str, Any]) -> None:
        parts = {"_id": {"$gt": f"{key}/", "$lt": f"{key}0"}}
        await self._database.execute(
            lambda session: self._database.snapshots.delete_many(parts | which, session=session)
        )

    async def _found(self, document_id: str) -> Document | None:
        return await self._database.execute(
            lambda session: self._database.snapshots.find_one({"_id": document_id}, session=session)
        )

    async def _replace(self, this: Document, document: Document) -> bool:
        """False: a newer one is stored, so nothing matched, and its `_id` refuses a second."""

        async def replace(session: AsyncClientSession) -> bool:
            try:
                await self._database.snapshots.replace_one(this, document, upsert=True, session=session)
            except DuplicateKeyError:
                return False
            return True

        return await self._database.execute(replace)


def _parts(state: bytes, size: int) -> Sequence[bytes]:
    return [state[begin : begin + size] for begin in range(0, len(state), size)] or [b""]


def _part_id(key: str, version: int, number: int) -> str:
    return f"{key}/{version}/{number}"
