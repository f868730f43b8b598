"""The staging file sorts what was read of the .NET system's collection."""

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.mongo.dotnet_import.staging import DotnetStaging, staging_folder
from application.envelopes import StoredEvent
from application.ports.history_source import DotnetEvent
from domain.ids import PostId

A, B = PostId("aaaaaaaa-0000-4000-8000-000000000000"), PostId("bbbbbbbb-0000-4000-8000-000000000000")
START = datetime(2023, 5, 6, 7, 8, 9, 123_000, UTC)


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[DotnetStaging]:
    staging = DotnetStaging(tmp_path / "events.sqlite")
    yield staging
    staging.close()


def event(post_id: PostId, version: int, minute: int, document: str | None = None) -> DotnetEvent:
    return DotnetEvent(
        document_id=document or f"{post_id[0]}{version}",
        post_id=post_id,
        version=version,
        recorded_at=START + timedelta(minutes=minute),
        event=StoredEvent("MessageUpdated", 1, {"message": f"日本 {version}"}),
    )


def ids(events: list[DotnetEvent]) -> list[str]:
    return [each.document_id for each in events]


def in_order(staging: DotnetStaging) -> list[str]:
    return ids(staging.in_order(0, staging.sort_in_order()))


def test_events_come_back_as_they_were(staging: DotnetStaging) -> None:
    events = [event(A, 1, 0), event(A, 10, 1), event(B, 2, 0)]
    unreadable = DotnetEvent(document_id="x", post_id=B, version=3, recorded_at=START, problem="it is unreadable")
    lost = DotnetEvent(document_id="y", post_id=B, version=0, recorded_at=None, problem="it is lost")
    staging.add([unreadable, lost, *reversed(events)])
    assert staging.sort_by_post() == 5
    assert staging.by_post(0, 5) == [*events[:2], lost, events[2], unreadable]
    assert staging.by_post(1, 4) == [events[1], lost, events[2]]


def test_of_one_post_and_version_the_older_comes_first(staging: DotnetStaging) -> None:
    staging.add([event(A, 1, 5, "late"), event(A, 1, 2, "b"), event(A, 1, 2, "a")])
    staging.sort_by_post()
    assert ids(staging.by_post(0, 9)) == ["a", "b", "late"]


def test_the_order_is_that_of_time_over_all_posts(staging: DotnetStaging) -> None:
    staging.add([event(A, 1, 0), event(A, 2, 3), event(B, 1, 1), event(B, 2, 2)])
    assert in_order(staging) == ["a1", "b1", "b2", "a2"]


def test_events_of_one_post_stay_in_the_order_of_versions_where_the_clock_ran_backwards(staging: DotnetStaging) -> None:
    staging.add([event(A, 1, 0), event(A, 2, 9), event(A, 3, 1), event(A, 4, 1), event(B, 1, 5), event(B, 2, 10)])
    assert in_order(staging) == ["a1", "b1", "a2", "a3", "a4", "b2"]


def test_at_one_time_those_stored_first_come_first(staging: DotnetStaging) -> None:
    staging.add([event(A, 1, 0, "64f3"), event(B, 1, 0, "64f1"), event(A, 2, 0, "64f0"), event(B, 2, 0, "64f2")])
    assert in_order(staging) == ["64f1", "64f2", "64f3", "64f0"]


def test_skipped_events_have_no_place(staging: DotnetStaging) -> None:
    staging.add([event(A, 1, 0), event(A, 2, 1), event(B, 1, 2), event(B, 2, 3), event(B, 2, 4, "twin")])
    staging.skip_post(A)
    staging.skip_event("twin")
    assert staging.remaining_events() == 2
    places = staging.sort_in_order()
    assert places == 2
    assert ids(staging.in_order(0, 1)) == ["b1"]
    staging.skip_post(B)
    staging.skip_post(B)
    assert staging.in_order(1, 2) == []
    assert staging.remaining_events() == 0
    assert staging.sort_by_post() == 5


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind(temporary: Path, name: str, age: float) -> Path:
    folder = temporary / name
    folder.mkdir()
    (folder / "events.sqlite").write_bytes(b"whatever")
    os.utime(folder, (time.time() - age, time.time() - age))
    return folder


def test_the_files_of_a_killed_import_are_removed_by_the_next_one(temporary: Path) -> None:
    left = left_behind(temporary, "postlog-import-abc", age=3_600)
    another = left_behind(temporary, "somebody-elses", age=3_600)
    with staging_folder() as folder:
        assert folder.is_dir()
        assert not left.exists()
    assert list(temporary.iterdir()) == [another]


def test_the_folder_of_a_running_import_is_not_touched(temporary: Path) -> None:
    with staging_folder() as first:
        os.utime(first, (0, 0))
        with staging_folder() as second:
            assert first.is_dir()
            assert second != first
    assert list(temporary.iterdir()) == []


def test_a_folder_created_a_moment_ago_is_not_touched(temporary: Path) -> None:
    young = left_behind(temporary, "postlog-import-abc", age=5)
    with staging_folder():
        assert young.is_dir()
