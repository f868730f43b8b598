"""Rules on texts, the same for every command: storable, not blank, not too long; names without surrounding blanks."""

import re
from typing import assert_never

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
from domain.errors import BlankText, SurroundingBlanks, TextNotStorable, TextTooLong
from domain.limits import Limits

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def check_texts(command: PostCommand, limits: Limits) -> None:
    match command:
        case CreatePost():
            check_name(command.author, "author", limits)
            check_text(command.message, "message", limits.message)
        case EditMessage():
            check_name(command.username, "username", limits)
            check_text(command.message, "message", limits.message)
        case LikePost():
            if command.username is not None:
                check_name(command.username, "username", limits)
        case AddComment() | EditComment():
            check_name(command.username, "username", limits)
            check_text(command.comment, "comment", limits.comment)
        case UnlikePost() | RemoveComment() | RemovePost():
            check_name(command.username, "username", limits)
        case _:
            assert_never(command)


def check_name(name: str, path: str, limits: Limits) -> None:
    check_text(name, path, limits.name)
    if name != name.strip():
        raise SurroundingBlanks(f"{path} begins or ends with a blank; send it without.", path=path)


def is_storable(text: str) -> bool:
    """Whether every store can hold it."""
    return not _NOT_STORABLE.search(text)


def check_text(text: str, path: str, limit: int) -> None:
    if not is_storable(text):
        raise TextNotStorable(
            f"{path} holds a NUL character or half of a surrogate pair, which can't be stored.", path=path
        )
    if not text.strip():
        raise BlankText(f"{path} is blank; it needs at least one visible character.", path=path)
    if len(text) > limit:
        raise TextTooLong(f"{path} has {len(text):,} characters; at most {limit:,} are allowed.", path=path)
