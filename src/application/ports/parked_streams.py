"""Which posts wait, and why; for people and for the retry at every start."""

from typing import Protocol

from application.ports.projection_store import ParkedStream
from domain.ids import PostId


class ParkedStreams(Protocol):
    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        """Of the live generation, by post id, those above `after`. Raises `ReadDbUnavailable`."""
        ...

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        """Of the live generation. Raises `ReadDbUnavailable`."""
        ...
