"""Every shape that was ever stored still reads as it did: one file in `tests/golden` a name and schema version.

The files are history: a new shape gets a file of its own, and an old file is never changed but for `readAs`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, StoredEvent
from domain.event_types import BY_NAME_AND_VERSION
from domain.ids import PostId
from domain.upcasters import CHAIN

FOLDER = Path(__file__).parents[3] / "golden"
FILES = sorted(FOLDER.glob("*.json"))


def stored_event(plain: dict[str, Any]) -> StoredEvent:
    return StoredEvent(plain["type"], plain["schemaVersion"], plain["data"])


def commit_of(*events: StoredEvent) -> Commit:
    return Commit(
        position=1,
        stream_id=PostId("019b0000-0000-7000-8000-00000000000a"),
        version=1,
        commit_id="019b0000-0000-7000-8000-0000000000ff",
        recorded_at=datetime(2026, 11, 23, tzinfo=UTC),
        metadata={},
        events=events,
    )


def test_every_known_shape_has_a_file() -> None:
    shapes = {*BY_NAME_AND_VERSION, *(key for step in CHAIN.steps for key in step.consumes)}
    assert {path.name for path in FILES} == {f"{name}.v{version}.json" for name, version in shapes}
    assert len(FILES) == 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stored_shape_reads_as_its_file_says(path: Path) -> None:
    golden = json.loads(path.read_text())
    codec = MsgspecEventCodec()
    commit = commit_of(stored_event(golden["stored"]))
    read_as = tuple(stored_event(plain) for plain in golden["readAs"])

    assert codec.encode([decoded.event for decoded in codec.decode(commit)]) == read_as
    assert [(shown.type, shown.schema_version, shown.data) for shown in codec.describe(commit)] == [
        (event.type, event.schema_version, event.data) for event in read_as
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_for_the_shape_it_holds(path: Path) -> None:
    stored = json.loads(path.read_text())["stored"]
    assert path.stem == f"{stored['type']}.v{stored['schemaVersion']}"
