"""Stored states of long streams: a cache, droppable at any time, never believed over the log."""

from dataclasses import dataclass
from typing import Protocol

from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state after `version`, whose commit stands at `position`. A reader ignores a `format` that it does not
    write.
    """

    stream_id: PostId
    version: int
    position: int
    format: str
    state: bytes


class Snapshots(Protocol):
    async def load(self, stream_id: PostId) -> Snapshot | None:
        """The newest stored one. Raises `StoreUnavailable`."""
        ...

    async def store(self, snapshot: Snapshot) -> None:
        """Replaces an older one; an older one never replaces a newer one. Raises `StoreUnavailable`."""
        ...
