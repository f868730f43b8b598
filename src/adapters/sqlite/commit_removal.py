"""Removes commits from the log's file, in one transaction that drops and recreates the trigger that forbids it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence

from adapters.sqlite.commit_log import SELECT_COMMITS, page_of
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.log_schema import NEVER_DELETED
from application.errors import StoreUnavailable
from application.ports.commit_log import StoredCommit
from domain.ids import PostId

_BEHIND = SELECT_COMMITS + "WHERE position > :after ORDER BY position LIMIT 1000"


class SqliteCommitRemoval:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def commits_after(self, position: int) -> AsyncIterator[Sequence[StoredCommit]]:
        wanted = {"after": position}
        while page := await self._log.read(lambda connection: page_of(connection, _BEHIND, wanted)):
            yield [_stored(*row) for row in page]
            wanted["after"] = page[-1][0]

    async def remove(self, commits: Sequence[StoredCommit], position: int) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DROP TRIGGER IF EXISTS commits_are_never_deleted")
            these = [(commit.position, commit.commit_id) for commit in commits]
            removed = connection.executemany("DELETE FROM commits WHERE position = ? AND commit_id = ?", these).rowcount
            if removed != len(commits):
                raise StoreUnavailable(
                    "Another process changes the log. Stop it, and run this again with another file."
                )
            connection.execute(NEVER_DELETED)
            connection.execute("DELETE FROM snapshots")
            connection.execute("UPDATE relay SET position = min(position, ?)", (position,))

        await asyncio.shield(self._log.write(change))


def _stored(
    position: int, stream_id: str, version: int, commit_id: str, recorded_at: str, metadata: bytes, events: bytes
) -> StoredCommit:
    """Metadata and events are copied as they are stored, so that a damaged commit can be removed too."""
    head = {"_id": position, "streamId": stream_id, "version": version, "commitId": commit_id}
    line = json.dumps(head | {"recordedAt": {"$date": recorded_at}}, ensure_ascii=False)[:-1]
    line = f'{line}, "metadata": {metadata.decode()}, "events": {events.decode()}}}'
    return StoredCommit(position, commit_id, PostId(stream_id), version, line)
