"""Rules on texts, the same for every command: storable, not blank, not too long; names also without surrounding blanks
and without characters that nobody can see.

Rules for names bind new names only: a name that the post's history holds already may act on, however it came there.
"""

import re
from collections.abc import Container
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
from domain.errors import BlankText, HiddenCharacters, SurroundingBlanks, TextNotStorable, TextTooLong
from domain.limits import Limits
from domain.names import hidden_character, is_blank, name_key

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def check_texts(command: PostCommand, limits: Limits, known: Container[str] = ()) -> None:
    """`known` are the keys of the names (`name_key`) that the post's history holds."""
    match command:
        case CreatePost():
            check_name(command.author, "author", limits, known)
            check_text(command.message, "message", limits.message)
        case EditMessage():
            check_name(command.username, "username", limits, known)
            check_text(command.message, "message", limits.message)
        case LikePost():
            if command.username is not None:
                check_name(command.username, "username", limits, known)
        case AddComment() | EditComment():
            check_name(command.username, "username", limits, known)
            check_text(command.comment, "comment", limits.comment)
        case UnlikePost() | RemoveComment() | RemovePost():
            check_name(command.username, "username", limits, known)
        case _:
            assert_never(command)


def check_name(name: str, path: str, limits: Limits, known: Container[str] = ()) -> None:
    _check_storable(name, path)
    if name_key(name) in known:
        return
    check_text(name, path, limits.name)
    if name != name.strip():
        raise SurroundingBlanks(f"{path} begins or ends with a blank; send it without.", path=path)
    if (hidden := hidden_character(name)) is not None:
        raise HiddenCharacters(
            f"{path} holds the control or invisible character U+{ord(hidden):04X}; send it without.", path=path
        )


def is_storable(text: str) -> bool:
    """Whether every store can hold it."""
    return not _NOT_STORABLE.search(text)


def check_text(text: str, path: str, limit: int) -> None:
    _check_storable(text, path)
    if is_blank(text):
        raise BlankText(f"{path} is blank; it needs at least one visible character.", path=path)
    if len(text) > limit:
        raise TextTooLong(f"{path} has {len(text):,} characters; at most {limit:,} are allowed.", path=path)


def _check_storable(text: str, path: str) -> None:
    if not is_storable(text):
        raise TextNotStorable(
            f"{path} holds a NUL character or half of a surrogate pair, which can't be stored.", path=path
        )
