"""Rows and events of the query side as the JSON that callers get."""

from application.query_side.queries import PastEvent, PostAnswer, ReadDbStatus
from application.rows import CommentRow, PostRow
from entrypoints.http.schemas import Comment, Event, Partition, Post, PostSummary, ReadDb
from entrypoints.serving.instants import instant_text


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
