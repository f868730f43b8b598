"""What a client reads when a command is refused: the error, the field that it is about, and the sentence."""

import pytest

from domain.callers import Caller
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
    BlankText,
    CommentExists,
    CommentNotFound,
    EventNotReadable,
    HiddenCharacters,
    NotTheAuthor,
    NotTheCaller,
    NotTheWriter,
    PostExists,
    PostlogError,
    PostNotFound,
    PostRemovedAlready,
    RoleRequired,
    SurroundingBlanks,
    TextNotStorable,
    TextTooLong,
)
from domain.events import PostEvent, PostRemoved
from domain.limits import Limits
from domain.post import decide, fold
from given import COMMENT, COMMENTED, CREATED, LATER, NOON, OTHER_COMMENT, POST

LIMITS = Limits(name=20, message=1_200, comment=50)
CID = Caller("Cid")
NONE: list[PostEvent] = []
LIVE = [CREATED, COMMENTED]
REMOVED = [CREATED, PostRemoved(username="Ann")]


def create(author: str = "Ann", message: str = "Hello", caller: Caller | None = None) -> CreatePost:
    return CreatePost(post_id=POST, author=author, message=message, date_posted=NOON, caller=caller)


def edit(message: str = "New", username: str = "Ann") -> EditMessage:
    return EditMessage(post_id=POST, message=message, username=username, edited_at=LATER)


def like(username: str | None, caller: Caller | None = None) -> LikePost:
    return LikePost(post_id=POST, username=username, caller=caller)


def add_comment(comment: str = "Nice", username: str = "Bob") -> AddComment:
    return AddComment(post_id=POST, comment_id=COMMENT, comment=comment, username=username, comment_date=NOON)


def edit_comment(comment: str = "New", username: str = "Bob", comment_id: str = COMMENT) -> EditComment:
    return EditComment(post_id=POST, comment_id=comment_id, comment=comment, username=username, edit_date=LATER)


def remove_comment(username: str = "Bob") -> RemoveComment:
    return RemoveComment(post_id=POST, comment_id=COMMENT, username=username)


NUL = "contains a NUL character or an unpaired surrogate, which can't be stored."
BLANK = "is blank; it needs at least one visible character."
NOT_YOURS = "names another user than the one who is signed in; leave it out, or send your own name."
WRITER = "Only the writer of a comment may edit or remove it."
AUTHOR = "Only the author of a post may edit or remove it."

REFUSALS: list[tuple[list[PostEvent], PostCommand, type[PostlogError], str, str]] = [
    (NONE, edit(), PostNotFound, "id", f"Post {POST} does not exist."),
    (REMOVED, edit(), PostRemovedAlready, "id", f"Post {POST} was removed and can't be changed."),
    (REMOVED, create(), PostRemovedAlready, "id", f"Post {POST} was removed; its id can't be reused."),
    (LIVE, create(message="Other"), PostExists, "id", f"Post {POST} already exists with different content."),
    (LIVE, create(author="Bob"), PostExists, "id", f"Post {POST} already exists with different content."),
    (LIVE, edit(username="Bob"), NotTheAuthor, "username", AUTHOR),
    (LIVE, RemovePost(post_id=POST, username="Bob"), NotTheAuthor, "username", AUTHOR),
    (LIVE, add_comment("Other"), CommentExists, "commentId", f"Comment {COMMENT} already exists."),
    (LIVE, add_comment(username="Cid"), CommentExists, "commentId", f"Comment {COMMENT} already exists."),
    (LIVE, edit_comment(username="Cid"), NotTheWriter, "username", WRITER),
    (LIVE, remove_comment(username="Cid"), NotTheWriter, "username", WRITER),
    (
        LIVE,
        edit_comment(comment_id=OTHER_COMMENT),
        CommentNotFound,
        "commentId",
        f"Post {POST} has no comment {OTHER_COMMENT}.",
    ),
    # Texts: each field of each command
    (NONE, create(author=""), BlankText, "author", f"author {BLANK}"),
    (NONE, create(message=" "), BlankText, "message", f"message {BLANK}"),
    (LIVE, edit(username=""), BlankText, "username", f"username {BLANK}"),
    (LIVE, edit(message=""), BlankText, "message", f"message {BLANK}"),
    (LIVE, like(""), BlankText, "username", f"username {BLANK}"),
    (LIVE, UnlikePost(post_id=POST, username=""), BlankText, "username", f"username {BLANK}"),
    (LIVE, add_comment(username=""), BlankText, "username", f"username {BLANK}"),
    (LIVE, add_comment(""), BlankText, "comment", f"comment {BLANK}"),
    (LIVE, edit_comment(username=""), BlankText, "username", f"username {BLANK}"),
    (LIVE, edit_comment(""), BlankText, "comment", f"comment {BLANK}"),
    (LIVE, remove_comment(""), BlankText, "username", f"username {BLANK}"),
    (LIVE, RemovePost(post_id=POST, username=""), BlankText, "username", f"username {BLANK}"),
    (NONE, create(author="A" * 21), TextTooLong, "author", "author has 21 characters; at most 20 are allowed."),
    (
        NONE,
        create(message="m" * 1_201),
        TextTooLong,
        "message",
        "message has 1,201 characters; at most 1,200 are allowed.",
    ),
    (LIVE, edit("m" * 1_201), TextTooLong, "message", "message has 1,201 characters; at most 1,200 are allowed."),
    (LIVE, add_comment("c" * 51), TextTooLong, "comment", "comment has 51 characters; at most 50 are allowed."),
    (LIVE, edit_comment("c" * 51), TextTooLong, "comment", "comment has 51 characters; at most 50 are allowed."),
    (LIVE, like(" Cid"), SurroundingBlanks, "username", "username starts or ends with whitespace; remove it."),
    (
        LIVE,
        like("C\u200bid"),
        HiddenCharacters,
        "username",
        "username contains the control or invisible character U+200B; remove it.",
    ),
    (
        LIVE,
        like("C\tid"),
        HiddenCharacters,
        "username",
        "username contains the control or invisible character U+0009; remove it.",
    ),
    (NONE, create(author="A\0"), TextNotStorable, "author", f"author {NUL}"),
    (NONE, create(message="m\0"), TextNotStorable, "message", f"message {NUL}"),
    (LIVE, edit("\ud800"), TextNotStorable, "message", f"message {NUL}"),
    # Callers
    (NONE, create(caller=CID), NotTheCaller, "author", f"author {NOT_YOURS}"),
    (LIVE, like("Ann", CID), NotTheCaller, "username", f"username {NOT_YOURS}"),
    (LIVE, like(None, CID), RoleRequired, "username", "A like without a name needs the role importer."),
]


@pytest.mark.parametrize(("events", "command", "error", "path", "message"), REFUSALS)
def test_a_refusal_names_the_field_and_says_what_is_wrong(
    events: list[PostEvent], command: PostCommand, error: type[PostlogError], path: str, message: str
) -> None:
    with pytest.raises(PostlogError) as refused:
        decide(command, fold(events), LIMITS)
    assert (type(refused.value), refused.value.path, refused.value.message) == (error, path, message)
    assert str(refused.value) == message


def test_an_event_that_can_not_be_read_has_its_version_if_it_is_one_event() -> None:
    one, commit = EventNotReadable("One is unknown.", version=3), EventNotReadable("They do not fit.")
    assert (one.message, one.version, one.path) == ("One is unknown.", 3, None)
    assert (commit.message, commit.version) == ("They do not fit.", None)
