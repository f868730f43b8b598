"""What the checker knows of posts: its own fold and its own rules, over stored events as plain data.

It shares nothing with `domain` and `application.projections` but the names of the events, and the commands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

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

EVENTS, NOTHING = "events", "nothing"


@dataclass(frozen=True, slots=True)
class Model:
    """A post. `comments` are text, writer, date and whether it was edited, by id. `stuck`: an event that nobody can
    read, or that does not fit, came before: rows stop there."""

    status: str = "none"
    author: str = ""
    date: str = ""
    message: str = ""
    likes: int = 0
    likers: frozenset[str] = frozenset()
    comments: Mapping[str, tuple[str, str, str, bool]] = frozenset()  # type: ignore[assignment]
    stuck: str | None = None


NO_POST = Model(comments={})


def fold(post: Model, event_type: str, data: Mapping[str, Any]) -> Model:
    """One event, as it is stored."""
    match event_type:
        case "PostCreated":
            return Model("live", data["author"], data["datePosted"], data["message"], comments={})
        case "MessageUpdated":
            return replace(post, message=data["message"])
        case "PostLiked":
            named = frozenset([data["username"]] if data["username"] is not None else [])
            return replace(post, likes=post.likes + 1, likers=post.likers | named)
        case "PostUnliked" if post.likes == 0:
            return replace(post, stuck=post.stuck or "event-not-applicable")
        case "PostUnliked":
            return replace(post, likes=post.likes - 1, likers=post.likers - {data["username"]})
        case "CommentAdded":
            comment = (data["comment"], data["username"], data["commentDate"], False)
            return replace(post, comments={**post.comments, data["commentId"]: comment})
        case "CommentUpdated":
            date = post.comments[data["commentId"]][2]
            comment = (data["comment"], data["username"], date, True)
            return replace(post, comments={**post.comments, data["commentId"]: comment})
        case "CommentRemoved":
            left = {key: comment for key, comment in post.comments.items() if key != data["commentId"]}
            return replace(post, comments=left)
        case "PostRemoved":
            return replace(post, status="removed", message="", comments={})
        case _:
            return replace(post, stuck=post.stuck or "event-not-readable")


def answer(command: PostCommand, post: Model) -> str:
    """`EVENTS`, `NOTHING` (already in effect), or the code of the refusal."""
    if isinstance(command, CreatePost):
        same = (command.author, command.message) == (post.author, post.message)
        return {"none": EVENTS, "removed": "post-removed"}.get(post.status, NOTHING if same else "post-exists")
    if post.status != "live":
        return "post-not-found" if post.status == "none" else "post-removed"
    match command:
        case LikePost(username=name):
            return NOTHING if name in post.likers else EVENTS
        case UnlikePost(username=name):
            return EVENTS if name in post.likers else NOTHING
        case EditMessage() | RemovePost() if command.username != post.author:
            return "not-the-author"
        case EditMessage(message=message):
            return NOTHING if message == post.message else EVENTS
        case AddComment() | EditComment() | RemoveComment():
            return _answer_about_comment(command, post.comments.get(command.comment_id))
        case _:
            return EVENTS


def _answer_about_comment(
    command: AddComment | EditComment | RemoveComment, found: tuple[str, str, str, bool] | None
) -> str:
    if isinstance(command, AddComment):
        same = found is not None and found[:2] == (command.comment, command.username)
        return EVENTS if found is None else NOTHING if same else "comment-exists"
    if found is None:
        return "comment-not-found"
    if found[1] != command.username:
        return "not-the-writer"
    return NOTHING if isinstance(command, EditComment) and found[0] == command.comment else EVENTS


def event_of(command: PostCommand) -> tuple[str, dict[str, Any]]:
    """What is stored for the command, if anything is."""
    match command:
        case CreatePost():
            date = _text_of(command.date_posted)
            return "PostCreated", {"author": command.author, "message": command.message, "datePosted": date}
        case EditMessage():
            date = _text_of(command.edited_at)
            return "MessageUpdated", {"message": command.message, "username": command.username, "editedAt": date}
        case LikePost():
            return "PostLiked", {"username": command.username}
        case UnlikePost():
            return "PostUnliked", {"username": command.username}
        case AddComment():
            return "CommentAdded", _comment(command, "commentDate", command.comment_date)
        case EditComment():
            return "CommentUpdated", _comment(command, "editDate", command.edit_date)
        case RemoveComment():
            return "CommentRemoved", {"commentId": command.comment_id, "username": command.username}
        case RemovePost():
            return "PostRemoved", {"username": command.username}


def _comment(command: AddComment | EditComment, date_name: str, date: datetime) -> dict[str, Any]:
    texts = {"commentId": command.comment_id, "comment": command.comment, "username": command.username}
    return {**texts, date_name: _text_of(date)}


def _text_of(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer_all(commands: Sequence[PostCommand], post: Model) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """For commands that become one commit: what the rules say, and the events."""
    events = []
    for command in commands:
        said = answer(command, post)
        if said not in (EVENTS, NOTHING):
            return said, []
        if said == EVENTS:
            events.append(event_of(command))
            post = fold(post, *events[-1])
    return (EVENTS if events else NOTHING), events
