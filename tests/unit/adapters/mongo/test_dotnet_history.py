"""The staging of the .NET system's history on the disk; no server is needed."""

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


async def test_closing_ends_running_work_before_its_file_is_closed(temporary: Path) -> None:
    """SQLite crashes the process when a file is closed while a thread uses it."""
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


async def test_a_full_folder_is_named_and_leaves_nothing(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(CannotOpen, match=r"disk is full\. Free space there, or name another folder in TMPDIR"):
        async with MongoDotnetHistory(NOBODY, "socialMedia", "eventStore"):
            pass
    assert list(temporary.iterdir()) == []
