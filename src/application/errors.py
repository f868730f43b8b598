"""The errors (see the tree in `domain.errors`) that concern the log, the read database, and concurrent writers.

PostlogError
├── InvalidInput
│   └── MalformedRequest       malformed-request
├── RuleBroken
│   └── IdempotencyKeyReused   idempotency-key-reused
├── NotAuthenticated           not-authenticated       the request does not say who sends it
│   └── InvalidToken           invalid-token
├── CommitTooLarge             commit-too-large
├── VersionMismatch            version-mismatch        If-Match has another version
├── PositionBeyondLog          position-beyond-log     a query requires a position that the log does not have
├── WriteConflict              write-conflict          other writers were faster at every attempt
├── EventNotApplicable         event-not-applicable    a stored event can't be applied to the rows before it
├── CutRefused                 cut-refused             nothing may be removed from the log there, or not now
├── RebuildRunning             rebuild-running         another process is rebuilding this read database
├── RebuildCancelled           rebuild-cancelled
├── AuditRunning               audit-running           this process is running one
├── NotFound
│   ├── CommitNotFound         commit-not-found
│   ├── VersionNotFound        version-not-found       the post does not have this version yet
│   └── RebuildNotFound        rebuild-not-found
├── StateConflict
│   ├── RebuildEnded           rebuild-ended           it is already live
│   └── RebuildNotPossible     rebuild-not-possible    not into that read database, or not in this process
└── Unavailable                try again later
    ├── StoreUnavailable       store-unavailable
    ├── HistoryNotRead         history-not-read        more events than one query may read
    ├── LogChanged             log-changed             the log lost commits that this process wrote or read
    ├── ReadDbUnavailable      read-db-unavailable
    ├── ReadDbNotReady         read-db-not-ready       it is being filled for the first time
    ├── SchemaOutdated         schema-outdated         the database has the schema of another version
    ├── BusUnavailable         bus-unavailable
    ├── NotYetVisible          not-yet-visible         the rows have not reached the required position yet
    ├── PostParked             post-parked
    ├── LogDamaged             log-damaged             positions are missing from the log
    ├── StreamDamaged          stream-damaged          the log lacks a version of the post, or has it twice
    ├── IdentityUnavailable    identity-unavailable    no keys to verify tokens with
    ├── RebuildNotBegun        rebuild-not-begun       its process ended, or did not begin in time
    └── Stopping               stopping
Fatal to a process, never a response:
├── CannotOpen                 cannot-open             a local file or folder can't be opened
├── BackupRefused              backup-refused          a backup or restore can't be made; nothing was changed
├── WrongLog                   wrong-log               the read database belongs to another log
└── TopicInUse                 topic-in-use            its number of partitions can't be changed any more
"""

from domain.errors import InvalidInput, NotFound, PostlogError, RuleBroken, StateConflict


class MalformedRequest(InvalidInput):
    """The input is malformed: an invalid id or cursor, an unknown field, a wrong type."""

    code = "malformed-request"


class IdempotencyKeyReused(RuleBroken):
    """The key was used by another request."""

    code = "idempotency-key-reused"


class NotAuthenticated(PostlogError):
    code = "not-authenticated"


class InvalidToken(NotAuthenticated):
    """The token is malformed, expired, or was not issued for this service. The message has nothing of it."""

    code = "invalid-token"


class CommitTooLarge(PostlogError):
    code = "commit-too-large"


class EventNotApplicable(PostlogError):
    """The event can be read but not applied to the rows before it; its stream is parked."""

    code = "event-not-applicable"


class CutRefused(PostlogError):
    """`postlog events cut` refuses to remove the commits."""

    code = "cut-refused"


class RebuildRunning(PostlogError):
    """Another process is building in the idle slot of this read database. `generation` is what it builds, `rebuild_id`
    its public name; None if unknown.
    """

    code = "rebuild-running"

    def __init__(self, message: str, *, generation: int | None = None, rebuild_id: str | None = None) -> None:
        super().__init__(message)
        self.generation = generation
        self.rebuild_id = rebuild_id


class RebuildCancelled(PostlogError):
    """The rebuild was cancelled; the live rows did not change."""

    code = "rebuild-cancelled"


class RebuildNotFound(NotFound):
    code = "rebuild-not-found"


class RebuildEnded(StateConflict):
    """The rebuild can't be cancelled: its rows are live, or were."""

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
    """`current_version` is the stream's version."""

    code = "version-mismatch"

    def __init__(self, message: str, *, current_version: int) -> None:
        super().__init__(message, path="If-Match")
        self.current_version = current_version


class PositionBeyondLog(PostlogError):
    """The log has no commit at the position that a query requires: waiting would not help."""

    code = "position-beyond-log"


class WriteConflict(PostlogError):
    code = "write-conflict"


class Unavailable(PostlogError):
    """The request is correct and may succeed later. `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, path: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, path=path)
        self.retry_after = retry_after


class StoreUnavailable(Unavailable):
    code = "store-unavailable"


class HistoryNotRead(Unavailable):
    """One query may read only so many events; the next one resumes there."""

    code = "history-not-read"


class LogChanged(Unavailable):
    """The log is not the one that this process builds on: it was restored, dropped or changed underneath. The process
    accepts no more commands until it is restarted; a retry in the same process does not help.
    """

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
    """Positions are missing from the log. No writer of Postlog leaves a gap, so commits were removed by hand, or a
    backup was restored in part. Skipping the gap would silently lose events, so readers stop there until the gap is
    gone.
    """

    code = "log-damaged"


class StreamDamaged(Unavailable):
    """A version of the stream is missing from the log, or two commits have it. Nothing is appended to the stream."""

    code = "stream-damaged"


class IdentityUnavailable(Unavailable):
    code = "identity-unavailable"


class RebuildNotBegun(Unavailable):
    code = "rebuild-not-begun"


class Stopping(Unavailable):
    code = "stopping"


class WrongLog(PostlogError):
    code = "wrong-log"


class TopicInUse(PostlogError):
    """The topic has messages, and another number of partitions than configured."""

    code = "topic-in-use"


class SchemaOutdated(Unavailable):
    """A database lacks tables or indexes of this version: `postlog init` creates them, while processes wait."""

    code = "schema-outdated"


class CannotOpen(PostlogError):
    """A local file can't be opened, and a retry does not help. `path` is that of the setting that names it."""

    code = "cannot-open"


class BackupRefused(PostlogError):
    """A backup or a restore can't be made, and nothing was changed."""

    code = "backup-refused"
