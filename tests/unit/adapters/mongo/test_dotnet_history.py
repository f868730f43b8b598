"""The .NET system's history and what is kept of it on the disk; no server is needed for that."""

import asyncio
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from adapters.mongo.dotnet_import.history import MongoDotnetHistory
from application.errors import CannotOpen
from contracts.waiting import eventually

NOBODY = "mongodb://127.0.0.1:1/"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def test_what_is_under_way_when_it_closes_is_ended_before_its_file_is_closed(temporary: Path) -> None:
    """Closed under the thread that works with it, SQLite would take the process along."""
    begun, closing, ended = threading.Event(), threading.Event(), []

    async with MongoDotnetHistory(NOBODY, "socialMedia", "eventStore") as history:
        close = history._opened.staging.close

        def noted_close() -> None:
            closing.set()
            close()

        history._opened.staging.close = noted_close  # type: ignore[method-assign]

        def sort_for_ever() -> None:
            begun.set()
            try:
                history._opened.staging._connection.execute(ENDLESS).fetchone()
            except sqlite3.Error as error:
                ended.append(str(error))
            ended.append("closed" if closing.wait(0.2) else "still open")

        sorting = asyncio.create_task(history._stage(sort_for_ever))

        async def is_under_way() -> bool:
            return begun.is_set()

        await eventually(is_under_way)
        sorting.cancel()
    assert ended == ["interrupted", "still open"]
    assert closing.is_set()
    assert list(temporary.iterdir()) == []


async def test_a_folder_that_takes_nothing_is_named_and_nothing_is_left_of_it(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(CannotOpen, match=r"disk is full\. Free space there, or name another folder in TMPDIR"):
        async with MongoDotnetHistory(NOBODY, "socialMedia", "eventStore"):
            pass
    assert list(temporary.iterdir()) == []
