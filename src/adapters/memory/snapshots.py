"""Snapshots in memory."""

from adapters.memory.log import MemoryLog
from application.ports.event_store import Snapshot
from domain.ids import PostId


class MemorySnapshots:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def load(self, stream_id: PostId) -> Snapshot | None:
        return self._log.snapshots.get(stream_id)

    async def store(self, snapshot: Snapshot) -> None:
        stored = self._log.snapshots.get(snapshot.stream_id)
        if stored is None or stored.version <= snapshot.version:
            self._log.snapshots[snapshot.stream_id] = snapshot
