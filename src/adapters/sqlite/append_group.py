"""A group write on SQLite: one transaction, decided on what it finds once it holds the write lock."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from adapters.sqlite.commit_rows import SELECT_COMMITS, commits_of
from adapters.wire.commit_json import events_to_json, metadata_to_json
from adapters.wire.times import time_to_text
from application.envelopes import Commit, ProposedCommit
from application.ports.event_store import AlreadyStored, Appended, AppendOutcome, NotTried, VersionTaken
from domain.ids import PostId

_INSERT = """INSERT INTO commits (stream_id, version, last_version, commit_id, recorded_at, metadata, events, position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

_BY_COMMIT_ID = SELECT_COMMITS + "WHERE commit_id IN (SELECT value FROM json_each(?))"  # noqa: S608 constants only

_LAST_VERSIONS = """SELECT commits.stream_id, commits.last_version FROM json_each(?) AS wanted
    JOIN commits ON commits.position =
        (SELECT position FROM commits WHERE stream_id = wanted.value ORDER BY version DESC LIMIT 1)"""

Row = tuple[Any, ...]
"""What a commit becomes, but for its position."""


class _Group:
    """Decides commit by commit on what the log holds and on what the group itself adds to it."""

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
        self._stored[commit.commit_id] = _at_position(commit, self._tip)
        return Appended(self._tip)


def append_group(
    connection: sqlite3.Connection, commits: Sequence[ProposedCommit], rows: Sequence[Row]
) -> list[AppendOutcome]:
    group = _Group(
        stored_commits(connection, [commit.commit_id for commit in commits]),
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


def is_there(commits: Sequence[ProposedCommit]) -> Callable[[sqlite3.Connection, list[AppendOutcome]], bool]:
    """Whether the group's last appended commit, and so the whole transaction, stands where its outcome says."""

    def happened(connection: sqlite3.Connection, outcomes: list[AppendOutcome]) -> bool:
        appended = [
            (c.commit_id, o.position) for c, o in zip(commits, outcomes, strict=True) if isinstance(o, Appended)
        ]
        if not appended:
            return True
        commit_id, position = appended[-1]
        stored = stored_commits(connection, [commit_id]).get(commit_id)
        return stored is not None and stored.position == position

    return happened


def stored_commits(connection: sqlite3.Connection, commit_ids: Sequence[str]) -> dict[str, Commit]:
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


def _at_position(commit: ProposedCommit, position: int) -> Commit:
    return Commit(
        position=position,
        stream_id=commit.stream_id,
        version=commit.version,
        commit_id=commit.commit_id,
        recorded_at=commit.recorded_at,
        metadata=commit.metadata,
        events=commit.events,
    )
