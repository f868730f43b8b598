"""Rules on texts, the same for every command: storable, not blank, not too long; names also without surrounding
whitespace and without invisible characters.

The rules for names apply to new names only: a name that is already in the post's history may send further commands.
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
    """`known` are the keys (`name_key`) of the names in the post's history."""
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
        raise SurroundingBlanks(f"{path} starts or ends with whitespace; remove it.", path=path)
    if (hidden := hidden_character(name)) is not None:
        raise HiddenCharacters(
            f"{path} contains the control or invisible character U+{ord(hidden):04X}; remove it.", path=path
        )


def is_storable(text: str) -> bool:
    """Whether every database can store it."""
    return "\x00" not in text if text.isascii() else not _NOT_STORABLE.search(text)


def check_text(text: str, path: str, limit: int) -> None:
    _check_storable(text, path)
    if is_blank(text):
        raise BlankText(f"{path} is blank; it needs at least one visible character.", path=path)
    if len(text) > limit:
        raise TextTooLong(f"{path} has {len(text):,} characters; at most {limit:,} are allowed.", path=path)


def _check_storable(text: str, path: str) -> None:
    if not is_storable(text):
        raise TextNotStorable(
            f"{path} contains a NUL character or an unpaired surrogate, which can't be stored.", path=path
        )
