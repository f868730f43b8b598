"""Rows of the table `commits` as commits."""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from adapters.wire.commit_json import MalformedCommit, events_from_json, metadata_from_json
from adapters.wire.times import time_from_text
from application.envelopes import Commit, CommitEvents, StoredEvent

SELECT_COMMITS = """SELECT position, stream_id, version, commit_id, recorded_at,
    CAST(metadata AS BLOB), CAST(events AS BLOB) FROM commits """
"""JSON comes as UTF-8 bytes: that is what it is read from, and what its size is told in."""

SELECT_EVENTS = "SELECT position, stream_id, version, commit_id, CAST(events AS BLOB) FROM commits "

_PAGE_BYTES = 16_000_000

Row = tuple[Any, ...]


def commits_of(rows: Iterable[Row]) -> list[Commit]:
    """Of rows of `SELECT_COMMITS`. Raises `MalformedCommit`."""
    return [_commit_of(row) for row in rows]


def commit_events_of(rows: Iterable[Row]) -> list[CommitEvents]:
    """Of rows of `SELECT_EVENTS`. Raises `MalformedCommit`."""
    return [
        CommitEvents(position, stream_id, version, commit_id, _events_of(position, events))
        for position, stream_id, version, commit_id, events in rows
    ]


def page_of(connection: sqlite3.Connection, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
    """The first rows that `statement` yields, about 16 MB of events, which are the last column; at least one if there
    is any."""
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


def _events_of(position: int, events: bytes) -> tuple[StoredEvent, ...]:
    try:
        return events_from_json(events)
    except MalformedCommit as error:
        raise _damaged(position, error) from error


def _damaged(position: int, error: ValueError) -> MalformedCommit:
    return MalformedCommit(f"the commit at position {position} is damaged: {error}")
