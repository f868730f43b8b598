"""The event store on SQLite: appends, streams, receipts; and the snapshots beside it.

An append is one transaction, decided on what it finds once it holds the file's write lock.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial
from typing import Any

from adapters.sqlite.commit_log import SELECT_COMMITS, commits_of, page_of
from adapters.sqlite.log_file import SqliteLog
from adapters.wire.commit_json import events_to_json, metadata_to_json
from adapters.wire.times import time_to_text
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.errors import StoreUnavailable
from application.ports.event_store import (
    RECEIPT_DAYS,
    AlreadyStored,
    Appended,
    AppendOutcome,
    NotTried,
    Receipt,
    Snapshot,
    Unsettled,
    VersionTaken,
    snapshot_key,
)
from domain.ids import PostId

_TAIL = "SELECT last_version, position FROM commits WHERE stream_id = ? ORDER BY version DESC LIMIT 1"

_TO = "FROM commits WHERE stream_id = ? AND version <= ?"
_END = f"SELECT last_version, position, commit_id {_TO} ORDER BY version DESC LIMIT 1"
_COMMITS_TO = f"SELECT count(*) {_TO}"
_VERSIONS_TO = f"SELECT coalesce(sum(json_array_length(events)), 0) {_TO}"

# The commit that holds version `after + 1` is the last one that begins at or below it.
_FIRST_WANTED = "SELECT max(version) FROM commits WHERE stream_id = :stream AND version <= :after + 1"
_STREAM = SELECT_COMMITS + (
    f"WHERE stream_id = :stream AND last_version > :after AND version >= coalesce(({_FIRST_WANTED}), 0) "
    "ORDER BY version LIMIT :limit"
)

_FIND_RECEIPT = "SELECT commit_id, request_digest, stream_id, version, position FROM receipts WHERE commit_id = ?"
_KEEP_RECEIPT = "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, unixepoch()) ON CONFLICT DO NOTHING"
_EXPIRE_RECEIPTS = "DELETE FROM receipts WHERE kept_at < unixepoch() - ?"
_RECEIPT_SECONDS = RECEIPT_DAYS * 24 * 60 * 60


class SqliteEventStore:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """A version behind a gap is `VersionTaken` too: the log does not end where the caller believes. A full or
        broken disk is `Unsettled` at once, since waiting does not help."""
        rows = [row_of(commit) for commit in commits]
        try:
            writing = self._log.write(lambda connection: _append_group(connection, commits, rows), _is_stored(commits))
            writing.add_done_callback(partial(self._notify, commits))
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
        return (await self._log.read(lambda connection: _stored_commits(connection, [commit_id]))).get(commit_id)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.execute(_EXPIRE_RECEIPTS, (_RECEIPT_SECONDS,))
            connection.executemany(_KEEP_RECEIPT, [astuple(receipt) for receipt in receipts])

        await asyncio.shield(self._log.write(change))

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        row = await self._log.read(lambda connection: connection.execute(_FIND_RECEIPT, (commit_id,)).fetchone())
        if row is None:
            return None
        commit_id, digest, stream_id, version, position = row
        return Receipt(
            commit_id=commit_id,
            request_digest=digest,
            stream_id=PostId(stream_id),
            version=version,
            position=position,
        )

    def _notify(self, commits: Sequence[ProposedCommit], writing: asyncio.Future[list[AppendOutcome]]) -> None:
        if writing.cancelled() or writing.exception() is not None:
            return
        outcomes = zip(commits, writing.result(), strict=True)
        appended = [(each.position, commit.commit_id) for commit, each in outcomes if isinstance(each, Appended)]
        if appended:
            self._log.notify_appended(*appended[-1])


# The append, in the writer thread

_INSERT = """INSERT INTO commits (stream_id, version, last_version, commit_id, recorded_at, metadata, events, position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

_BY_COMMIT_ID = SELECT_COMMITS + "WHERE commit_id IN (SELECT value FROM json_each(?))"  # noqa: S608 constants only

_LAST_VERSIONS = """SELECT commits.stream_id, commits.last_version FROM json_each(?) AS wanted
    JOIN commits ON commits.position =
        (SELECT position FROM commits WHERE stream_id = wanted.value ORDER BY version DESC LIMIT 1)"""

Row = tuple[Any, ...]
"""A commit's columns, without its position."""


def _append_group(
    connection: sqlite3.Connection, commits: Sequence[ProposedCommit], rows: Sequence[Row]
) -> list[AppendOutcome]:
    group = _Group(
        _stored_commits(connection, [commit.commit_id for commit in commits]),
        _last_versions(connection, {commit.stream_id for commit in commits}),
        connection.execute("SELECT coalesce(max(position), 0) FROM commits").fetchone()[0],
    )
    outcomes = [group.decide(commit) for commit in commits]
    connection.executemany(
        _INSERT,
        [
            (*row, outcome.position)
            for row, outcome in zip(rows, outcomes, strict=True)
            if isinstance(outcome, Appended)
        ],
    )
    return outcomes


class _Group:
    """Decides the outcome of each commit from what the log holds and what the group itself adds to it."""

    def __init__(self, stored: dict[str, Commit], last_versions: dict[PostId, int], tip: int) -> None:
        self._stored = stored
        self._last_versions = last_versions
        self._tip = tip
        self._failed: set[PostId] = set()

    def decide(self, commit: ProposedCommit) -> AppendOutcome:
        if commit.stream_id in self._failed:
            return NotTried()
        outcome = self._outcome(commit)
        if not isinstance(outcome, Appended):
            self._failed.add(commit.stream_id)
        return outcome

    def _outcome(self, commit: ProposedCommit) -> AppendOutcome:
        stored = self._stored.get(commit.commit_id)
        if stored is not None:
            return AlreadyStored(stored)
        if commit.version != self._last_versions.get(commit.stream_id, 0) + 1:
            return VersionTaken()
        self._tip += 1
        self._last_versions[commit.stream_id] = commit.last_version
        self._stored[commit.commit_id] = Commit(self._tip, *commit)
        return Appended(self._tip)


def _is_stored(commits: Sequence[ProposedCommit]) -> Callable[[sqlite3.Connection, list[AppendOutcome]], bool]:
    """Whether the group's last appended commit, and so the whole transaction, is in the log at the position of its
    outcome."""

    def happened(connection: sqlite3.Connection, outcomes: list[AppendOutcome]) -> bool:
        appended = [
            (c.commit_id, o.position) for c, o in zip(commits, outcomes, strict=True) if isinstance(o, Appended)
        ]
        if not appended:
            return True
        commit_id, position = appended[-1]
        stored = _stored_commits(connection, [commit_id]).get(commit_id)
        return stored is not None and stored.position == position

    return happened


def _stored_commits(connection: sqlite3.Connection, commit_ids: Sequence[str]) -> dict[str, Commit]:
    rows = connection.execute(_BY_COMMIT_ID, (json.dumps(commit_ids),)).fetchall()
    return {commit.commit_id: commit for commit in commits_of(rows)}


def _last_versions(connection: sqlite3.Connection, stream_ids: set[PostId]) -> dict[PostId, int]:
    return dict(connection.execute(_LAST_VERSIONS, (json.dumps(list(stream_ids)),)).fetchall())


def row_of(commit: ProposedCommit) -> Row:
    return (
        commit.stream_id,
        commit.version,
        commit.last_version,
        commit.commit_id,
        time_to_text(commit.recorded_at),
        metadata_to_json(commit.metadata).decode(),
        events_to_json(commit.events).decode(),
    )


_LOAD_SNAPSHOT = "SELECT version, position, format, state FROM snapshots WHERE stream_id = ?"

_STORE_SNAPSHOT = """INSERT INTO snapshots (stream_id, version, position, format, state) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (stream_id) DO UPDATE SET
        version = excluded.version, position = excluded.position, format = excluded.format, state = excluded.state
    WHERE excluded.version >= snapshots.version"""


class SqliteSnapshots:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
        key = snapshot_key(stream_id, name)
        row = await self._log.read(lambda connection: connection.execute(_LOAD_SNAPSHOT, (key,)).fetchone())
        if row is None:
            return None
        version, position, form, state = row
        return Snapshot(stream_id=stream_id, name=name, version=version, position=position, format=form, state=state)

    async def store(self, snapshot: Snapshot) -> None:
        row = (snapshot.key, snapshot.version, snapshot.position, snapshot.format, snapshot.state)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(_STORE_SNAPSHOT, row)

        await asyncio.shield(self._log.write(change))
