"""The tree of errors that Postlog reports to its callers. `code` is stable: problems, docs and metrics use it.

    PostlogError
    ├── InvalidInput              it is not a well-formed command or query
    │   └── TextNotStorable       text-not-storable
    ├── RuleBroken                a business rule is violated
    │   ├── BlankText             blank-text
    │   ├── TextTooLong           text-too-long
    │   ├── SurroundingBlanks     surrounding-blanks
    │   └── HiddenCharacters      hidden-characters
    ├── NotFound
    │   ├── PostNotFound          post-not-found
    │   └── CommentNotFound       comment-not-found
    ├── NotAllowed
    │   ├── NotTheAuthor          not-the-author
    │   ├── NotTheWriter          not-the-writer
    │   ├── NotTheCaller          not-the-caller       the command names another user than its caller
    │   └── RoleRequired          role-required
    ├── StateConflict
    │   ├── PostRemovedAlready    post-removed
    │   ├── PostExists            post-exists
    │   └── CommentExists         comment-exists
    └── EventNotReadable          event-not-readable

`application.errors` adds the errors that concern the log, the read database and concurrency.
"""

from typing import ClassVar


class PostlogError(Exception):
    """The root. The message is a sentence for people, `code` is for programs, `path` names the
    invalid field, if any.
    """

    code: ClassVar[str] = "postlog-error"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class InvalidInput(PostlogError):
    code = "invalid-input"


class TextNotStorable(InvalidInput):
    """The text contains a character that not every database can store: NUL, or an unpaired surrogate."""

    code = "text-not-storable"


class RuleBroken(PostlogError):
    code = "rule-broken"


class BlankText(RuleBroken):
    code = "blank-text"


class TextTooLong(RuleBroken):
    code = "text-too-long"


class SurroundingBlanks(RuleBroken):
    code = "surrounding-blanks"


class HiddenCharacters(RuleBroken):
    """A name contains a control character, or an invisible one."""

    code = "hidden-characters"


class NotFound(PostlogError):
    code = "not-found"


class PostNotFound(NotFound):
    code = "post-not-found"


class CommentNotFound(NotFound):
    code = "comment-not-found"


class NotAllowed(PostlogError):
    code = "not-allowed"


class NotTheAuthor(NotAllowed):
    code = "not-the-author"


class NotTheWriter(NotAllowed):
    code = "not-the-writer"


class NotTheCaller(NotAllowed):
    """The command is in the name of another user than the one who sent it."""

    code = "not-the-caller"


class RoleRequired(NotAllowed):
    """The caller lacks a role."""

    code = "role-required"


class StateConflict(PostlogError):
    code = "state-conflict"


class PostRemovedAlready(StateConflict):
    code = "post-removed"


class PostExists(StateConflict):
    code = "post-exists"


class CommentExists(StateConflict):
    code = "comment-exists"


class EventNotReadable(PostlogError):
    """This version of Postlog does not know the type, schema version or shape of a stored event. `version` is its
    number in the stream; None: the events of its commit can't be read together.
    """

    code = "event-not-readable"

    def __init__(self, message: str, *, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version
