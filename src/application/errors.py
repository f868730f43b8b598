"""Leaves of the error tree (`domain.errors`) that concern the log, the read database, and many writers at once.

PostlogError
├── InvalidInput
│   └── MalformedRequest       malformed-request
├── RuleBroken
│   └── IdempotencyKeyReused   idempotency-key-reused
├── CommitTooLarge             commit-too-large
├── VersionMismatch            version-mismatch        If-Match names another version
├── PositionBeyondLog          position-beyond-log     a query asks for rows of a position that the log does not have
├── WriteConflict              write-conflict          others were faster until the attempts were used up
├── EventNotApplicable         event-not-applicable    a stored event makes no sense on what stands before it
├── CutRefused                 cut-refused             nothing may be removed from the log there, or now
├── RebuildRunning             rebuild-running         another process builds this read database
├── RebuildCancelled           rebuild-cancelled
├── AuditRunning               audit-running           one runs in this process
├── NotFound
│   ├── CommitNotFound         commit-not-found
│   ├── VersionNotFound        version-not-found       the post has not come to it yet
│   └── RebuildNotFound        rebuild-not-found
├── StateConflict
│   ├── RebuildEnded           rebuild-ended           it is live already
│   └── RebuildNotPossible     rebuild-not-possible    not into that read database, not from here
└── Unavailable                try again later
    ├── StoreUnavailable       store-unavailable
    ├── HistoryNotRead         history-not-read        more events than one query may read
    ├── LogChanged             log-changed             the log lost what this process wrote or read
    ├── ReadDbUnavailable      read-db-unavailable
    ├── ReadDbNotReady         read-db-not-ready       it is being filled for the first time
    ├── SchemaOutdated         schema-outdated         the database's revision is not this version's
    ├── BusUnavailable         bus-unavailable
    ├── NotYetVisible          not-yet-visible         the rows are older than the position asked for
    ├── PostParked             post-parked
    ├── LogDamaged             log-damaged             positions are missing from the log
    ├── StreamDamaged          stream-damaged          the log lacks a version of the post, or holds it twice
    ├── RebuildNotBegun        rebuild-not-begun       its process ended, or took too long, before it began
    └── Stopping               stopping
Fatal to a process, never an answer:
├── CannotOpen                 cannot-open             a local file or folder is not what it must be
├── BackupRefused              backup-refused          a backup or a restore can't be made; nothing was changed
├── WrongLog                   wrong-log               the read database belongs to another log
└── TopicInUse                 topic-in-use            its number of partitions can't be changed any more
"""

from domain.errors import InvalidInput, NotFound, PostlogError, RuleBroken, StateConflict


class MalformedRequest(InvalidInput):
    """The input has the wrong form: a bad id, a bad cursor, an unknown field, a wrong type."""

    code = "malformed-request"


class IdempotencyKeyReused(RuleBroken):
    """The key was spent by another request."""

    code = "idempotency-key-reused"


class CommitTooLarge(PostlogError):
    code = "commit-too-large"


class EventNotApplicable(PostlogError):
    """The event can be read but makes no sense on the rows before it; its stream is parked."""

    code = "event-not-applicable"


class CutRefused(PostlogError):
    """`postlog events cut` does not remove what it was asked to."""

    code = "cut-refused"


class RebuildRunning(PostlogError):
    """Another process is building in the idle slot of this read database. `generation` is what it builds, `rebuild_id`
    the name by which operators know that; None where it is not known."""

    code = "rebuild-running"

    def __init__(self, message: str, *, generation: int | None = None, rebuild_id: str | None = None) -> None:
        super().__init__(message)
        self.generation = generation
        self.rebuild_id = rebuild_id


class RebuildCancelled(PostlogError):
    """Somebody cancelled the rebuild; the live rows are untouched."""

    code = "rebuild-cancelled"


class RebuildNotFound(NotFound):
    code = "rebuild-not-found"


class RebuildEnded(StateConflict):
    """There is nothing to cancel: its rows are live, or were."""

    code = "rebuild-ended"


class RebuildNotPossible(StateConflict):
    code = "rebuild-not-possible"


class CommitNotFound(NotFound):
    code = "commit-not-found"


class VersionNotFound(NotFound):
    code = "version-not-found"


class AuditRunning(PostlogError):
    code = "audit-running"


class VersionMismatch(PostlogError):
    """`current_version` is the version at which the stream stands."""

    code = "version-mismatch"

    def __init__(self, message: str, *, current_version: int) -> None:
        super().__init__(message, path="If-Match")
        self.current_version = current_version


class PositionBeyondLog(PostlogError):
    """No commit stands at the position that a query asks for: waiting would not help."""

    code = "position-beyond-log"


class WriteConflict(PostlogError):
    code = "write-conflict"


class Unavailable(PostlogError):
    """Nothing is wrong with the request; the same request may succeed later. `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, path: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, path=path)
        self.retry_after = retry_after


class StoreUnavailable(Unavailable):
    code = "store-unavailable"


class HistoryNotRead(Unavailable):
    """So much of it was read as one query may; the next one goes on from there."""

    code = "history-not-read"


class LogChanged(Unavailable):
    """The log is not the one that this process has built on: it was restored, dropped or changed underneath. The
    process takes no more commands until it is restarted; trying again in the same process does not help."""

    code = "log-changed"


class ReadDbUnavailable(Unavailable):
    code = "read-db-unavailable"


class ReadDbNotReady(Unavailable):
    code = "read-db-not-ready"


class BusUnavailable(Unavailable):
    code = "bus-unavailable"


class NotYetVisible(Unavailable):
    code = "not-yet-visible"


class PostParked(Unavailable):
    code = "post-parked"


class LogDamaged(Unavailable):
    """Positions are missing from the log, which no writer of Postlog leaves behind: somebody removed commits by hand,
    or a backup was restored in part. Reading on would lose events unseen, so readers stop there until the gap is gone.
    """

    code = "log-damaged"


class StreamDamaged(Unavailable):
    """A version of the stream is missing from the log, or two commits hold it. Nothing is appended to the stream."""

    code = "stream-damaged"


class RebuildNotBegun(Unavailable):
    code = "rebuild-not-begun"


class Stopping(Unavailable):
    code = "stopping"


class WrongLog(PostlogError):
    code = "wrong-log"


class TopicInUse(PostlogError):
    """The topic holds messages and has another number of partitions than it should."""

    code = "topic-in-use"


class SchemaOutdated(Unavailable):
    """A database without the tables or indexes of this version: `postlog init` makes them, while processes wait."""

    code = "schema-outdated"


class CannotOpen(PostlogError):
    """A local file can't be opened, and trying again won't help. `path` is that of the setting that names it."""

    code = "cannot-open"


class BackupRefused(PostlogError):
    """A backup or a restore can't be made, and nothing was changed."""

    code = "backup-refused"
