"""The same posts in the library `eventsourcing` (PyPI): its aggregate, its application, and a projection that its
runner feeds. The view writes Postlog's own tables, by the naive projector's statements, and the library's tracking
record in the same transaction, as the library's documentation has it.
"""
# ruff: noqa: ARG002 (a command's parameters are what its event records; the aggregate keeps some of them)

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactory, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import Environment
from sqlalchemy import make_url

from application.envelopes import ProposedCommit
from benchmarks import naive_projector

_PATIENCE = 600.0
"""Seconds."""


class Post(Aggregate):
    @staticmethod
    def create_id(post_id: str) -> UUID:
        return UUID(post_id)

    @event("PostCreated")
    def __init__(self, post_id: str, author: str, message: str, date_posted: str) -> None:
        self.author, self.message, self.date_posted, self.likes = author, message, date_posted, 0
        self.comments: dict[str, str] = {}

    @event("MessageUpdated")
    def update_message(self, message: str, username: str | None, edited_at: str | None) -> None:
        self.message = message

    @event("PostLiked")
    def like(self, username: str | None) -> None:
        self.likes += 1

    @event("PostUnliked")
    def unlike(self, username: str) -> None:
        self.likes -= 1

    @event("CommentAdded")
    def add_comment(self, comment_id: str, comment: str, username: str, comment_date: str) -> None:
        self.comments[comment_id] = comment

    @event("CommentUpdated")
    def update_comment(self, comment_id: str, comment: str, username: str, edit_date: str) -> None:
        self.comments[comment_id] = comment

    @event("CommentRemoved")
    def remove_comment(self, comment_id: str, username: str | None) -> None:
        del self.comments[comment_id]

    @event("PostRemoved")
    def remove(self, username: str | None) -> None:
        self.comments = {}


_COMMANDS: Mapping[str, Callable[..., None]] = {
    "MessageUpdated": Post.update_message,
    "PostLiked": Post.like,
    "PostUnliked": Post.unlike,
    "CommentAdded": Post.add_comment,
    "CommentUpdated": Post.update_comment,
    "CommentRemoved": Post.remove_comment,
    "PostRemoved": Post.remove,
}


class Posts(Application[UUID]):
    pass


class PostRows(PostgresTrackingRecorder):
    def apply(self, domain_event: Aggregate.Event, tracking: Tracking) -> None:
        data = {_camel_case(name): value for name, value in vars(domain_event).items()}
        with self.datastore.transaction(commit=True) as cursor:

            def execute(statement: str, values: tuple[Any, ...]) -> None:
                cursor.execute(statement.replace("?", "%s").encode(), values)

            post_id, kind = str(domain_event.originator_id), type(domain_event).__name__
            naive_projector.apply(execute, post_id, domain_event.originator_version, kind, data)
            self._insert_tracking(cursor, tracking)

    def forget(self) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("DELETE FROM comments_a")
            cursor.execute("DELETE FROM posts_a")
            cursor.execute(f"DELETE FROM {self.tracking_table_name} WHERE application_name = 'Posts'".encode())


class PostProjection(Projection[PostRows]):
    name = "postrows"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        raise TypeError(f"There is no row for {domain_event!r}.")

    @process_event.register
    def _(self, domain_event: Aggregate.Event, tracking: Tracking) -> None:
        self.view.apply(domain_event, tracking)


def environment(url: str) -> dict[str, str]:
    """Where events, tracking records and rows are: a PostgreSQL database that has Postlog's tables."""
    database = make_url(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": database.database or "",
        "POSTGRES_HOST": database.host or "",
        "POSTGRES_PORT": str(database.port or 5432),
        "POSTGRES_USER": database.username or "",
        "POSTGRES_PASSWORD": database.password or "",
    }


def fill(env: Mapping[str, str], log: Iterable[ProposedCommit]) -> None:
    """The same events, one a save."""
    posts: dict[str, Post] = {}
    with Posts(env) as application:
        for commit in log:
            for stored in commit.events:
                data = {_snake_case(name): value for name, value in stored.data.items()}
                if stored.type == "PostCreated":
                    posts[commit.stream_id] = Post(commit.stream_id, **data)
                else:
                    _COMMANDS[stored.type](posts[commit.stream_id], **data)
                application.save(posts[commit.stream_id])


def project(env: Mapping[str, str]) -> None:
    """All of them, by the library's runner."""
    runner = ProjectionRunner(application_class=Posts, projection_class=PostProjection, view_class=PostRows, env=env)
    with runner:
        runner.wait(runner.app.recorder.max_notification_id(), timeout=_PATIENCE)


def forget(env: Mapping[str, str]) -> None:
    """Empty the rows, so that the runner begins at the first event."""
    factory = InfrastructureFactory[PostRows].construct(env=Environment(PostProjection.name, dict(env)))
    with factory:
        factory.tracking_recorder(PostRows).forget()


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
