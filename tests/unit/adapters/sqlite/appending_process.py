"""usage: appending_process.py LOG_FILE STREAM_ID

Appends until it is killed. A line on stdout for each commit that was acknowledged: its position and its commit id.
"""

import asyncio
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from application.envelopes import ProposedCommit, StoredEvent
from application.ports.event_store import Appended
from domain.ids import PostId

GROUP = 3


def liked(stream_id: PostId, version: int) -> ProposedCommit:
    return ProposedCommit(
        stream_id=stream_id,
        version=version,
        commit_id=str(uuid4()),
        recorded_at=datetime(2026, 11, 23, tzinfo=UTC),
        metadata={},
        events=(StoredEvent("PostLiked", 2, {"username": None}), StoredEvent("PostLiked", 2, {"username": "ann"})),
    )


async def append_for_ever(path: Path, stream_id: PostId) -> None:
    async with SqliteLog(path) as log:
        store = SqliteEventStore(log)
        tail = await store.stream_tail(stream_id)
        for first in count(tail.version + 1 if tail else 1, 2 * GROUP):
            group = [liked(stream_id, version) for version in range(first, first + 2 * GROUP, 2)]
            for commit, outcome in zip(group, await store.append(group), strict=True):
                assert isinstance(outcome, Appended), outcome
                print(outcome.position, commit.commit_id, flush=True)


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), PostId(sys.argv[2])))
