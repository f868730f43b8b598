"""Documents of the .NET course's collection as events."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson.binary import Binary, UuidRepresentation
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from adapters.mongo.dotnet_import.documents import dotnet_event
from application.envelopes import StoredEvent
from application.ports.history_source import DotnetEvent, UnrecognizedDocument

POST = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
COMMENT = "0f8fad5b-d9cb-469f-a165-70867728950e"
TIME = datetime(2023, 5, 6, 7, 8, 9, 123_000, UTC)
TIME_TEXT = "2023-05-06T07:08:09.123Z"
OBJECT_ID = bson.ObjectId("64560c89f1a2b3c4d5e6f708")

LEGACY = UuidRepresentation.CSHARP_LEGACY
STANDARD = UuidRepresentation.STANDARD


def guid(text: str, form: int = LEGACY) -> Binary:
    return Binary.from_uuid(UUID(text), form)


def document(event_type: str = "PostLikedEvent", version: int = 3, form: int = LEGACY, **data: Any) -> dict[str, Any]:
    return {
        "_id": OBJECT_ID,
        "TimeStamp": TIME,
        "AggregateIdentifier": guid(POST, form),
        "AggregateType": "PostAggregate",
        "Version": version,
        "EventType": event_type,
        "EventData": {"_t": event_type, "_id": guid(POST, form), "Version": version, "Type": event_type, **data},
    }


def problem_of(changed: dict[str, Any]) -> str | None:
    event = dotnet_event(changed)
    assert isinstance(event, DotnetEvent)
    assert (event.event is None) != (event.problem is None)
    return event.problem


ALL_SEVEN = [
    (
        "PostCreatedEvent",
        {"Author": "Ann", "Message": "Hello", "DatePosted": TIME},
        StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hello", "datePosted": TIME_TEXT}),
    ),
    ("MessageUpdatedEvent", {"Message": "Hi"}, StoredEvent("MessageUpdated", 1, {"message": "Hi"})),
    ("PostLikedEvent", {}, StoredEvent("PostLiked", 1, {})),
    (
        "CommentAddedEvent",
        {"CommentId": guid(COMMENT), "Comment": "Nice", "Username": "Bob", "CommentDate": TIME},
        StoredEvent(
            "CommentAdded", 1, {"commentId": COMMENT, "comment": "Nice", "username": "Bob", "commentDate": TIME_TEXT}
        ),
    ),
    (
        "CommentUpdatedEvent",
        {"CommentId": guid(COMMENT), "Comment": "Nicer", "Username": "Bob", "EditDate": TIME},
        StoredEvent(
            "CommentUpdated", 1, {"commentId": COMMENT, "comment": "Nicer", "username": "Bob", "editDate": TIME_TEXT}
        ),
    ),
    ("CommentRemovedEvent", {"CommentId": guid(COMMENT)}, StoredEvent("CommentRemoved", 1, {"commentId": COMMENT})),
    ("PostRemovedEvent", {}, StoredEvent("PostRemoved", 1, {})),
]


@pytest.mark.parametrize(("event_type", "data", "stored"), ALL_SEVEN, ids=[each[0] for each in ALL_SEVEN])
@pytest.mark.parametrize("form", [LEGACY, STANDARD], ids=["legacy", "standard"])
def test_each_event_of_that_system(event_type: str, data: dict[str, Any], stored: StoredEvent, form: int) -> None:
    in_form = {k: Binary.from_uuid(UUID(COMMENT), form) if k == "CommentId" else v for k, v in data.items()}
    assert dotnet_event(document(event_type, version=0, form=form, **in_form)) == DotnetEvent(
        document_id="64560c89f1a2b3c4d5e6f708", post_id=POST, version=1, recorded_at=TIME, event=stored
    )


def test_the_legacy_form_has_the_byte_order_of_c_sharp() -> None:
    """These 16 bytes are what that driver writes for this GUID; read in any other order it is another one."""
    raw = bytes.fromhex("ff19966f868b11d0b42d00cf4fc964ff")
    assert dotnet_event({**document(), "AggregateIdentifier": Binary(raw, 3)}).post_id == POST
    plain = bytes.fromhex("6f9619ff8b86d011b42d00cf4fc964ff")
    assert dotnet_event({**document(), "AggregateIdentifier": Binary(plain, 4)}).post_id == POST


def test_a_guid_may_be_text() -> None:
    assert dotnet_event({**document(), "AggregateIdentifier": POST.upper()}).post_id == POST


@pytest.mark.parametrize(
    "data",
    [
        {"_t": ["BaseEvent", "PostLikedEvent"]},
        {"_t": None, "Type": None, "_id": None},
        {"Version": 99},
    ],
)
def test_fields_added_by_the_driver_may_have_other_forms(data: dict[str, Any]) -> None:
    changed = document()
    changed["EventData"] |= data
    assert problem_of(changed) is None
    assert problem_of({**document(), "EventData": {}}) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"AggregateType": "UserAggregate"}, "its AggregateType is 'UserAggregate', not 'PostAggregate'"),
        (
            {"EventType": "PostSharedEvent"},
            (
                "its EventType is 'PostSharedEvent', not one of PostCreatedEvent, MessageUpdatedEvent, "
                "PostLikedEvent, CommentAddedEvent, CommentUpdatedEvent, CommentRemovedEvent, PostRemovedEvent"
            ),
        ),
        ({"EventType": ["x"]}, None),
        ({"EventData": None}, "its EventData is not a document"),
        (
            {"EventData": {"_t": "PostRemovedEvent"}},
            "its EventType is PostLikedEvent, but its EventData is a PostRemovedEvent",
        ),
        ({"EventData": {"_t": []}}, "its EventType is PostLikedEvent, but its EventData is a []"),
        (
            {"EventData": {"Type": "PostRemovedEvent"}},
            "its EventType is PostLikedEvent, but its EventData is a PostRemovedEvent",
        ),
        ({"EventData": {"_id": guid(COMMENT)}}, "its EventData is of another post than its AggregateIdentifier"),
        ({"EventData": {"_id": 7}}, "its _id is not a GUID"),
        ({"EventData": {"Username": "Bob"}}, "its EventData has the unknown field Username"),
    ],
)
def test_a_document_of_another_system_is_refused(changed: dict[str, Any], problem: str | None) -> None:
    found = problem_of({**document(), **changed})
    assert found is not None
    assert problem is None or found == problem


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("Author", None, "its Author is null, not text"),
        ("Author", 7, "its Author is not text"),
        ("Message", "a\x00b", "its Message contains a NUL character or an unpaired surrogate, which can't be stored"),
        ("DatePosted", "2023-05-06", "its DatePosted is not a date of the years 1 to 9999"),
        ("DatePosted", DatetimeMS(10**18), "its DatePosted is not a date of the years 1 to 9999"),
        ("Message", "é" * 500_000, "it takes more than 1,000,000 bytes, the limit for one commit"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(field: str, value: Any, problem: str) -> None:
    data = {"Author": "Ann", "Message": "Hello", "DatePosted": TIME} | {field: value}
    assert problem_of(document("PostCreatedEvent", **data)) == problem
    del data[field]
    assert problem_of(document("PostCreatedEvent", **data)) == f"its EventData has no {field}"


@pytest.mark.parametrize("value", [None, 7, "abc", Binary(b"too short", 3), Binary(b"x" * 16, 0), b"x" * 16])
def test_an_id_that_is_not_a_guid_is_named(value: Any) -> None:
    assert problem_of(document("CommentRemovedEvent", CommentId=value)).startswith("its CommentId ")


# Documents of which only the post can be read: without them the post would be a different one


def only_the_post_of(changed: dict[str, Any]) -> tuple[str, str | None]:
    event = dotnet_event(changed)
    assert isinstance(event, DotnetEvent)
    assert event.event is None
    assert (event.version, event.recorded_at) == (0, None)
    return event.post_id, event.problem


@pytest.mark.parametrize(
    "version",
    [None, -1, True, 1.5, float("nan"), float("inf"), 1e300, "3", Decimal128("2.5"), Decimal128("NaN"), 2**62],
    ids=str,
)
def test_a_document_without_a_version_belongs_to_its_post(version: Any) -> None:
    problem = "its Version is not a whole number from 0 on"
    assert only_the_post_of({**document(), "Version": version}) == (POST, problem)


@pytest.mark.parametrize("version", [3.0, bson.Int64(3), Decimal128("3"), Decimal128("3.00"), Decimal128("3E+0")])
def test_a_number_without_fraction_is_a_version_whatever_its_type(version: Any) -> None:
    event = dotnet_event({**document(), "Version": version})
    assert isinstance(event, DotnetEvent)
    assert (event.version, event.problem) == (4, None)


@pytest.mark.parametrize("time", ["2023", None, DatetimeMS(10**18)], ids=str)
def test_a_document_without_a_time_is_an_event_that_can_not_be_read(time: Any) -> None:
    event = dotnet_event({**document(), "TimeStamp": time})
    assert isinstance(event, DotnetEvent)
    assert (event.version, event.recorded_at, event.event) == (4, None, None)
    assert event.problem == "its TimeStamp is not a date of the years 1 to 9999"


def test_a_document_whose_aggregate_can_not_be_read_belongs_to_the_post_that_its_data_names() -> None:
    assert only_the_post_of({**document(), "AggregateIdentifier": 7}) == (POST, "its AggregateIdentifier is not a GUID")


@pytest.mark.parametrize("data", [None, 7, {}, {"_id": "x"}], ids=str)
def test_a_document_that_names_no_post_is_unrecognized(data: Any) -> None:
    changed = {**document(), "AggregateIdentifier": None, "EventData": data}
    assert dotnet_event(changed) == UnrecognizedDocument(
        "64560c89f1a2b3c4d5e6f708", "its AggregateIdentifier is not a GUID"
    )
