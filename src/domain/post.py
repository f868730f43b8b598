"""THE AGGREGATE. Reading order: the state that the next decision needs, `evolve`, `decide`.

`decide(command, state, limits)` returns the events that the command leads to: none if it is already in effect. It
raises an error of `domain.errors` if a rule refuses the command. Deciding the same command on the evolved state yields
nothing. Names are compared by `name_key`, so that no database's collation influences who may do what. A command whose
caller is a moderator removes every post and comment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import assert_never

from domain import rules
from domain.callers import Role
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
from domain.errors import (
    CommentExists,
    CommentNotFound,
    NotTheAuthor,
    NotTheWriter,
    PostExists,
    PostNotFound,
    PostRemovedAlready,
)
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
from domain.ids import CommentId
from domain.limits import Limits
from domain.names import name_key
from domain.persistent_map import PersistentMap


@dataclass(frozen=True, slots=True)
class NoPost:
    """Nothing has happened in this stream yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    text: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePost:
    """`likers` has the keys of names (`name_key`). No decision depends on anonymous likes, so they are not kept."""

    author: str
    message: str
    likers: PersistentMap[str, bool] = field(default_factory=PersistentMap)
    comments: PersistentMap[CommentId, Comment] = field(default_factory=PersistentMap)


@dataclass(frozen=True, slots=True)
class RemovedPost:
    """Every command is refused; the history stays readable."""


PostState = NoPost | LivePost | RemovedPost

INITIAL: PostState = NoPost()


def fold(events: Iterable[PostEvent], state: PostState = INITIAL) -> PostState:
    return reduce(evolve, events, state)


def evolve(state: PostState, event: PostEvent) -> PostState:
    match event:
        case PostCreated():
            return LivePost(author=event.author, message=event.message) if isinstance(state, NoPost) else state
        case PostRemoved():
            return RemovedPost()
        case _:
            return _evolve_live(state, event) if isinstance(state, LivePost) else state


def _evolve_live(
    post: LivePost,
    event: MessageUpdated | PostLiked | PostUnliked | CommentAdded | CommentUpdated | CommentRemoved,
) -> LivePost:
    match event:
        case MessageUpdated():
            return replace(post, message=event.message)
        case PostLiked():
            name = event.username
            return post if name is None else replace(post, likers=post.likers.put(name_key(name), True))
        case PostUnliked():
            return replace(post, likers=post.likers.remove(name_key(event.username)))
        case CommentAdded() | CommentUpdated():
            comment = Comment(text=event.comment, username=event.username)
            return replace(post, comments=post.comments.put(event.comment_id, comment))
        case CommentRemoved():
            return replace(post, comments=post.comments.remove(event.comment_id))
        case _:
            assert_never(event)


def decide(command: PostCommand, state: PostState, limits: Limits) -> list[PostEvent]:
    rules.check_caller(command)
    rules.check_texts(command, limits, _names_in(state, command))
    if isinstance(command, CreatePost):
        return _create(command, state)
    match state:
        case NoPost():
            raise PostNotFound(f"Post {command.post_id} does not exist.", path="id")
        case RemovedPost():
            raise PostRemovedAlready(f"Post {command.post_id} was removed and can't be changed.", path="id")
        case LivePost():
            return _decide_live(command, state)
        case _:
            assert_never(state)


def _names_in(state: PostState, command: PostCommand) -> tuple[str, ...]:
    """The keys of names in the post's history that may send this command, even if they break the
    rules for new names.
    """
    if not isinstance(state, LivePost) or isinstance(command, CreatePost):
        return ()
    names = [name_key(state.author)]
    if isinstance(command, EditComment | RemoveComment) and (comment := state.comments.get(command.comment_id)):
        names.append(name_key(comment.username))
    if isinstance(command, UnlikePost) and name_key(command.username) in state.likers:
        names.append(name_key(command.username))
    return tuple(names)


def _decide_live(
    command: EditMessage | LikePost | UnlikePost | AddComment | EditComment | RemoveComment | RemovePost,
    post: LivePost,
) -> list[PostEvent]:
    match command:
        case EditMessage():
            return _edit_message(command, post)
        case LikePost():
            return _like(command, post)
        case UnlikePost():
            likes = name_key(command.username) in post.likers
            return [PostUnliked(username=command.username)] if likes else []
        case AddComment():
            return _add_comment(command, post)
        case EditComment():
            return _edit_comment(command, post)
        case RemoveComment():
            _own_comment(command, post)
            return [CommentRemoved(comment_id=command.comment_id, username=command.username)]
        case RemovePost():
            _require_author(command, post)
            return [PostRemoved(username=command.username)]
        case _:
            assert_never(command)


def _create(command: CreatePost, state: PostState) -> list[PostEvent]:
    match state:
        case NoPost():
            return [PostCreated(author=command.author, message=command.message, date_posted=command.date_posted)]
        case RemovedPost():
            raise PostRemovedAlready(f"Post {command.post_id} was removed; its id can't be reused.", path="id")
        case LivePost(author=command.author, message=command.message):
            return []
        case LivePost():
            raise PostExists(f"Post {command.post_id} already exists with different content.", path="id")
        case _:
            assert_never(state)


def _edit_message(command: EditMessage, post: LivePost) -> list[PostEvent]:
    _require_author(command, post)
    if command.message == post.message:
        return []
    return [MessageUpdated(message=command.message, username=command.username, edited_at=command.edited_at)]


def _like(command: LikePost, post: LivePost) -> list[PostEvent]:
    if command.username is not None and name_key(command.username) in post.likers:
        return []
    return [PostLiked(username=command.username)]


def _add_comment(command: AddComment, post: LivePost) -> list[PostEvent]:
    match post.comments.get(command.comment_id):
        case None:
            return [
                CommentAdded(
                    comment_id=command.comment_id,
                    comment=command.comment,
                    username=command.username,
                    comment_date=command.comment_date,
                )
            ]
        case Comment(text=command.comment, username=command.username):
            return []
        case _:
            raise CommentExists(f"Comment {command.comment_id} already exists.", path="commentId")


def _edit_comment(command: EditComment, post: LivePost) -> list[PostEvent]:
    if _own_comment(command, post).text == command.comment:
        return []
    return [
        CommentUpdated(
            comment_id=command.comment_id,
            comment=command.comment,
            username=command.username,
            edit_date=command.edit_date,
        )
    ]


def _own_comment(command: EditComment | RemoveComment, post: LivePost) -> Comment:
    comment = post.comments.get(command.comment_id)
    if comment is None:
        raise CommentNotFound(f"Post {command.post_id} has no comment {command.comment_id}.", path="commentId")
    if name_key(comment.username) != name_key(command.username) and not _moderates(command):
        raise NotTheWriter("Only the writer of a comment may edit or remove it.", path="username")
    return comment


def _require_author(command: EditMessage | RemovePost, post: LivePost) -> None:
    if name_key(post.author) != name_key(command.username) and not _moderates(command):
        raise NotTheAuthor("Only the author of a post may edit or remove it.", path="username")


def _moderates(command: PostCommand) -> bool:
    """A moderator removes what others wrote, and edits nothing of it."""
    caller = command.caller
    return isinstance(command, RemovePost | RemoveComment) and caller is not None and caller.has(Role.MODERATOR)
