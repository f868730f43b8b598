"""The event store on SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

from adapters.sqlite.append_group import append_group, is_there, row_of, stored_commits
from adapters.sqlite.commit_rows import SELECT_COMMITS, commits_of, page_of
from adapters.sqlite.log_database import SqliteLog
from adapters.sqlite.receipts import find_receipt, keep_receipts
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.errors import StoreUnavailable
from application.ports.event_store import Appended, AppendOutcome, Receipt, Unsettled
from domain.ids import PostId

_TAIL = "SELECT last_version, position FROM commits WHERE stream_id = ? ORDER BY version DESC LIMIT 1"

_TO = "FROM commits WHERE stream_id = ? AND version <= ?"
_END = f"SELECT last_version, position, commit_id {_TO} ORDER BY version DESC LIMIT 1"
_COMMITS_TO = f"SELECT count(*) {_TO}"
_VERSIONS_TO = f"SELECT coalesce(sum(json_array_length(events)), 0) {_TO}"

# The commit that holds version `after + 1` is the last that begins at or below it.
_FIRST_WANTED = "SELECT max(version) FROM commits WHERE stream_id = :stream AND version <= :after + 1"
_STREAM = SELECT_COMMITS + (
    f"WHERE stream_id = :stream AND last_version > :after AND version >= coalesce(({_FIRST_WANTED}), 0) "
    "ORDER BY version LIMIT :limit"
)


class SqliteEventStore:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """A version behind a gap is `VersionTaken` too: the log does not stand where the commit believes. A full or
        broken disk is `Unsettled` at once, since waiting does not mend it."""
        rows = [row_of(commit) for commit in commits]
        try:
            writing = self._log.write(lambda connection: append_group(connection, commits, rows), is_there(commits))
            writing.add_done_callback(partial(self._tell, commits))
            return await asyncio.shield(writing)
        except StoreUnavailable as error:
            return [Unsettled(str(error)) for _ in commits]

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        wanted = {"stream": stream_id, "after": after_version, "limit": limit}
        return await self._log.read(lambda connection: commits_of(page_of(connection, _STREAM, wanted)))

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        row = await self._log.read(lambda connection: connection.execute(_TAIL, (stream_id,)).fetchone())
        return StreamTail(*row) if row else None

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        def query(connection: sqlite3.Connection) -> bool:
            end = connection.execute(_END, (stream_id, version)).fetchone()
            commits = connection.execute(_COMMITS_TO, (stream_id, version)).fetchone()[0]
            if end != (version, position, commit_id) or commits > version:
                return False
            versions: int = commits
            if commits < version:  # some commits hold several
                versions = connection.execute(_VERSIONS_TO, (stream_id, version)).fetchone()[0]
            return versions == version

        return await self._log.read(query)

    async def last_version(self, stream_id: PostId) -> int:
        tail = await self.stream_tail(stream_id)
        return tail.version if tail else 0

    async def find_commit(self, commit_id: str) -> Commit | None:
        return (await self._log.read(lambda connection: stored_commits(connection, [commit_id]))).get(commit_id)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        await asyncio.shield(self._log.write(lambda connection: keep_receipts(connection, receipts)))

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        return await self._log.read(lambda connection: find_receipt(connection, commit_id))

    def _tell(self, commits: Sequence[ProposedCommit], writing: "asyncio.Future[list[AppendOutcome]]") -> None:
        if writing.cancelled() or writing.exception() is not None:
            return
        outcomes = zip(commits, writing.result(), strict=True)
        appended = [(each.position, commit.commit_id) for commit, each in outcomes if isinstance(each, Appended)]
        if appended:
            self._log.tell_appended(*appended[-1])
