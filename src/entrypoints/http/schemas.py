"""The JSON that comes in and goes out. Decoded into these, encoded from these, documented by these.

Lengths and blanks of texts are rules of the domain (422); here only the shape counts (400). `x-limit` names the limit
that the OpenAPI document tells.

Rows and events of the query side as the JSON that callers get.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from application.query_side.history import PastEvent
from application.query_side.posts import PostAnswer
from application.query_side.status import ReadDbStatus
from application.rows import CommentRow, PostRow
from entrypoints.serving.formats import instant_text


def _text(limit: str, description: str, example: str) -> Meta:
    return Meta(description=description, examples=[example], extra_json_schema={"x-limit": limit})


AuthorName = Annotated[str, _text("name", "Who writes the post; believed as it is given.", "ann")]
UserName = Annotated[str, _text("name", "Who does this; believed as it is given.", "ben")]
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
Version = Annotated[int, Meta(ge=1, description="How many events the post has had.", examples=[1])]
Count = Annotated[int, Meta(ge=0)]


class Adapter(StrEnum):
    """Of a read database."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    SQLSERVER = "sqlserver"
    MEMORY = "memory"


Position = Annotated[
    int, Meta(ge=0, description="A place in the log; ask for rows at least that new with Postlog-Min-Position.")
]


class _Body(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What callers send."""


class _Content(Struct, frozen=True, rename="camel", kw_only=True):
    """What callers get."""


class NewPost(_Body, frozen=True):
    author: AuthorName
    message: MessageText


class NewMessage(_Body, frozen=True):
    message: MessageText
    username: UserName


class NewLike(_Body, frozen=True):
    username: Annotated[UserName | None, Meta(description="Left out or null: an anonymous like.")] = None


class NewComment(_Body, frozen=True):
    comment: CommentText
    username: UserName


class EditedComment(_Body, frozen=True):
    comment: CommentText
    username: UserName


_PostId = Annotated[Uuid, Meta(description="The post.")]
_Id = Annotated[Uuid, Meta(description="The same as `postId`.")]


class Done(_Content, frozen=True):
    """What a command led to."""

    id: _Id
    post_id: _PostId
    version: Version
    position: Position


class CommentDone(_Content, frozen=True):
    """What a command led to, and the id of the new comment."""

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
    next_cursor: Annotated[str | None, Meta(description="The value of `cursor` for the next page; null at the end.")]


class CommentPage(_Content, frozen=True):
    comments: Annotated[list[Comment], Meta(description="Newest first.")]
    next_cursor: Annotated[str | None, Meta(description="The value of `cursor` for the next page; null at the end.")]


class Event(_Content, frozen=True):
    """Something that happened to a post: in today's shape, and what it was stored as."""

    type: Annotated[str, Meta(examples=["PostCreated"])]
    schema_version: Annotated[int, Meta(ge=1)]
    stored_type: Annotated[str, Meta(examples=["PostCreated"])]
    stored_schema_version: Annotated[int, Meta(ge=1)]
    version: Annotated[int, Meta(ge=1, description="Of the stored event; several share it after a split.")]
    position: Position
    recorded_at: Instant
    actor: Annotated[str | None, Meta(description="Who did it; null when nobody was named.")]
    data: dict[str, Any]


class EventPage(_Content, frozen=True):
    events: Annotated[list[Event], Meta(description="Oldest first.")]
    next_after: Annotated[int | None, Meta(description="The value of `after` for the next page; null at the end.")]


class Partition(_Content, frozen=True):
    partition: Count
    position: Position
    lag: Count


class ReadDb(_Content, frozen=True):
    adapter: Annotated[str, Meta(examples=["sqlite"])]
    generation: Annotated[Count, Meta(description="Which complete build of the rows is live.")]
    position: Position
    lag: Annotated[Count, Meta(description="Commits of the log that the rows are behind.")]
    parked: Annotated[Count, Meta(description="Posts that wait for an event that could not be projected.")]
    partitions: list[Partition]


class NewRebuild(_Body, frozen=True):
    adapter: Annotated[
        Adapter | None,
        Meta(description="Which read database; left out or null: the one that queries are answered from."),
    ] = None


class Rebuild(_Content, frozen=True):
    id: Annotated[str, Meta(examples=["postgres-2"])]
    adapter: Annotated[str, Meta(examples=["postgres"])]
    state: Annotated[
        Literal["running", "swapped", "failed", "cancelled"],
        Meta(description="swapped: its rows took the old ones' place. A failed one can be gone on with."),
    ]
    position: Annotated[int, Meta(ge=0, description="Up to here the log is in the new rows.")]
    target: Annotated[int, Meta(ge=0, description="The position that it has to reach, as far as is known now.")]
    events_per_second: Annotated[float | None, Meta(description="On average; null before the first batch.")]
    seconds_left: Annotated[float | None, Meta(description="An estimate; null unless it is running.")]
    started_at: Annotated[
        Instant, Meta(description="Moved on by the time in which nobody worked on it, when it is gone on with.")
    ]
    error: Annotated[str | None, Meta(description="What stopped it and what to do, if it failed.")]


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


def post_view(found: PostAnswer) -> Post:
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
