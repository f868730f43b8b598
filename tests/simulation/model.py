"""What the checker knows of posts: its own fold and its own rules, over stored events as plain data.

It shares nothing with `domain` and `application.projections` but the names of the events, and the commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


def says(command: PostCommand, event_type: str, data: Mapping[str, Any]) -> bool:
    """Whether the event is what the command asked for."""
    match command:
        case CreatePost():
            return event_type == "PostCreated" and (data["author"], data["message"]) == (
                command.author,
                command.message,
            )
        case EditMessage():
            return event_type == "MessageUpdated" and data["message"] == command.message
        case LikePost():
            return event_type == "PostLiked" and data["username"] == command.username
        case UnlikePost():
            return event_type == "PostUnliked" and data["username"] == command.username
        case AddComment() | EditComment():
            expected = "CommentAdded" if isinstance(command, AddComment) else "CommentUpdated"
            stored = (data.get("commentId"), data.get("comment"), data.get("username"))
            return event_type == expected and stored == (command.comment_id, command.comment, command.username)
        case RemoveComment():
            return event_type == "CommentRemoved" and data["commentId"] == command.comment_id
        case RemovePost():
            return event_type == "PostRemoved" and data["username"] == command.username
