"""The JSON of the API: decoded into these types, encoded from them, documented by them; made from rows and events.

The length of texts and blank texts are rules of the domain (422); only the shape is checked here (400). `x-limit` names
the limit that the OpenAPI document shows.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct
from msgspec.structs import fields

from application.query_side.history import PastEvent
from application.query_side.posts import PostDetail
from application.query_side.status import ReadDbStatus
from application.rows import CommentRow, PostRow
from entrypoints.serving.formats import instant_text


def _text(limit: str, description: str, example: str) -> Meta:
    return Meta(description=description, examples=[example], extra_json_schema={"x-limit": limit})


AuthorName = Annotated[str, _text("name", "The author of the post; not verified.", "ann")]
UserName = Annotated[str, _text("name", "The user who does this; not verified.", "ben")]
MessageText = Annotated[str, _text("message", "The text of the post.", "Hello, world")]
CommentText = Annotated[str, _text("comment", "The text of the comment.", "Well said")]

Uuid = Annotated[str, Meta(examples=["0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d"], extra_json_schema={"format": "uuid"})]
Instant = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, milliseconds.",
        examples=["2026-11-23T15:46:58.123Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Version = Annotated[int, Meta(ge=1, description="The number of events of the post so far.", examples=[1])]
Count = Annotated[int, Meta(ge=0)]


class Adapter(StrEnum):
    """The kinds of read database."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    SQLSERVER = "sqlserver"
    MEMORY = "memory"


Position = Annotated[
    int, Meta(ge=0, description="A position in the log; send it as Postlog-Min-Position to read rows at least as new.")
]


class _Body(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Request bodies."""


class _Content(Struct, frozen=True, rename="camel", kw_only=True):
    """Response bodies."""


class NewPost(_Body, frozen=True):
    author: AuthorName
    message: MessageText


class NewMessage(_Body, frozen=True):
    message: MessageText
    username: UserName


class NewLike(_Body, frozen=True):
    username: Annotated[UserName | None, Meta(description="Null or absent: an anonymous like.")] = None


class NewComment(_Body, frozen=True):
    comment: CommentText
    username: UserName


class EditedComment(_Body, frozen=True):
    comment: CommentText
    username: UserName


_PostId = Annotated[Uuid, Meta(description="The post.")]
_Id = Annotated[Uuid, Meta(description="The same as `postId`.")]


Body = TypeVar("Body", bound=Struct)

_Signed = Annotated[str, _text("name", "Absent: the caller. Another user needs the role importer.", "ben")]
_SIGNED: Mapping[str, Any] = {
    "author": _Signed | UnsetType,
    "username": _Signed | UnsetType,
}
_SIGNED_LIKE = Annotated[_Signed | None, Meta(description="Null: an anonymous like, which needs the role importer.")]


def signed(shape: type[Body]) -> type[Body]:
    """The shape with the name of its user optional, for requests whose caller is known. Of another shape, itself."""
    if not any(field.name in _SIGNED for field in fields(shape)):
        return shape
    names = {"username": _SIGNED_LIKE | UnsetType} if shape is NewLike else _SIGNED
    typed = [
        (field.name, names[field.name], UNSET) if field.name in names else (field.name, field.type)
        for field in fields(shape)
    ]
    made = defstruct(shape.__name__, typed, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True)
    return cast("type[Body]", made)


class Done(_Content, frozen=True):
    """The result of a command."""

    id: _Id
    post_id: _PostId
    version: Version
    position: Position


class CommentDone(_Content, frozen=True):
    """The result of a command, and the id of the new comment."""

    id: _Id
    post_id: _PostId
    comment_id: Uuid
    version: Version
    position: Position


class Comment(_Content, frozen=True):
    comment_id: Uuid
    username: str
    comment: str
    comment_date: Annotated[Instant, Meta(description="When it was first written.")]
    edited: bool


class PostSummary(_Content, frozen=True):
    post_id: Uuid
    author: str
    date_posted: Instant
    message: str
    likes: Count
    version: Version
    comments_count: Count


class Post(_Content, frozen=True):
    post_id: Uuid
    author: str
    date_posted: Instant
    message: str
    likes: Count
    version: Version
    comments_count: Count
    comments: Annotated[list[Comment], Meta(description="The newest 100, newest first.", max_length=100)]


class PostPage(_Content, frozen=True):
    posts: Annotated[list[PostSummary], Meta(description="Newest first.")]
    next_cursor: Annotated[str | None, Meta(description="The `cursor` of the next page; null at the end.")]


class CommentPage(_Content, frozen=True):
    comments: Annotated[list[Comment], Meta(description="Newest first.")]
    next_cursor: Annotated[str | None, Meta(description="The `cursor` of the next page; null at the end.")]


class Event(_Content, frozen=True):
    """An event of a post in its current shape, with the type and version that it was stored as."""

    type: Annotated[str, Meta(examples=["PostCreated"])]
    schema_version: Annotated[int, Meta(ge=1)]
    stored_type: Annotated[str, Meta(examples=["PostCreated"])]
    stored_schema_version: Annotated[int, Meta(ge=1)]
    version: Annotated[int, Meta(ge=1, description="Of the stored event; the parts of a split event share it.")]
    position: Position
    recorded_at: Instant
    actor: Annotated[str | None, Meta(description="The user who did it; null for an anonymous user.")]
    data: dict[str, Any]


class EventPage(_Content, frozen=True):
    events: Annotated[list[Event], Meta(description="Oldest first.")]
    next_after: Annotated[int | None, Meta(description="The `after` of the next page; null at the end.")]


class Partition(_Content, frozen=True):
    partition: Count
    position: Position
    lag: Count


class ReadDb(_Content, frozen=True):
    adapter: Annotated[str, Meta(examples=["sqlite"])]
    generation: Annotated[Count, Meta(description="The number of the build whose rows are live.")]
    position: Position
    lag: Annotated[Count, Meta(description="The number of commits by which the rows are behind the log.")]
    parked: Annotated[
        Count,
        Meta(description="Posts that are parked because an event could not be projected."),
    ]
    partitions: list[Partition]


class NewRebuild(_Body, frozen=True):
    adapter: Annotated[
        Adapter | None,
        Meta(description="The read database; null or absent: the one that queries read."),
    ] = None


class Rebuild(_Content, frozen=True):
    id: Annotated[str, Meta(examples=["postgres-2"])]
    adapter: Annotated[str, Meta(examples=["postgres"])]
    state: Annotated[
        Literal["running", "swapped", "failed", "cancelled"],
        Meta(description="swapped: its rows have replaced the old ones. A failed rebuild can be resumed."),
    ]
    position: Annotated[int, Meta(ge=0, description="The new rows contain the log up to this position.")]
    target: Annotated[int, Meta(ge=0, description="The position to reach; it grows while the log grows.")]
    events_per_second: Annotated[float | None, Meta(description="The average; null before the first batch.")]
    seconds_left: Annotated[float | None, Meta(description="An estimate; null unless it is running.")]
    started_at: Annotated[
        Instant, Meta(description="When it was started; when it is resumed, moved forward by the interruption.")
    ]
    error: Annotated[str | None, Meta(description="Why it failed, and what to do.")]


class RebuildPage(_Content, frozen=True):
    rebuilds: Annotated[list[Rebuild], Meta(description="The newest 20, newest first.", max_length=20)]


class Live(_Content, frozen=True):
    status: Annotated[str, Meta(examples=["live"])]


class Check(_Content, frozen=True):
    name: Annotated[str, Meta(examples=["event_store"])]
    ok: bool
    detail: str


class Ready(_Content, frozen=True):
    status: Annotated[str, Meta(examples=["ready"])]
    checks: list[Check]


def post_summary(row: PostRow) -> PostSummary:
    return PostSummary(
        post_id=row.post_id,
        author=row.author,
        date_posted=instant_text(row.date_posted),
        message=row.message,
        likes=row.likes,
        version=row.version,
        comments_count=row.comments_count,
    )


def post_view(found: PostDetail) -> Post:
    row = found.post
    return Post(
        post_id=row.post_id,
        author=row.author,
        date_posted=instant_text(row.date_posted),
        message=row.message,
        likes=row.likes,
        version=row.version,
        comments_count=row.comments_count,
        comments=[comment_view(comment) for comment in found.comments],
    )


def comment_view(row: CommentRow) -> Comment:
    return Comment(
        comment_id=row.comment_id,
        username=row.username,
        comment=row.comment,
        comment_date=instant_text(row.comment_date),
        edited=row.edited,
    )


def event_view(event: PastEvent) -> Event:
    return Event(
        type=event.type,
        schema_version=event.schema_version,
        stored_type=event.stored_type,
        stored_schema_version=event.stored_schema_version,
        version=event.version,
        position=event.position,
        recorded_at=instant_text(event.recorded_at),
        actor=event.actor,
        data=dict(event.data),
    )


def read_db_view(status: ReadDbStatus) -> ReadDb:
    return ReadDb(
        adapter=status.adapter,
        generation=status.generation,
        position=status.position,
        lag=status.lag,
        parked=status.parked,
        partitions=[Partition(partition=p.partition, position=p.position, lag=p.lag) for p in status.partitions],
    )
