"""Stored form <-> domain events."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.commit_json import MalformedCommit, events_from_json, events_to_json
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, DescribedEvent, StoredEvent
from application.errors import CommitTooLarge
from domain.errors import EventNotReadable
from domain.events import (
    CommentAdded,
    CommentRemoved,
    CommentUpdated,
    MessageUpdated,
    PostCreated,
    PostEvent,
    PostLiked,
    PostRemoved,
    PostUnliked,
)
from domain.ids import CommentId, PostId
from domain.upcasting import Part, PlainEvent, Step, UpcasterChain, drop_event, merge_events, split_event

POST = PostId("019b0000-0000-7000-8000-00000000000a")
COMMENT = CommentId("019b0000-0000-7000-8000-0000000000c1")
TIME = datetime(2026, 11, 23, 15, 46, 58, 123_000, tzinfo=UTC)
TIME_TEXT = "2026-11-23T15:46:58.123Z"

CODEC = MsgspecEventCodec()


def commit_of(*events: StoredEvent, version: int = 1) -> Commit:
    return Commit(
        position=9,
        stream_id=POST,
        version=version,
        commit_id="019b0000-0000-7000-8000-0000000000ff",
        recorded_at=TIME,
        metadata={},
        events=events,
    )


def refusal_of(*events: StoredEvent, version: int = 1, codec: MsgspecEventCodec = CODEC) -> str:
    """The message of the decoding error."""
    with pytest.raises(EventNotReadable) as caught:
        codec.decode(commit_of(*events, version=version))
    return caught.value.message


EVENTS_AND_DATA: list[tuple[PostEvent, str, int, dict[str, Any]]] = [
    (
        PostCreated(author="Ann", message="Hi 👋", date_posted=TIME),
        "PostCreated",
        1,
        {"author": "Ann", "message": "Hi 👋", "datePosted": TIME_TEXT},
    ),
    (
        MessageUpdated(message="Hi", username="Ann", edited_at=TIME),
        "MessageUpdated",
        2,
        {"message": "Hi", "username": "Ann", "editedAt": TIME_TEXT},
    ),
    (
        MessageUpdated(message="Hi", username=None, edited_at=None),
        "MessageUpdated",
        2,
        {"message": "Hi", "username": None, "editedAt": None},
    ),
    (PostLiked(username="Bob"), "PostLiked", 2, {"username": "Bob"}),
    (PostLiked(username=None), "PostLiked", 2, {"username": None}),
    (PostUnliked(username="Bob"), "PostUnliked", 1, {"username": "Bob"}),
    (
        CommentAdded(comment_id=COMMENT, comment="Yes", username="Bob", comment_date=TIME),
        "CommentAdded",
        1,
        {"commentId": COMMENT, "comment": "Yes", "username": "Bob", "commentDate": TIME_TEXT},
    ),
    (
        CommentUpdated(comment_id=COMMENT, comment="No", username="Bob", edit_date=TIME),
        "CommentUpdated",
        1,
        {"commentId": COMMENT, "comment": "No", "username": "Bob", "editDate": TIME_TEXT},
    ),
    (
        CommentRemoved(comment_id=COMMENT, username="Bob"),
        "CommentRemoved",
        2,
        {"commentId": COMMENT, "username": "Bob"},
    ),
    (PostRemoved(username="Ann"), "PostRemoved", 2, {"username": "Ann"}),
]


# Encoding


@pytest.mark.parametrize(("event", "name", "schema_version", "data"), EVENTS_AND_DATA)
def test_an_event_and_its_stored_form(event: PostEvent, name: str, schema_version: int, data: dict[str, Any]) -> None:
    stored = StoredEvent(name, schema_version, data)
    assert CODEC.encode([event]) == (stored,)
    assert list(CODEC.encode([event])[0].data) == list(data)
    assert CODEC.decode(commit_of(stored)) == [event]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 11, 23, 15, 46, 58, tzinfo=UTC), "2026-11-23T15:46:58.000Z"),
        (datetime(2026, 11, 23, 15, 46, 58, 123_999, tzinfo=UTC), "2026-11-23T15:46:58.123Z"),
        (datetime(2026, 11, 23, 16, 46, 58, tzinfo=timezone(timedelta(hours=1))), "2026-11-23T15:46:58.000Z"),
        (datetime(9, 1, 2, tzinfo=UTC), "0009-01-02T00:00:00.000Z"),
    ],
)
def test_times_are_stored_in_utc_with_milliseconds(time: datetime, text: str) -> None:
    [stored] = CODEC.encode([PostCreated(author="Ann", message="Hi", date_posted=time)])
    assert stored.data["datePosted"] == text


def test_a_time_without_an_offset_is_never_stored() -> None:
    with pytest.raises(ValueError, match="has no offset from UTC"):
        CODEC.encode([PostCreated(author="Ann", message="Hi", date_posted=TIME.replace(tzinfo=None))])


def test_a_commit_holds_at_most_a_thousand_events() -> None:
    assert len(CODEC.encode([PostLiked(username=None)] * 1_000)) == 1_000
    with pytest.raises(CommitTooLarge) as caught:
        CODEC.encode([PostLiked(username=None)] * 1_001)
    assert caught.value.message == "One command led to 1,001 events; a commit holds at most 1,000."


def test_a_commit_holds_at_most_a_megabyte_of_json() -> None:
    around = len(f'[{{"type":"PostCreated","schemaVersion":1,"data":{_created_json("")}}}]')
    CODEC.encode([PostCreated(author="Ann", message="é" * ((1_000_000 - around) // 2), date_posted=TIME)])
    with pytest.raises(CommitTooLarge, match="a commit holds at most 1,000,000"):
        CODEC.encode([PostCreated(author="Ann", message="é" * ((1_000_000 - around) // 2 + 1), date_posted=TIME)])


def _created_json(message: str) -> str:
    return f'{{"author":"Ann","message":"{message}","datePosted":"{TIME_TEXT}"}}'


# Decoding


def test_a_commit_may_mix_old_and_current_shapes() -> None:
    old, new = StoredEvent("PostLiked", 1, {}), StoredEvent("PostLiked", 2, {"username": "Bob"})
    assert CODEC.decode(commit_of(new, old, new)) == [
        PostLiked(username="Bob"),
        PostLiked(username=None),
        PostLiked(username="Bob"),
    ]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T15:46:58Z", datetime(2026, 11, 23, 15, 46, 58, tzinfo=UTC)),
        ("2026-11-23T15:46:58.123456Z", TIME),
        ("2026-11-23T15:46:58.1234567Z", TIME),
    ],
)
def test_times_with_other_digits_are_read_to_the_millisecond(text: str, time: datetime) -> None:
    stored = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hi", "datePosted": text})
    assert CODEC.decode(commit_of(stored)) == [PostCreated(author="Ann", message="Hi", date_posted=time)]


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (StoredEvent("PostShared", 1, {}), "this version of Postlog does not know the type; run one that does."),
        (StoredEvent("PostLiked", 3, {}), "this version of Postlog reads up to schema version 2; run a newer one."),
        (StoredEvent("PostLiked", 0, {}), "no upcaster leads from this schema version to 2."),
        (StoredEvent("PostLiked", 2, {"username": 7}), "field username: it is a number, neither text nor null."),
        (StoredEvent("PostUnliked", 1, {"username": None}), "field username: it is null, not text."),
        (StoredEvent("CommentRemoved", 2, {"commentId": COMMENT}), "field username is missing."),
        (StoredEvent("PostLiked", 2, {"username": None, "mood": "good"}), "field mood is unknown."),
        (StoredEvent("PostUnliked", 1, {"userName": ""}), "field username is missing; field userName is unknown."),
    ],
    ids=["type", "newer", "no-upcaster", "neither-nor", "wrong-type", "missing", "unknown", "renamed"],
)
def test_an_unreadable_event_is_named_with_the_reason(event: StoredEvent, what: str) -> None:
    liked = StoredEvent("PostLiked", 2, {"username": None})
    assert refusal_of(liked, event, liked, version=3) == (
        f"Event 4 of post {POST} ({event.type}, schema version {event.schema_version}): {what}"
    )


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        (None, "it is null, not text"),
        (True, "it is true or false, not text"),
        (1.5, "it is a number, not text"),
        ([], "it is a list, not text"),
        ({}, "it is an object, not text"),
    ],
)
def test_a_text_must_be_text(value: Any, clause: str) -> None:
    assert refusal_of(StoredEvent("PostUnliked", 1, {"username": value})).endswith(f"field username: {clause}.")


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-11-23", "2026-11-23T15:46:58", "2026-11-23 15:46:58Z", "2026-13-23T15:46:58.123Z"]
)
def test_a_time_must_be_a_time_in_utc(value: str) -> None:
    event = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hi", "datePosted": value})
    assert ": field datePosted: " in refusal_of(event)


@pytest.mark.parametrize("data", [None, [], ["username"], "username", 1])
def test_data_must_be_an_object(data: Any) -> None:
    assert "its data is" in refusal_of(StoredEvent("PostLiked", 2, data))


def test_the_error_names_no_text_of_users() -> None:
    data = {"author": "a secret", "message": "another", "datePosted": "2026-in-myTsecretZ"}
    message = refusal_of(StoredEvent("PostCreated", 1, data))
    assert "secret" not in message
    assert "another" not in message


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [(name, schema_version, data) for _, name, schema_version, data in EVENTS_AND_DATA]
        + [("PostLiked", 1, {}), ("PostRemoved", 1, {}), ("MessageUpdated", 1, {"message": "Hi"}), ("Unknown", 1, {})]
    ),
    st.data(),
)
def test_any_stored_event_is_read_or_refused_and_always_shown(
    shape: tuple[str, int, dict[str, Any]], draw: st.DataObject
) -> None:
    name, schema_version, data = shape
    field = draw.draw(st.sampled_from([*data, "other"]))
    commit = commit_of(StoredEvent(name, schema_version, {**data, field: draw.draw(any_json)}))
    try:
        decoded = CODEC.decode(commit)
    except EventNotReadable:
        assert CODEC.describe(commit) == [as_it_was_stored(commit, 1)]
    else:
        assert len(decoded) == 1
        assert CODEC.decode(commit_of(*CODEC.encode(decoded))) == decoded


# Upcasters that split, merge and drop


def created_data(author: str, message: str) -> dict[str, Any]:
    return {"author": author, "message": message, "datePosted": TIME_TEXT}


CHAIN = UpcasterChain(
    [
        split_event(
            ("PostCreatedAndLiked", 1),
            Part(("PostCreated", 1), lambda data: created_data(data["author"], data["message"])),
            Part(("PostLiked", 2), lambda data: {"username": data["author"]}),
        ),
        merge_events(
            ("PostDrafted", 1),
            ("PostPublished", 1),
            ("PostCreated", 1),
            lambda drafted, published: created_data(drafted["author"], published["message"]),
        ),
        drop_event(("PostViewed", 1)),
    ]
)

OTHER_CODEC = MsgspecEventCodec(CHAIN)

created_and_liked = StoredEvent("PostCreatedAndLiked", 1, {"author": "Ann", "message": "Hi"})
drafted = StoredEvent("PostDrafted", 1, {"author": "Ann"})
published = StoredEvent("PostPublished", 1, {"message": "Hi"})
viewed = StoredEvent("PostViewed", 1, {})
liked = StoredEvent("PostLiked", 2, {"username": "Bob"})
CREATED = PostCreated(author="Ann", message="Hi", date_posted=TIME)


@pytest.mark.parametrize(
    ("stored", "decoded"),
    [
        ([created_and_liked], [(5, CREATED), (5, PostLiked(username="Ann"))]),
        ([drafted, published, liked], [(6, CREATED), (7, PostLiked(username="Bob"))]),
        ([viewed, liked, viewed], [(6, PostLiked(username="Bob"))]),
        ([liked, liked, liked], [(version, PostLiked(username="Bob")) for version in (5, 6, 7)]),
        ([viewed, viewed], []),
    ],
    ids=["split", "merge", "drop", "as-it-is", "drop-all"],
)
def test_versions_stay_those_of_the_stored_events(
    stored: list[StoredEvent], decoded: list[tuple[int, PostEvent]]
) -> None:
    commit = commit_of(*stored, version=5)
    assert OTHER_CODEC.decode(commit) == [event for _, event in decoded]
    for last in range(4, 9):
        assert OTHER_CODEC.decode_until(commit, last) == [event for version, event in decoded if version <= last]


def test_half_of_what_is_merged_can_not_be_read_alone() -> None:
    assert "(PostDrafted, schema version 1)" in refusal_of(drafted, liked, codec=OTHER_CODEC)


def test_a_step_that_fails_on_its_data_is_named_by_the_events_of_its_commit() -> None:
    broken = StoredEvent("PostCreatedAndLiked", 1, {"message": "Hi"})
    assert refusal_of(liked, broken, version=5, codec=OTHER_CODEC) == (
        f"The events from version 5 to 6 of post {POST} (PostCreatedAndLiked 1, PostLiked 2) "
        "can't be brought to the current shape: KeyError('author')."
    )


def test_a_chain_may_upcast_a_shape_that_is_current_elsewhere() -> None:
    """A step's key wins over the table: such an event is always decoded through the chain."""
    codec = MsgspecEventCodec(UpcasterChain([drop_event(("PostLiked", 2))]))
    assert codec.decode(commit_of(liked)) == []


# Descriptions for people


def described(
    version: int, stored: StoredEvent, type_: str, schema_version: int, data: dict[str, Any]
) -> DescribedEvent:
    return DescribedEvent(
        version=version,
        type=type_,
        schema_version=schema_version,
        stored_type=stored.type,
        stored_schema_version=stored.schema_version,
        data=data,
    )


def as_it_was_stored(commit: Commit, version: int) -> DescribedEvent:
    stored = commit.events[version - commit.version]
    return DescribedEvent(
        version=version,
        type=stored.type,
        schema_version=stored.schema_version,
        stored_type=stored.type,
        stored_schema_version=stored.schema_version,
        data=stored.data,
    )


def test_an_old_event_is_described_in_the_current_shape_with_its_stored_type() -> None:
    old = StoredEvent("MessageUpdated", 1, {"message": "Hi"})
    assert CODEC.describe(commit_of(old, version=4)) == [
        described(4, old, "MessageUpdated", 2, {"message": "Hi", "username": None, "editedAt": None})
    ]


def test_split_merged_and_dropped_events_are_described_with_their_versions() -> None:
    commit = commit_of(created_and_liked, viewed, drafted, published)
    assert OTHER_CODEC.describe(commit) == [
        described(1, created_and_liked, "PostCreated", 1, created_data("Ann", "Hi")),
        described(1, created_and_liked, "PostLiked", 2, {"username": "Ann"}),
        described(4, published, "PostCreated", 1, created_data("Ann", "Hi")),
    ]


UNREADABLE: Sequence[StoredEvent] = [
    StoredEvent("PostShared", 1, {"by": "Ann"}),
    StoredEvent("PostLiked", 3, {"username": None}),
    StoredEvent("PostLiked", 2, {"username": 7}),
    StoredEvent("PostCreatedAndLiked", 1, {}),
]


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=["type", "newer", "wrong-type", "step-fails"])
def test_an_event_that_can_not_be_read_is_shown_as_it_was_stored(unreadable: StoredEvent) -> None:
    commit = commit_of(viewed, created_and_liked, unreadable, liked)
    assert OTHER_CODEC.describe(commit) == [
        described(2, created_and_liked, "PostCreated", 1, created_data("Ann", "Hi")),
        described(2, created_and_liked, "PostLiked", 2, {"username": "Ann"}),
        as_it_was_stored(commit, 3),
        described(4, liked, "PostLiked", 2, {"username": "Bob"}),
    ]


def test_a_part_that_can_not_be_read_shows_the_whole_as_it_was_stored() -> None:
    step: Step = split_event(
        ("PostLikedTwice", 1),
        Part(("PostLiked", 2), lambda data: {"username": data["first"]}),
        Part(("PostLiked", 2), lambda data: {"username": data["second"]}),
    )
    codec = MsgspecEventCodec(UpcasterChain([step]))
    commit = commit_of(StoredEvent("PostLikedTwice", 1, {"first": "Ann", "second": 2}))
    assert codec.describe(commit) == [as_it_was_stored(commit, 1)]


# Decoding without the chain


def test_a_commit_in_current_shapes_does_not_pass_the_chain() -> None:
    class Untouchable(UpcasterChain):
        def upcast(self, events: Sequence[PlainEvent]) -> Sequence[PlainEvent]:
            raise AssertionError(f"{events} went through the chain")

    codec = MsgspecEventCodec(Untouchable([drop_event(("PostViewed", 1))]))
    commit = commit_of(*codec.encode([event for event, *_ in EVENTS_AND_DATA]))
    assert codec.decode(commit) == [event for event, *_ in EVENTS_AND_DATA]


# From text, and from plain data


def outcome(commit: Commit, codec: MsgspecEventCodec) -> list[PostEvent] | str:
    try:
        return codec.decode(commit)
    except EventNotReadable as error:
        return error.message


def as_plain_data(commit: Commit) -> Commit:
    """With the events decoded, so that only the plain path can read them."""
    return commit._replace(events=tuple([StoredEvent(e.type, e.schema_version, e.data) for e in commit.events]))


def assert_text_and_plain_data_agree(text: bytes) -> None:
    try:
        commit = commit_of(*events_from_json(text), version=3)
    except MalformedCommit:
        assert [codec.readable_types(text) for codec in (CODEC, OTHER_CODEC)] == [[], []]
        return
    for codec in (CODEC, OTHER_CODEC):
        decoded = outcome(commit, codec)
        assert decoded == outcome(as_plain_data(commit), codec)
        if types := codec.readable_types(text):
            assert types == [(event.type, event.schema_version) for event in commit.events]
            assert isinstance(decoded, list)
        assert codec.describe(commit) == codec.describe(as_plain_data(commit))


texts_of_values = st.sampled_from(
    [
        "null",
        "true",
        "7",
        "7.0",
        "-0",
        "1e400",
        str(2**63),
        str(-(2**63)),
        str(10**30),
        "[]",
        '["a"]',
        "{}",
        '""',
        '"x"',
    ]
    + [r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', '"\x00"', '"\x7f"', '"\u2028"']
    + [f'"{text}"' for text in (TIME_TEXT, "2026-11-23T15:46:58.1234567Z", "2026-11-23T15:46:58+00:00")]
    + [
        f'"{text}"'
        for text in ("2026-11-23t15:46:58z", "2026-11-23 15:46:58Z", "2026-W48-1T00:00:00Z", "0000-01-01T00:00:00Z")
    ]
)
names = st.sampled_from(
    sorted(
        {name for *_, data in EVENTS_AND_DATA for name in data}
        | {"userName", "user_name", r"user\u006eame", "mood", ""}
    )
)
keys_of_events = st.sampled_from(
    [(name, version) for _, name, version, _ in EVENTS_AND_DATA]
    + [
        ("PostLiked", 1),
        ("MessageUpdated", 1),
        ("PostCreatedAndLiked", 1),
        ("PostViewed", 1),
        ("PostLiked", 3),
        ("None", 0),
    ]
)


@st.composite
def texts_of_events(draw: st.DrawFn) -> str:
    """Of a known type, with a field or two more, fewer, again, or with another value."""
    name, version = draw(keys_of_events)
    whole = next((data for _, known, _, data in EVENTS_AND_DATA if known == name), {})
    fields = [(json.dumps(key), json.dumps(value)) for key, value in whole.items()]
    for _ in range(draw(st.integers(0, 2))):
        changed = (f'"{draw(names)}"', draw(texts_of_values))
        fields.insert(draw(st.integers(0, len(fields))), changed)
    if fields and draw(st.booleans()):
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    data = draw(st.sampled_from(["{%s}"] * 9 + ["[%s]", "null"])).replace("%s", ",".join(":".join(f) for f in fields))
    parts = [f'"type":"{name}"', f'"schemaVersion":{version}', f'"data":{data}']
    parts += draw(
        st.lists(st.sampled_from(['"type":"PostLiked"', '"schemaVersion":2', '"note":1', '"data":{}']), max_size=1)
    )
    return "{" + ",".join(draw(st.permutations(parts))) + "}"


@given(st.lists(texts_of_events(), min_size=1, max_size=3))
def test_events_read_from_their_text_are_those_of_their_plain_data(events: list[str]) -> None:
    assert_text_and_plain_data_agree(f"[{','.join(events)}]".encode())


@given(
    st.sampled_from([event for event, *_ in EVENTS_AND_DATA]),
    st.integers(0, 10_000),
    st.binary(max_size=2) | st.sampled_from([b'"', b",", b"}", b"\\", b"\xff", b" "]),
    st.integers(0, 2),
)
def test_so_are_those_of_a_text_with_damaged_bytes(event: PostEvent, place: int, new: bytes, removed: int) -> None:
    text = events_to_json(CODEC.encode([event]))
    at = place % len(text)
    assert_text_and_plain_data_agree(text[:at] + new + text[at + removed :])


def test_all_events_in_their_current_shapes_are_readable_without_decoding_them() -> None:
    stored = CODEC.encode([event for event, *_ in EVENTS_AND_DATA])
    text = events_to_json(stored)
    assert CODEC.readable_types(text) == [(event.type, event.schema_version) for event in stored]
    assert CODEC.readable_types(text.decode()) == CODEC.readable_types(text)
    for event in stored:
        assert CODEC.readable_types(events_to_json([event])) == [(event.type, event.schema_version)]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[1]", b"\xff", "[" * 100_000])
def test_a_text_without_events_is_not_readable(text: str | bytes) -> None:
    assert CODEC.readable_types(text) == []


def test_data_that_can_not_be_decoded_is_shown_as_its_text() -> None:
    commit = commit_of(*events_from_json(b'[{"type":"PostLiked","schemaVersion":2,"data":{"username":"\xff"}}]'))
    with pytest.raises(EventNotReadable, match="its data is text, not an object"):
        CODEC.decode(commit)
    assert [each.data for each in CODEC.describe(commit)] == ['{"username":"\ufffd"}']
