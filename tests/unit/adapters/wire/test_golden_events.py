"""Every shape that was ever stored still reads as it did: one file in `tests/golden` a name and schema version.

The files are history: a new shape gets a file of its own, and an old file is never changed but for `readAs`.
"""

from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, StoredEvent
from domain.event_types import BY_NAME_AND_VERSION
from domain.ids import PostId
from domain.upcasters import CHAIN
from tools.catalogue.stored_shapes import GoldenEvent, StoredShapes, golden_events, shape_name

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "tests/golden"
GOLDEN = golden_events(FOLDER)
SHAPES = StoredShapes.read(ROOT)

each_golden_event = pytest.mark.parametrize("golden", GOLDEN.values(), ids=GOLDEN.keys())


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
    assert GOLDEN.keys() == {shape_name(*key) for key in shapes}
    assert len(GOLDEN) >= 12


@each_golden_event
def test_a_stored_shape_reads_as_its_file_says(golden: GoldenEvent) -> None:
    codec = MsgspecEventCodec()
    commit = commit_of(*golden.stored)

    assert codec.encode(codec.decode(commit)) == golden.read_as
    assert [(shown.type, shown.schema_version, shown.data) for shown in codec.describe(commit)] == [
        (event.type, event.schema_version, event.data) for event in golden.read_as
    ]


@each_golden_event
def test_a_file_is_named_for_the_shape_it_holds(golden: GoldenEvent) -> None:
    assert golden.shape in {shape_name(event.type, event.schema_version) for event in golden.stored}


@each_golden_event
def test_what_a_file_holds_has_the_committed_schema(golden: GoldenEvent) -> None:
    for event in (*golden.stored, *golden.read_as):
        schema = SHAPES.schemas[event.type, event.schema_version]
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(event.data)


def test_a_shape_that_is_read_with_its_neighbours_has_them_in_its_file(tmp_path: Path) -> None:
    one = '{"type": "A", "schemaVersion": 1, "data": {}}'
    (tmp_path / "A.v1.json").write_text(f'{{"stored": [{one}, {one}], "readAs": []}}')
    assert golden_events(tmp_path) == {
        "A.v1": GoldenEvent("A.v1", (StoredEvent("A", 1, {}), StoredEvent("A", 1, {})), ())
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stored": {"type": "A"}, "readAs": []}', '{"stored": 1}'])
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "A.v1.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"A\.v1\.json is no golden file"):
        golden_events(tmp_path)
