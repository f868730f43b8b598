"""Every stored event can be read, and reads the same whether it is upcast before it is stored or when it is read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import bson
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.commit_bson import CODEC_OPTIONS, at_position, commit_from_document, encode_without_position
from adapters.wire.commit_json import events_from_json, events_to_json
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, ProposedCommit, StoredEvent
from application.errors import EventNotApplicable
from application.projections.post import WholePost
from application.rows import CommentRow, PostRow
from domain.event_types import BY_NAME_AND_VERSION
from domain.post import PostState, fold
from domain.upcasters import CHAIN
from given import POST
from old_shapes import CHAIN as OTHER_CHAIN
from old_shapes import CREATED, CREATED_AND_LIKED, DRAFTED, PUBLISHED, event
from stored_data import SHAPES, stored_events

CODEC = MsgspecEventCodec()
OTHER_CODEC = MsgspecEventCodec(OTHER_CHAIN)
VALIDATORS = {
    key: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for key, schema in SHAPES.schemas.items()
}


def commit_of(events: Sequence[StoredEvent]) -> Commit:
    return Commit(
        position=1,
        stream_id=POST,
        version=1,
        commit_id="019b0000-0000-7000-8000-0000000000ff",
        recorded_at=datetime(2026, 11, 23, tzinfo=UTC),
        metadata={},
        events=tuple(events),
    )


@pytest.mark.parametrize("key", SHAPES.schemas, ids=lambda key: f"{key[0]}.v{key[1]}")
@given(data=st.data())
def test_every_event_of_a_stored_shape_can_be_read(key: tuple[str, int], data: st.DataObject) -> None:
    stored = data.draw(stored_events([key]))
    VALIDATORS[key].validate(stored.data)

    read = CODEC.encode(CODEC.decode(commit_of([stored])))

    assert len(read) == 1
    assert (read[0].type, read[0].schema_version) in BY_NAME_AND_VERSION
    VALIDATORS[read[0].type, read[0].schema_version].validate(read[0].data)


events = stored_events(
    sorted(SHAPES.schemas),
    commentId=st.sampled_from([f"019b0000-0000-7000-8000-0000000000c{n}" for n in range(3)]),
    username=st.sampled_from(["Ann", "ann", "Bob", "İpek"]),
)
"""Of few people and comments, so that events affect each other."""

one_event = events.map(lambda each: [each])
other_events = one_event | st.sampled_from(
    [[CREATED_AND_LIKED], [DRAFTED, PUBLISHED], [event("PostPraised", 1)], [event("PostViewed", 1)]]
)


def histories(
    beginnings: Sequence[Sequence[StoredEvent]], parts: st.SearchStrategy[list[StoredEvent]]
) -> st.SearchStrategy[list[list[StoredEvent]]]:
    commits = st.lists(parts, min_size=1, max_size=3).map(lambda drawn: [each for part in drawn for each in part])
    return st.tuples(st.sampled_from(beginnings), st.lists(commits, max_size=10)).map(
        lambda drawn: [drawn[0], *drawn[1]]
    )


def through_json(events: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
    return events_from_json(events_to_json(events))


def through_bson(events: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
    commit = commit_of(events)
    proposed = ProposedCommit(
        stream_id=commit.stream_id,
        version=1,
        commit_id=commit.commit_id,
        recorded_at=commit.recorded_at,
        metadata={},
        events=commit.events,
    )
    raw = at_position(encode_without_position(proposed), 1).raw
    return commit_from_document(bson.decode(raw, CODEC_OPTIONS)).events


Rows = tuple[PostRow | None, dict[str, CommentRow]]


def rows(codec: MsgspecEventCodec, history: Sequence[Sequence[StoredEvent]]) -> tuple[Rows, list[int]]:
    """What readers are shown, and which commits make no sense. Versions are not looked at: a split stores more events
    than were stored before it."""
    whole, senseless = WholePost(POST), []
    for number, events in enumerate(history, 1):
        try:
            whole.apply(codec.decode(commit_of(events)), number)
        except EventNotApplicable:
            senseless.append(number)
    return (whole.post, dict(whole.comments)), senseless


def state(codec: MsgspecEventCodec, history: Sequence[Sequence[StoredEvent]]) -> PostState:
    """The state that commands are decided on."""
    return fold(event for events in history for event in codec.decode(commit_of(events)))


@pytest.mark.parametrize("store", [through_json, through_bson])
@pytest.mark.parametrize(
    ("codec", "drawn"),
    [
        (CODEC, histories([[CREATED]], one_event)),
        (OTHER_CODEC, histories([[CREATED], [CREATED_AND_LIKED], [DRAFTED, PUBLISHED]], other_events)),
    ],
    ids=["this-domain", "split-merge-drop"],
)
@given(data=st.data())
def test_upcasting_before_or_after_storing_gives_the_same_fold(store, codec, drawn, data: st.DataObject) -> None:
    history = data.draw(drawn)
    before = [codec.encode(codec.decode(commit_of(events))) for events in history]
    stored_old = [store(events) for events in history]
    stored_new = [store(events) for events in before]

    assert state(codec, stored_old) == state(codec, stored_new)
    assert rows(codec, stored_old) == rows(codec, stored_new)
    assert rows(codec, stored_new) == rows(CODEC, stored_new), "what was brought up to date needs no chain"


def test_every_older_version_leads_to_the_next_shape_of_its_event() -> None:
    """Schema versions have no gap: each has its schema, from 1 to the current one."""
    versions: dict[str, list[int]] = {}
    for name, version in sorted(SHAPES.schemas):
        versions.setdefault(name, []).append(version)
    for name, found in versions.items():
        assert found[0] == 1, name
        assert all(after == before + 1 for before, after in pairwise(found)), name
    assert {key for step in CHAIN.steps for key in step.consumes} <= SHAPES.schemas.keys()
