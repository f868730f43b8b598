"""What prevents the import of a history, and the wait for the rows before the audit that ends it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from application.errors import LogDamaged, ReadDbNotReady
from application.ports.post_views import Stamp
from contracts.log_handle import proposed
from domain.ids import PostId
from entrypoints.composition import imports
from entrypoints.composition.imports import DotnetSource, open_history_import
from entrypoints.settings.loading import load_settings


class Views:
    """Rows that make progress with every read."""

    def __init__(self, *positions: int) -> None:
        self._positions: Iterator[int] = iter(positions)
        self._last = positions[-1]

    async def stamp(self) -> Stamp:
        return Stamp(generation=1, ready=True, position=next(self._positions, self._last), parked=0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(imports, "_PATIENCE_SECONDS", 0.1)


async def test_waiting_ends_at_the_position_and_reports_progress() -> None:
    told: list[int] = []
    await imports._caught_up(10, Views(0, 4, 4, 9, 12), told.append)
    assert told == [0, 4, 9, 10]


async def test_nothing_is_imported_after_a_gap_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.sqlite"
    async with SqliteLog(log) as opened:
        posts = [PostId(f"019b0000-0000-7000-8000-00000000000{number}") for number in range(4)]
        await SqliteEventStore(opened).append([proposed(post) for post in posts])
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute("DROP TRIGGER commits_are_never_deleted")
        connection.execute("DELETE FROM commits WHERE position = 2")
    loaded = load_settings(environ={"POSTLOG_DATA": str(tmp_path)}, options=[])
    source = DotnetSource("mongodb://127.0.0.1:1/", "none", "none")
    with pytest.raises(LogDamaged, match="The log has no commit at position 2, but one at 3"):
        async with open_history_import(loaded, source, take_first=False):
            pytest.fail("It began.")


async def test_waiting_ends_when_the_rows_make_no_progress() -> None:
    with pytest.raises(ReadDbNotReady) as caught:
        await imports._caught_up(10, Views(3), lambda _: None)
    assert caught.value.message == "The rows are at position 3 of 10 and make no progress; is a projector running?"
