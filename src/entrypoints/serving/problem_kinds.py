"""THE table: what an error code means to a caller over HTTP. Answers, `/problems/<code>` and OpenAPI are made from it.

A code that is missing here is treated as that of the nearest class above it in the error tree.
"""

from dataclasses import dataclass

from domain.errors import PostlogError


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """`title` is the same for every occurrence; `advice` says what to do about it."""

    code: str
    status: int
    title: str
    advice: str

    @property
    def type(self) -> str:
        return f"/problems/{self.code}"


_KINDS = (
    # 400
    ProblemKind(
        "malformed-request",
        400,
        "The request is malformed",
        "Mend what `errors` names; /docs describes every path, header, parameter and body.",
    ),
    ProblemKind(
        "invalid-input",
        400,
        "The input can't be used",
        "Mend what `errors` names; /docs describes every path, header, parameter and body.",
    ),
    ProblemKind(
        "text-not-storable",
        400,
        "A text holds a character that can't be stored",
        "Leave out NUL characters and halves of surrogate pairs.",
    ),
    ProblemKind(
        "body-incomplete",
        400,
        "The body ended early",
        "Send the whole body; the connection was closed before it was complete.",
    ),
    # 403
    ProblemKind("not-allowed", 403, "This user may not do this", "Act as the user who may."),
    ProblemKind(
        "not-the-author",
        403,
        "Only its author may do this to a post",
        "Send the name of the post's author as `username`; upper and lower case do not matter.",
    ),
    ProblemKind(
        "not-the-writer",
        403,
        "Only its writer may do this to a comment",
        "Send the name of the comment's writer as `username`; upper and lower case do not matter.",
    ),
    # 404
    ProblemKind(
        "commit-not-found", 404, "There is no such commit", "Look at the id; the log of this service lacks it."
    ),
    ProblemKind("not-found", 404, "There is no such thing", "Look at the id."),
    ProblemKind(
        "post-not-found",
        404,
        "There is no such post",
        "Look at the id. A post that was removed reads as not found, and its history stays readable. A post made a "
        "moment ago is read for certain with the header Postlog-Min-Position.",
    ),
    ProblemKind(
        "version-not-found",
        404,
        "The post has no such version yet",
        "Ask for a version up to the one that `detail` names.",
    ),
    ProblemKind(
        "comment-not-found",
        404,
        "There is no such comment",
        "Look at the ids; the comment may have been removed.",
    ),
    ProblemKind(
        "rebuild-not-found", 404, "There is no such rebuild", "GET /api/v1/read-db/rebuilds lists the newest ones."
    ),
    ProblemKind(
        "route-not-found",
        404,
        "There is no such path",
        "Look at the path; /docs lists those that this process serves. Commands and queries may be served by two.",
    ),
    # 405
    ProblemKind(
        "method-not-allowed",
        405,
        "The path does not know this method",
        "Use one of the methods in the header Allow.",
    ),
    # 408
    ProblemKind(
        "body-too-slow",
        408,
        "The body did not arrive in time",
        "Send the whole body at once; the setting http.client_timeout_seconds says how long it may take.",
    ),
    # 409
    ProblemKind("state-conflict", 409, "The post is not in a state for this", "Read the post and decide anew."),
    ProblemKind(
        "post-removed", 409, "The post was removed", "Nothing: a removed post takes no more changes. Its history stays."
    ),
    ProblemKind("post-exists", 409, "There is such a post already", "Use another id, or edit the post that exists."),
    ProblemKind(
        "comment-exists", 409, "There is such a comment already", "Use another id, or edit the comment that exists."
    ),
    ProblemKind(
        "write-conflict",
        409,
        "Others changed the post at the same time",
        "Send the same request again, with the same Idempotency-Key.",
    ),
    ProblemKind(
        "rebuild-running",
        409,
        "A rebuild of this read database is running already",
        "Wait until it has ended, or cancel it; the header Location names it.",
    ),
    ProblemKind(
        "rebuild-ended", 409, "The rebuild is done", "Nothing: its rows are live. Another rebuild makes new ones."
    ),
    ProblemKind(
        "rebuild-not-possible",
        409,
        "This read database can't be rebuilt from here",
        "Name another one as `adapter`. Rows in memory can be rebuilt only where they are.",
    ),
    ProblemKind("rebuild-cancelled", 409, "The rebuild was cancelled", "Begin another one; the live rows are whole."),
    ProblemKind("cut-refused", 409, "The log was not cut", "Do what `detail` says; nothing was removed."),
    ProblemKind("audit-running", 409, "An audit is running already", "Wait until it has ended, or cancel it."),
    ProblemKind(
        "position-beyond-log",
        409,
        "The log does not have the position asked for",
        "Forget the position and read without Postlog-Min-Position: waiting does not help. The log was restored from a "
        "backup, or the position is none that a command of this service has answered with.",
    ),
    # 412
    ProblemKind(
        "version-mismatch",
        412,
        "The post has another version than If-Match names",
        "Read the post, look at what changed, and send the request again with the version in `currentVersion`.",
    ),
    # 413
    ProblemKind(
        "body-too-large",
        413,
        "The body is too large",
        "Send a smaller body; the setting http.max_body_bytes says how large one may be.",
    ),
    ProblemKind("commit-too-large", 413, "The change is too large", "Send less in one request."),
    # 415
    ProblemKind(
        "unsupported-media-type",
        415,
        "The body is not JSON",
        "Send JSON with the header Content-Type: application/json, and no Content-Encoding.",
    ),
    # 422
    ProblemKind("rule-broken", 422, "A rule says no", "Mend what `errors` names."),
    ProblemKind("blank-text", 422, "A text is blank", "Send at least one visible character."),
    ProblemKind("text-too-long", 422, "A text is too long", "Send a shorter one; `errors` names the limit."),
    ProblemKind("surrounding-blanks", 422, "A name begins or ends with a blank", "Send the name without them."),
    ProblemKind(
        "hidden-characters",
        422,
        "A name holds a control or invisible character",
        "Send the name without the character that `detail` names. Joiners and variation selectors are allowed.",
    ),
    ProblemKind(
        "idempotency-key-reused",
        422,
        "The Idempotency-Key was spent by another request",
        "Use a new key for a new request; the same key stands for the same method, path and body.",
    ),
    # 499
    ProblemKind("client-gone", 499, "The caller has gone", "Nothing: this answer reaches nobody."),
    # 500
    ProblemKind(
        "internal-error",
        500,
        "Postlog failed",
        "This is a fault of Postlog. Its log has the cause, under the correlation id of the answer.",
    ),
    ProblemKind(
        "postlog-error",
        500,
        "Postlog failed",
        "This is a fault of Postlog. Its log has the cause, under the correlation id of the answer.",
    ),
    ProblemKind("cannot-open", 500, "A file of the service can't be opened", "Look at the setting that is named."),
    ProblemKind("backup-refused", 500, "The backup can't be made", "For the operator: `postlog backup` tells why."),
    ProblemKind("login-not-made", 500, "A login could not be made", "For the operator: `postlog init` tells why."),
    ProblemKind("topic-in-use", 500, "The topic is used otherwise", "For the operator: `postlog init` tells how."),
    # 503
    ProblemKind("unavailable", 503, "Not available just now", "Send the same request again after Retry-After."),
    ProblemKind(
        "store-unavailable",
        503,
        "The event store does not answer",
        "Send the same request again after Retry-After, a command with the same Idempotency-Key: it may have been "
        "stored. For the operator: /health/ready and `postlog doctor` name the server and the setting.",
    ),
    ProblemKind(
        "log-changed",
        503,
        "The log changed underneath the service",
        "Send the same request again, with the same Idempotency-Key, to another process or when the operator has "
        "acted. For the operator: the log was restored, dropped or changed while the process was running. Stop the "
        "processes that write, check the log with `postlog doctor` and `postlog events check`, and start them again.",
    ),
    ProblemKind(
        "read-db-unavailable",
        503,
        "The read database does not answer",
        "Send the same request again after Retry-After. For the operator: /health/ready and `postlog doctor` name the "
        "server and the setting.",
    ),
    ProblemKind(
        "read-db-not-ready",
        503,
        "The read database is being filled",
        "Send the same request again after Retry-After; the first filling from the log is under way.",
    ),
    ProblemKind("bus-unavailable", 503, "The bus does not answer", "Send the same request again after Retry-After."),
    ProblemKind(
        "not-yet-visible",
        503,
        "The rows are older than the position asked for",
        "Send the same request again after Retry-After; the projector is behind.",
    ),
    ProblemKind(
        "post-parked",
        503,
        "The post waits for an event that could not be projected",
        "For the operator: `postlog parked show` tells why, and `postlog parked retry` brings the post up to date when "
        "the cause is mended.",
    ),
    ProblemKind(
        "log-damaged",
        503,
        "Positions are missing from the log",
        "For the operator: commits were removed by hand, or a backup was restored in part; restore it whole. `postlog "
        "doctor` says where.",
    ),
    ProblemKind(
        "stream-damaged",
        503,
        "The log is damaged at this post",
        "For the operator: the sentence says which version is missing. Restore the post's commits from a backup; until "
        "then nothing is written to it, and all other posts go on.",
    ),
    ProblemKind(
        "history-not-read",
        503,
        "The post's history is being read",
        "Send the same request again after Retry-After: it goes on where this one stopped.",
    ),
    ProblemKind(
        "too-many-streams",
        503,
        "Too many event streams are open",
        "Ask again after Retry-After, or ask for events page by page. For the operator: http.max_streams.",
    ),
    ProblemKind(
        "rebuild-not-begun",
        503,
        "The rebuild could not begin",
        "For the operator: the service's log tells why; `postlog rebuild` does the same from a shell.",
    ),
    ProblemKind(
        "stopping", 503, "The service is stopping", "Send the same request again, to another process or later."
    ),
    ProblemKind(
        "event-not-readable",
        503,
        "The post has an event that this version of Postlog does not know",
        "For the operator: run a version that knows it, or `postlog events show` to look at it.",
    ),
    ProblemKind(
        "event-not-applicable",
        503,
        "The post has an event that makes no sense after those before it",
        "For the operator: `postlog events show` shows the post's events.",
    ),
    ProblemKind(
        "wrong-log",
        503,
        "The read database belongs to another log",
        "For the operator: look at event_store and read_db in `postlog config`, or rebuild the read database.",
    ),
    ProblemKind(
        "schema-outdated",
        503,
        "The database's schema is not this version's",
        "For the operator: run `postlog init`.",
    ),
)

PROBLEM_KINDS = {kind.code: kind for kind in _KINDS}


def kind_of(error: PostlogError) -> ProblemKind:
    """The entry of the error's code, or of the nearest class above it that has one."""
    for cls in type(error).__mro__:
        kind = PROBLEM_KINDS.get(getattr(cls, "code", ""))
        if kind is not None:
            return kind
    return PROBLEM_KINDS["postlog-error"]
