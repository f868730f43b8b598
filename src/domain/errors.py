"""The tree of errors that a caller of Postlog can meet. `code` is stable: problems, docs and metrics name it.

    PostlogError
    ├── InvalidInput              it can't be a command or a query at all
    │   └── TextNotStorable       text-not-storable
    ├── RuleBroken                a rule of the domain says no
    │   ├── BlankText             blank-text
    │   ├── TextTooLong           text-too-long
    │   ├── SurroundingBlanks     surrounding-blanks
    │   └── HiddenCharacters      hidden-characters
    ├── NotFound
    │   ├── PostNotFound          post-not-found
    │   └── CommentNotFound       comment-not-found
    ├── NotAllowed
    │   ├── NotTheAuthor          not-the-author
    │   └── NotTheWriter          not-the-writer
    ├── StateConflict
    │   ├── PostRemovedAlready    post-removed
    │   ├── PostExists            post-exists
    │   └── CommentExists         comment-exists
    └── EventNotReadable          event-not-readable

`application.errors` adds the leaves that concern the log, the read database and concurrency.
"""

from typing import ClassVar


class PostlogError(Exception):
    """Root. The message is one sentence for people, `code` is for programs, `path` names the field to blame, if any."""

    code: ClassVar[str] = "postlog-error"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class InvalidInput(PostlogError):
    code = "invalid-input"


class TextNotStorable(InvalidInput):
    """The text holds a character that not every store can hold: NUL or half of a surrogate pair."""

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
    """A name holds a control character, or one that nobody can see."""

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


class StateConflict(PostlogError):
    code = "state-conflict"


class PostRemovedAlready(StateConflict):
    code = "post-removed"


class PostExists(StateConflict):
    code = "post-exists"


class CommentExists(StateConflict):
    code = "comment-exists"


class EventNotReadable(PostlogError):
    """A stored event whose type, schema version or data this version of Postlog does not know. `version` is its number
    in the stream; None: the events of its commit can't be read together."""

    code = "event-not-readable"

    def __init__(self, message: str, *, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version
