"""The commit log on SQLite: the table `commits` in the order of positions, and the probe of its file."""

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.log_schema import SETTING
from adapters.wire.commit_json import JsonEvent, MalformedCommit, events_from_json, metadata_from_json
from adapters.wire.times import time_from_text
from application.envelopes import Commit, CommitEvents
from application.errors import Unavailable
from application.log_order import require_dense, require_position
from application.ports.commit_log import CommitVisitor, Shard
from application.ports.provisioning import ProbeResult

SELECT_COMMITS = """SELECT position, stream_id, version, commit_id, recorded_at,
    CAST(metadata AS BLOB), CAST(events AS BLOB) FROM commits """
"""JSON comes as UTF-8 bytes: the decoders read bytes, and a page's size is counted in them."""

SELECT_EVENTS = "SELECT position, stream_id, version, commit_id, CAST(events AS BLOB) FROM commits "

_PAGE_BYTES = 16_000_000

Row = tuple[Any, ...]


def commits_of(rows: Iterable[Row]) -> list[Commit]:
    """From rows of `SELECT_COMMITS`. Raises `MalformedCommit`."""
    return [_commit_of(row) for row in rows]


def commit_events_of(rows: Iterable[Row]) -> list[CommitEvents]:
    """From rows of `SELECT_EVENTS`. Raises `MalformedCommit`."""
    return [
        CommitEvents(position, stream_id, version, commit_id, _events_of(position, events))
        for position, stream_id, version, commit_id, events in rows
    ]


def page_of(connection: sqlite3.Connection, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
    """The first rows of `statement`, up to about 16 MB of events, which are the last column; at least one if there is
    any."""
    rows: list[Row] = []
    room = _PAGE_BYTES
    with closing(connection.execute(statement, parameters)) as cursor:
        for row in cursor:
            size = len(row[-1])
            if rows and size > room:
                break
            rows.append(row)
            room -= size
    return rows


def visit_rows(rows: Iterable[Row], after: int, visitor: CommitVisitor) -> None:
    """Rows of `SELECT_COMMITS`, which follow each other from `after` on. Raises `MalformedCommit`, `LogDamaged`."""
    for expected, row in enumerate(rows, after + 1):
        position, stream_id, version, _, recorded_at, metadata, events = row
        require_position(position, expected)
        try:
            time_from_text(recorded_at)
            metadata_from_json(metadata)
        except ValueError as error:
            raise _damaged(position, error) from error
        if not visitor.visit_text(position, stream_id, version, events):
            visitor.visit(_commit_of(row))


def _commit_of(row: Row) -> Commit:
    position, stream_id, version, commit_id, recorded_at, metadata, events = row
    try:
        return Commit(
            position=position,
            stream_id=stream_id,
            version=version,
            commit_id=commit_id,
            recorded_at=time_from_text(recorded_at),
            metadata=metadata_from_json(metadata),
            events=events_from_json(events),
        )
    except ValueError as error:
        raise _damaged(position, error) from error


def _events_of(position: int, events: bytes) -> tuple[JsonEvent, ...]:
    try:
        return events_from_json(events)
    except MalformedCommit as error:
        raise _damaged(position, error) from error


def _damaged(position: int, error: ValueError) -> MalformedCommit:
    return MalformedCommit(f"the commit at position {position} is damaged: {error}")


_PAGE = "WHERE position > :after ORDER BY position LIMIT :limit"
_READ = SELECT_COMMITS + _PAGE
_READ_EVENTS = SELECT_EVENTS + _PAGE
_VISIT = SELECT_COMMITS + "WHERE position > ? AND position <= ? ORDER BY position"
_READ_SHARE = SELECT_EVENTS + (
    "WHERE position > :after AND position <= :until AND instr(:digits, substr(stream_id, -1)) ORDER BY position"
)

_COUNT = "SELECT count(*) FROM commits WHERE position > ? AND position <= ?"

_POLL_SECONDS = 0.1
"""How often a wait checks for another process's append: half of what the port allows."""


class SqliteCommitLog:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def log_id(self) -> str:
        log_id: str = await self._log.read(lambda connection: connection.execute("SELECT id FROM log").fetchone()[0])
        return log_id

    async def tip(self) -> int:
        tip: int = await self._log.read(
            lambda connection: connection.execute("SELECT coalesce(max(position), 0) FROM commits").fetchone()[0]
        )
        return tip

    async def proven_tip(self) -> int:
        return await self.tip()

    async def count(self, after: int, until: int) -> int:
        count: int = await self._log.read(lambda connection: connection.execute(_COUNT, (after, until)).fetchone()[0])
        return count

    async def rough_count(self) -> int | None:
        return None

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        wanted = {"after": after, "limit": limit}
        commits = await self._log.read(lambda connection: commits_of(page_of(connection, _READ, wanted)))
        require_dense(commits, after)
        return commits

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        wanted = {"after": after, "limit": limit}
        commits = await self._log.read(lambda connection: commit_events_of(page_of(connection, _READ_EVENTS, wanted)))
        require_dense(commits, after)
        return commits

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        wanted = {"after": after, "until": until, "digits": shard.last_digits}
        return await self._log.read(lambda connection: commit_events_of(page_of(connection, _READ_SHARE, wanted)))

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        def visit(connection: sqlite3.Connection) -> None:
            with closing(connection.execute(_VISIT, (after, until))) as rows:
                visit_rows(rows, after, visitor)

        await self._log.read(visit)

    async def wait(self, after: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if await self._log.appended_here(after, min(left, _POLL_SECONDS)) or left <= 0:
                return
            try:
                if await self.tip() > after:
                    return
            except Unavailable:
                return  # the caller's next read raises what is wrong


_PROBE_SECONDS = 2.0


class SqliteLogProbe:
    name = "event_store"

    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._log.prove()
                tip = await SqliteCommitLog(self._log).tip()
        except Unavailable as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        except TimeoutError:
            detail = f"The event log {self._log.path} ({SETTING}) did not answer within {_PROBE_SECONDS:g} seconds."
            return ProbeResult(self.name, ok=False, detail=f"{detail} Is its disk busy or gone?")
        return ProbeResult(self.name, ok=True, detail=f"The event log {self._log.path} is at position {tip:,}.")
