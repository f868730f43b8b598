"""Keeps what was read of the .NET system's collection on this machine's disk until the import ends: so the collection
is read once, whatever its size, and sorted without an index of its own.
"""

import fcntl
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.wire.commit_json import events_from_json, events_to_json
from adapters.wire.times import time_from_text, time_to_text
from application.ports.history_source import DotnetEvent
from domain.ids import PostId

_TABLES = """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        post_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        recorded_at TEXT,
        document_id TEXT NOT NULL,
        event BLOB,
        problem TEXT
    );
    CREATE TABLE left_out_posts (post_id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE left_out_events (document_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_COLUMNS = "post_id, version, recorded_at, document_id, event, problem"
_INSERT = f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants only)

_BY_POST = """CREATE TABLE by_post AS
    SELECT row_number() OVER (ORDER BY post_id, version, recorded_at, document_id) AS place, number FROM events"""

# A post's events never come after one of a later version, even where the clock ran backwards between them. Of events
# with the same time, the one stored first comes first: the driver's document ids grow.
_IN_ORDER = """CREATE TABLE in_order AS
    SELECT row_number() OVER (ORDER BY due_at, due_id, post_id, version) AS place, number FROM (
        SELECT number, post_id, version, max(recorded_at) OVER so_far AS due_at, max(document_id) OVER so_far AS due_id
        FROM events WHERE {kept}
        WINDOW so_far AS (PARTITION BY post_id ORDER BY version ROWS UNBOUNDED PRECEDING)
    )"""

_KEPT = """post_id NOT IN (SELECT post_id FROM left_out_posts)
    AND document_id NOT IN (SELECT document_id FROM left_out_events)"""

_PAGE = f"""SELECT place, {_COLUMNS} FROM {{order}} JOIN events USING (number)
    WHERE place > ? AND place <= ? AND {{kept}} ORDER BY place"""  # noqa: S608 (constants only)

_CACHE_KILOBYTES = 16_384

_PREFIX = "postlog-import-"
_YOUNG_SECONDS = 60
"""A folder may be so young that its import has not locked it yet."""

logger = logging.getLogger(__name__)


@contextmanager
def staging_folder() -> Iterator[Path]:
    """A new folder for temporary files (`TMPDIR`), locked while the block lasts and removed after it. Folders of killed
    imports, which are no longer locked, are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, _locked(Path(name)):
        yield Path(name)


def _remove_if_left(folder: Path) -> None:
    try:
        if time.time() - folder.stat().st_mtime < _YOUNG_SECONDS:
            return
        with _locked(folder):
            shutil.rmtree(folder)
    except OSError:
        return  # another import's, which is running, or another user's
    logger.info("removed %s, left behind by a killed import", folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock ends with this process, even when that is killed. Raises `OSError` when another one has it."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)


class DotnetStaging:
    """In a file of its own, which no other process may have open. Used by one thread at a time, except `interrupt`.
    Raises SQLite's errors."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "temp_store = FILE",
            f"cache_size = -{_CACHE_KILOBYTES}",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_TABLES)

    def interrupt(self) -> None:
        """End a long statement of another thread, with an error there."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def add(self, events: Iterable[DotnetEvent]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(_INSERT, map(_row, events))
        self._connection.execute("COMMIT")

    def sort_by_post(self) -> int:
        """The number of places."""
        return self._sort("by_post", _BY_POST)

    def sort_in_order(self) -> int:
        """Events left out before this call get no place."""
        return self._sort("in_order", _IN_ORDER.format(kept=_KEPT))

    def by_post(self, after: int, until: int) -> list[DotnetEvent]:
        return self._page(_PAGE.format(order="by_post", kept="true"), after, until)

    def in_order(self, after: int, until: int) -> list[DotnetEvent]:
        return self._page(_PAGE.format(order="in_order", kept=_KEPT), after, until)

    def skip_post(self, post_id: PostId) -> None:
        self._connection.execute("INSERT OR IGNORE INTO left_out_posts VALUES (?)", (post_id,))

    def skip_event(self, document_id: str) -> None:
        self._connection.execute("INSERT OR IGNORE INTO left_out_events VALUES (?)", (document_id,))

    def remaining_events(self) -> int:
        found: int = self._connection.execute(f"SELECT count(*) FROM events WHERE {_KEPT}").fetchone()[0]  # noqa: S608
        return found

    def _sort(self, order: str, statement: str) -> int:
        self._connection.execute(f"DROP TABLE IF EXISTS {order}")
        self._connection.execute(statement)
        self._connection.execute(f"CREATE UNIQUE INDEX {order}_place ON {order} (place)")
        found: int = self._connection.execute(f"SELECT count(*) FROM {order}").fetchone()[0]  # noqa: S608
        return found

    def _page(self, statement: str, after: int, until: int) -> list[DotnetEvent]:
        return [_event(row) for row in self._connection.execute(statement, (after, until))]


def _row(event: DotnetEvent) -> Sequence[Any]:
    stored = events_to_json([event.event]) if event.event is not None else None
    recorded_at = time_to_text(event.recorded_at) if event.recorded_at is not None else None
    return (event.post_id, event.version, recorded_at, event.document_id, stored, event.problem)


def _event(row: Sequence[Any]) -> DotnetEvent:
    _, post_id, version, recorded_at, document_id, stored, problem = row
    return DotnetEvent(
        document_id=document_id,
        post_id=PostId(post_id),
        version=version,
        recorded_at=time_from_text(recorded_at) if recorded_at is not None else None,
        event=events_from_json(stored)[0] if stored is not None else None,
        problem=problem,
    )
