"""Checks that the current code still reads every shape that was ever stored, and that the files about old shapes are
unchanged."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit
from domain.errors import EventNotReadable
from domain.event_types import EventType
from domain.ids import PostId
from domain.upcasting import EventKey, UpcasterChain
from tools.catalogue.stored_shapes import (
    HISTORY,
    SCHEMAS,
    GoldenEvent,
    StoredShapes,
    golden_path,
    schema_path,
    shape_name,
)


def broken_history(shapes: StoredShapes, event_types: Sequence[EventType], chain: UpcasterChain) -> Iterator[str]:
    """A message for each problem, with what to do."""
    current = [(event_type.name, event_type.schema_version) for event_type in event_types]
    codec = MsgspecEventCodec(chain, event_types)
    old = {key for step in chain.steps for key in step.consumes}
    for key in sorted(shapes.schemas):
        if key not in current and key not in old:
            yield _unreadable(key, current)
    for key in sorted(key for key in old - shapes.schemas.keys() if shape_name(*key) not in shapes.history):
        yield (
            f"{schema_path(key)} is missing. An upcaster reads this shape, but no class has it, so write its "
            "schema by hand, after those of other old versions."
        )
    gone = shapes.history.keys() - {shape_name(*key) for key in shapes.schemas}
    for shape in sorted(gone):
        yield f"{SCHEMAS}/{shape}.json is gone, but logs hold events of this shape. Restore it: it is history."
    for key in sorted({*current, *old}):
        yield from _broken_golden(key, shapes, codec)
    for key in sorted(old & shapes.schemas.keys()):
        yield from _changed(key, shapes)


def _unreadable(key: EventKey, current: Sequence[EventKey]) -> str:
    name, version = key
    known = [f"schema version {v}" for n, v in current if n == name]
    target = f"lead to {known[0]}" if known else "map them to current events (rename_event, split_event, drop_event)"
    return (
        f"{name}, schema version {version}, can no longer be read: logs hold such events, and there is neither a "
        f"class in src/domain/event_types.py nor a step in src/domain/upcasters.py for them. Let a step {target}."
    )


def _broken_golden(key: EventKey, shapes: StoredShapes, codec: MsgspecEventCodec) -> Iterator[str]:
    golden = shapes.golden.get(shape_name(*key))
    if golden is None and shape_name(*key) in shapes.history:
        yield f"{golden_path(key)} is gone, but logs hold events of this shape. Restore it: it is history."
    elif golden is None:
        yield f"{golden_path(key)} is missing: write an example of this event, and what it reads as."
    elif key not in {(event.type, event.schema_version) for event in golden.stored}:
        yield f"{golden_path(key)} contains another event than its name says."
    else:
        yield from _read_differently(golden, golden_path(key), codec)


def _read_differently(golden: GoldenEvent, path: str, codec: MsgspecEventCodec) -> Iterator[str]:
    try:
        read = codec.encode(codec.decode(_commit(golden)))
    except EventNotReadable as error:
        yield f"What {path} contains can no longer be read: {error.message} Fix the step that leads from it."
    else:
        if read != golden.read_as:
            yield f"What {path} contains does not read as its `readAs` says. Fix the upcaster, or `readAs`."


def _commit(golden: GoldenEvent) -> Commit:
    return Commit(
        position=1,
        stream_id=PostId("00000000-0000-0000-0000-000000000000"),
        version=1,
        commit_id="",
        recorded_at=datetime.fromtimestamp(0, UTC),
        metadata={},
        events=golden.stored,
    )


def _changed(key: EventKey, shapes: StoredShapes) -> Iterator[str]:
    pinned, now = shapes.history.get(shape_name(*key)), shapes.digests(key)
    if pinned is None or now is None:
        return
    paths = {"schema": schema_path(key), "golden": golden_path(key)}
    for what, path in paths.items():
        if pinned.get(what) != now[what]:
            yield (
                f"{path} was changed, but logs hold events of this old version as they are: the file is history. "
                f"Revert the change (git checkout {path}); {HISTORY} has the digest of the original."
            )
