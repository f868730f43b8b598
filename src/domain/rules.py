"""Rules that are the same for every command. Nobody acts in the name of another user. Texts are storable, not blank and
not too long; names are also without surrounding whitespace and without invisible characters.

The rules for names apply to new names only: a name that is already in the post's history may send further commands.
"""

import re
from collections.abc import Container
from typing import assert_never

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
    BlankText,
    HiddenCharacters,
    NotTheCaller,
    RoleRequired,
    SurroundingBlanks,
    TextNotStorable,
    TextTooLong,
)
from domain.limits import Limits
from domain.names import hidden_character, is_blank, name_key

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def check_caller(command: PostCommand) -> None:
    """An authenticated caller acts in their own name; the role importer may act in every name, and without one."""
    caller = command.caller
    if caller is None or caller.has(Role.IMPORTER):
        return
    path = "author" if isinstance(command, CreatePost) else "username"
    name = name_of(command)
    if name is None:
        raise RoleRequired(f"A like without a name needs the role {Role.IMPORTER}.", path=path)
    if name_key(name) != name_key(caller.name):
        raise NotTheCaller(
            f"{path} names another user than the one who is signed in; leave it out, or send your own name.", path=path
        )


def name_of(command: PostCommand) -> str | None:
    """The user in whose name the command is; None for an anonymous like."""
    return command.author if isinstance(command, CreatePost) else command.username


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
