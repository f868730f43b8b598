"""Taking commits out of the log, which the service itself may not do: for an administrator, behind a gap only."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from domain.ids import PostId


class StoredCommit(NamedTuple):
    """`line` is the whole commit as JSON, as `mongoimport` takes it into the collection `commits`, too."""

    position: int
    commit_id: str
    stream_id: PostId
    version: int
    line: str


class CommitRemoval(Protocol):
    def behind(self, position: int) -> AsyncIterator[Sequence[StoredCommit]]:
        """All commits behind `position`, in order, a page at a time. Raises `StoreUnavailable`."""
        ...

    async def remove(self, commits: Sequence[StoredCommit], position: int) -> None:
        """These, each by position and commit id, the last first, so that one that is interrupted leaves no other gap;
        then what may rest on them: all snapshots go, and the relay's checkpoint goes back to `position`. Raises
        `StoreUnavailable`."""
        ...
