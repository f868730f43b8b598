"""What clients sent and were answered, and what MongoDB and PostgreSQL store, in the terms of the simulation's checker.
Nothing here uses Postlog's own encoders and decoders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from application.envelopes import Commit, StoredEvent
from application.rows import CommentRow, PostRow, PostStatus
from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.ids import CommentId, PostId
from simulation.checker import Operation, Read, Violation, require

_POSTS = "/api/v1/posts"
_NEVER = {"log-changed", "log-damaged", "stream-damaged"}
"""Codes of 503 that no fault of the campaign explains."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: Mapping[str, str | None] | None = None


_quoted = partial(quote, safe="")


def request_of(command: PostCommand) -> Request:
    """Without the ids of new posts and comments, and without times: the server draws them."""
    post = f"{_POSTS}/{command.post_id}"
    match command:
        case CreatePost():
            return Request("POST", _POSTS, {"author": command.author, "message": command.message})
        case EditMessage():
            return Request("PUT", f"{post}/message", {"message": command.message, "username": command.username})
        case LikePost():
            return Request("POST", f"{post}/likes", {"username": command.username})
        case UnlikePost():
            return Request("DELETE", f"{post}/likes/{_quoted(command.username)}")
        case AddComment():
            return Request("POST", f"{post}/comments", {"comment": command.comment, "username": command.username})
        case EditComment():
            body = {"comment": command.comment, "username": command.username}
            return Request("PUT", f"{post}/comments/{command.comment_id}", body)
        case RemoveComment():
            return Request("DELETE", f"{post}/comments/{command.comment_id}?username={_quoted(command.username)}")
        case RemovePost():
            return Request("DELETE", f"{post}?username={_quoted(command.username)}")


def record_answer(operation: Operation, status: int, body: Mapping[str, Any]) -> None:
    """What the client learns. Raises `Violation` for an answer that no command may have."""
    code = str(body.get("code", ""))
    match status:
        case 200 | 201:
            operation.outcome, operation.code = "ok", ""
            operation.version, operation.position = body["version"], body["position"]
            operation.comment_id = CommentId(body["commentId"]) if "commentId" in body else None
            told = PostId(body["postId"])
            if isinstance(operation.commands[0], CreatePost):
                operation.commands = [replace(operation.commands[0], post_id=told)]
            require(told == operation.post_id, "{} was answered with post {}", operation, told)
        case 503 if code not in _NEVER:
            operation.code, operation.in_doubt = code, True
        case 403 | 404 | 409 | 412 | 422:
            operation.outcome, operation.code = "fail", code
            operation.version = body.get("currentVersion", 0)
        case _:
            raise Violation(f"{operation} was answered with {status} {body}")


def record_read(read: Read, status: int, body: Mapping[str, Any]) -> None:
    """Raises `Violation` for an answer that no query may have."""
    code = str(body.get("code", ""))
    match status:
        case 200:
            read.outcome = "ok"
            read.post, read.comments = post_of(body)
        case 404 if code == "post-not-found":
            read.outcome = "absent"
        case 503:
            read.outcome = code
        case _:
            raise Violation(f"{read} was answered with {status} {body}")


def post_of(view: Mapping[str, Any]) -> tuple[PostRow, list[CommentRow]]:
    """The JSON of a post that has at most 100 comments."""
    post_id = PostId(view["postId"])
    comments = [
        CommentRow(
            post_id,
            CommentId(each["commentId"]),
            each["username"],
            each["comment"],
            datetime.fromisoformat(each["commentDate"]),
            each["edited"],
        )
        for each in view["comments"]
    ]
    row = PostRow(
        post_id,
        PostStatus.LIVE,
        view["author"],
        datetime.fromisoformat(view["datePosted"]),
        view["message"],
        view["likes"],
        view["commentsCount"],
        view["version"],
    )
    return row, comments


def commit_of(document: Mapping[str, Any]) -> Commit:
    """A document of the collection `commits`."""
    return Commit(
        position=document["_id"],
        stream_id=PostId(document["streamId"]),
        version=document["version"],
        commit_id=document["commitId"],
        recorded_at=document["recordedAt"].replace(tzinfo=UTC),
        metadata=document["metadata"],
        events=tuple(
            StoredEvent(each["type"], each["schemaVersion"], each["data"]) for each in json.loads(document["events"])
        ),
    )


_DRAWN: dict[type, dict[str, str]] = {
    CreatePost: {"date_posted": "datePosted"},
    EditMessage: {"edited_at": "editedAt"},
    AddComment: {"comment_date": "commentDate"},
    EditComment: {"edit_date": "editDate"},
}
"""Fields of commands that are times of the server, with their names in events."""


def complete(operation: Operation, commit: Commit) -> None:
    """Puts what the server drew into the command: the ids of what is new, and the time, which must lie between question
    and answer."""
    command, data = operation.commands[0], commit.events[0].data
    drawn: dict[str, Any] = {}
    for field, name in _DRAWN.get(type(command), {}).items():
        require(name in data, "{} is stored without {}: {}", operation, name, commit)
        drawn[field] = datetime.fromisoformat(data[name])
        at = drawn[field].timestamp()
        until = operation.returned if operation.outcome == "ok" else at
        require(operation.invoked <= at <= until, "{} is stored with the time {}: {}", operation, at, commit)
    if isinstance(command, CreatePost):
        drawn["post_id"] = commit.stream_id
    if isinstance(command, AddComment):
        drawn["comment_id"] = CommentId(data.get("commentId", ""))
    if drawn:
        operation.commands = [replace(command, **drawn)]


def check_imports(commits: Sequence[Commit], likes: Mapping[str, int]) -> None:
    """Every line of the imported files, by its message, is in the log once, with all its likes, and nothing else is
    that no client asked for. `commits` are those without a correlation id."""
    messages: dict[PostId, str] = {}
    found: dict[str, int] = {}
    for commit in commits:
        for event in commit.events:
            if event.type == "PostCreated":
                message = event.data["message"]
                require(message in likes and message not in found, "nobody imported {}, or twice", commit)
                messages[commit.stream_id], found[message] = message, 0
            else:
                ours = event.type == "PostLiked" and event.data["username"] is None and commit.stream_id in messages
                require(ours, "nobody imported {}", commit)
                found[messages[commit.stream_id]] += 1
    missing = {message: (found.get(message), count) for message, count in likes.items() if found.get(message) != count}
    require(not missing, "imported posts have other likes than their lines (message: log, line): {}", missing)
