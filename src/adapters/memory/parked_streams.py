"""Which posts wait in a read database in memory, and why."""

from heapq import nsmallest

from adapters.memory.read_db import MemoryReadDb
from application.ports.read_db import ParkedStream
from domain.ids import PostId


class MemoryParkedStreams:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        waiting = (each for each in self._read_db.live_parked.values() if after is None or each.post_id > after)
        return nsmallest(limit, waiting, key=lambda each: each.post_id)

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        return self._read_db.live_parked.get(post_id)
