"""What stands in the log of one stream or one command: for history, gap healing, parked streams; never appended to."""

from typing import Protocol

from application.envelopes import Commit
from domain.ids import PostId


class PastEvents(Protocol):
    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        """As `EventStore.read_stream`."""
        ...

    async def find_commit(self, commit_id: str) -> Commit | None:
        """As `EventStore.find_commit`."""
        ...

    async def last_version(self, stream_id: PostId) -> int:
        """That of the stream's last majority-committed event; 0 when it has none. Raises `StoreUnavailable`."""
        ...
