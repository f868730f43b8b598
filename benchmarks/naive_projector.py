"""The projector that a beginner's book has: one event, one transaction, the checkpoint in it. It writes to the same
tables, with their indexes, that Postlog writes to, by statements that need no row to be read first.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Execute = Callable[[str, tuple[Any, ...]], object]

CHECKPOINT = "CREATE TABLE IF NOT EXISTS naive_checkpoint (position BIGINT NOT NULL)"
_BEGIN_CHECKPOINT = "INSERT INTO naive_checkpoint (position) VALUES (0)"
_MOVE = "UPDATE naive_checkpoint SET position = ?"
_CREATE = """INSERT INTO posts_a (post_id, status, author, date_posted, message, likes, comments_count, version,
    author_folded) VALUES (?, 1, ?, ?, ?, 0, 0, ?, ?)"""
_ADD_COMMENT = """INSERT INTO comments_a (post_id, comment_id, username, comment, comment_date, edited)
    VALUES (?, ?, ?, ?, ?, FALSE)"""
_EDIT_COMMENT = "UPDATE comments_a SET comment = ?, edited = TRUE WHERE post_id = ? AND comment_id = ?"
_POST = {
    "PostLiked": "UPDATE posts_a SET likes = likes + 1, version = ? WHERE post_id = ?",
    "PostUnliked": "UPDATE posts_a SET likes = likes - 1, version = ? WHERE post_id = ?",
    "CommentAdded": "UPDATE posts_a SET comments_count = comments_count + 1, version = ? WHERE post_id = ?",
    "CommentUpdated": "UPDATE posts_a SET version = ? WHERE post_id = ?",
    "CommentRemoved": "UPDATE posts_a SET comments_count = comments_count - 1, version = ? WHERE post_id = ?",
    "PostRemoved": "UPDATE posts_a SET status = 2, message = '', comments_count = 0, version = ? WHERE post_id = ?",
}

NaiveEvent = tuple[int, str, int, str, Mapping[str, Any]]
"""Position, post id, version, type and data."""


def start(execute: Execute, commit: Callable[[], None]) -> None:
    execute("DELETE FROM comments_a", ())
    execute("DELETE FROM posts_a", ())
    execute("DELETE FROM naive_checkpoint", ())
    execute(_BEGIN_CHECKPOINT, ())
    commit()


def project(events: Iterable[NaiveEvent], execute: Execute, commit: Callable[[], None]) -> None:
    """`execute` begins a transaction where there is none; its placeholders are question marks."""
    for position, post_id, version, kind, data in events:
        apply(execute, post_id, version, kind, data)
        execute(_MOVE, (position,))
        commit()


def apply(execute: Execute, post_id: str, version: int, kind: str, data: Mapping[str, Any]) -> None:
    """One event."""
    match kind:
        case "PostCreated":
            author = data["author"]
            execute(_CREATE, (post_id, author, data["datePosted"], data["message"], version, author.casefold()))
            return
        case "MessageUpdated":
            changed = (data["message"], version, post_id)
            execute("UPDATE posts_a SET message = ?, version = ? WHERE post_id = ?", changed)
            return
        case "CommentAdded":
            comment = (post_id, data["commentId"], data["username"], data["comment"], data["commentDate"])
            execute(_ADD_COMMENT, comment)
        case "CommentUpdated":
            execute(_EDIT_COMMENT, (data["comment"], post_id, data["commentId"]))
        case "CommentRemoved":
            execute("DELETE FROM comments_a WHERE post_id = ? AND comment_id = ?", (post_id, data["commentId"]))
        case "PostRemoved":
            execute("DELETE FROM comments_a WHERE post_id = ?", (post_id,))
        case _:
            pass
    execute(_POST[kind], (version, post_id))
