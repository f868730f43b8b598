"""THE problem table: what an error code means to an HTTP client. Responses, `/problems/<code>` and the OpenAPI document
are made from it.

A code that is not in the table is treated as that of its nearest base class in the error tree.
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


def kind_of(error: PostlogError) -> ProblemKind:
    """The entry of the error's code, or of its nearest base class that has one."""
    for cls in type(error).__mro__:
        kind = PROBLEM_KINDS.get(getattr(cls, "code", ""))
        if kind is not None:
            return kind
    return PROBLEM_KINDS["postlog-error"]


_FIX = "Fix the fields listed in `errors`; /docs describes every path, header, parameter and body."
_RETRY = "Send the same request again after Retry-After"
_BUG = "This is a bug in Postlog. Its log has the cause, under the correlation id of the response."

_KINDS = (
    # 400
    ProblemKind("malformed-request", 400, "The request is malformed", _FIX),
    ProblemKind("invalid-input", 400, "The input is invalid", _FIX),
    ProblemKind(
        "text-not-storable",
        400,
        "A text contains a character that can't be stored",
        "Remove NUL characters and unpaired surrogates.",
    ),
    ProblemKind(
        "body-incomplete",
        400,
        "The body is incomplete",
        "Send the whole body; the connection was closed before it was complete.",
    ),
    # 401
    ProblemKind(
        "not-authenticated",
        401,
        "Nobody is signed in",
        "Sign in, and send the request with your token in the header Authorization, or through the gateway.",
    ),
    ProblemKind(
        "invalid-token",
        401,
        "The token is not valid",
        "Get a new token from your identity provider. For the operator: the settings auth.jwt say what is accepted.",
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
    ProblemKind(
        "origin-not-allowed",
        403,
        "A page of another site sent this request",
        "Send it from a page of this service, or from a program, without the headers Origin and Sec-Fetch-Site. For "
        "the operator: http.allowed_origins lists further origins whose pages may use the service.",
    ),
    ProblemKind(
        "not-the-caller",
        403,
        "The request is in the name of another user",
        "Leave out `author` or `username`: you are known by your token or by the gateway.",
    ),
    ProblemKind(
        "role-required",
        403,
        "This needs a role that you do not have",
        "Ask the operator for the role that `detail` names. For the operator: auth.roles and the identity provider.",
    ),
    # 404
    ProblemKind(
        "commit-not-found",
        404,
        "Commit not found",
        "Check the id; the log of this service has no such commit.",
    ),
    ProblemKind("not-found", 404, "Not found", "Check the id."),
    ProblemKind(
        "post-not-found",
        404,
        "Post not found",
        "Check the id. A removed post reads as not found; its history stays readable. To read a post that was"
        " created a moment ago, send its position in the header Postlog-Min-Position.",
    ),
    ProblemKind(
        "version-not-found",
        404,
        "The post has no such version yet",
        "Ask for a version up to the one that `detail` names.",
    ),
    ProblemKind("comment-not-found", 404, "Comment not found", "Check the ids; the comment may have been removed."),
    ProblemKind("rebuild-not-found", 404, "Rebuild not found", "GET /api/v1/read-db/rebuilds lists the newest ones."),
    ProblemKind(
        "route-not-found",
        404,
        "Path not found",
        "Check the path; /docs lists those that this process serves. Commands and queries may be served by "
        "two processes.",
    ),
    # 405
    ProblemKind("method-not-allowed", 405, "Method not allowed", "Use one of the methods in the header Allow."),
    # 408
    ProblemKind(
        "body-too-slow",
        408,
        "The body did not arrive in time",
        "Send the whole body at once; the setting http.client_timeout_seconds says how long it may take.",
    ),
    # 409
    ProblemKind("state-conflict", 409, "The post's state does not allow this", "Read the post and decide again."),
    ProblemKind(
        "post-removed",
        409,
        "The post was removed",
        "A removed post accepts no more changes; its history stays readable.",
    ),
    ProblemKind("post-exists", 409, "The post already exists", "Use another id, or edit the post that exists."),
    ProblemKind(
        "comment-exists",
        409,
        "The comment already exists",
        "Use another id, or edit the comment that exists.",
    ),
    ProblemKind(
        "write-conflict",
        409,
        "The post was changed by others at the same time",
        "Send the same request again, with the same Idempotency-Key.",
    ),
    ProblemKind(
        "rebuild-running",
        409,
        "A rebuild of this read database is already running",
        "Wait until it has ended, or cancel it; the header Location names it.",
    ),
    ProblemKind(
        "rebuild-ended",
        409,
        "The rebuild has ended",
        "Its rows are live; there is nothing to cancel. Start another rebuild to compute them again.",
    ),
    ProblemKind(
        "rebuild-not-possible",
        409,
        "This read database can't be rebuilt from here",
        "Name another one as `adapter`. Rows in memory can be rebuilt only by the process that holds them.",
    ),
    ProblemKind(
        "rebuild-cancelled",
        409,
        "The rebuild was cancelled",
        "Start another one; the live rows were not changed.",
    ),
    ProblemKind("cut-refused", 409, "The log was not cut", "Do what `detail` says; nothing was removed."),
    ProblemKind("audit-running", 409, "An audit is already running", "Wait until it has ended, or cancel it."),
    ProblemKind(
        "position-beyond-log",
        409,
        "The log has no such position",
        "Discard the position and read without Postlog-Min-Position; waiting does not help. Either the log "
        "was restored from a backup, or the position did not come from a command of this service.",
    ),
    # 412
    ProblemKind(
        "version-mismatch",
        412,
        "The post's version is not the one in If-Match",
        "Read the post, review what changed, and send the request again with the version in `currentVersion`.",
    ),
    # 413
    ProblemKind(
        "body-too-large",
        413,
        "The body is too large",
        "Send a smaller body; the setting http.max_body_bytes is the limit.",
    ),
    ProblemKind("commit-too-large", 413, "The change is too large", "Send less in one request."),
    # 415
    ProblemKind(
        "unsupported-media-type",
        415,
        "The body is not JSON",
        "Send JSON with the header Content-Type: application/json, and no Content-Encoding.",
    ),
    # 421
    ProblemKind(
        "host-not-allowed",
        421,
        "This process does not serve that host name",
        "Use the service's address, or a name that it knows. For the operator: http.allowed_hosts lists the names "
        "under which clients and gateways reach the service.",
    ),
    # 422
    ProblemKind("rule-broken", 422, "Business rule violated", "Fix the fields listed in `errors`."),
    ProblemKind("blank-text", 422, "A text is blank", "Send at least one visible character."),
    ProblemKind("text-too-long", 422, "A text is too long", "Send a shorter text; `errors` gives the limit."),
    ProblemKind(
        "surrounding-blanks",
        422,
        "A name begins or ends with a blank",
        "Send the name without leading and trailing blanks.",
    ),
    ProblemKind(
        "hidden-characters",
        422,
        "A name contains a control or invisible character",
        "Send the name without the character that `detail` names. Joiners and variation selectors are allowed.",
    ),
    ProblemKind(
        "idempotency-key-reused",
        422,
        "The Idempotency-Key was used for another request",
        "Use a new key for a new request; a key belongs to one method, path and body.",
    ),
    # 499
    ProblemKind("client-gone", 499, "The client closed the connection", "No response was sent."),
    # 429
    ProblemKind(
        "too-many-requests",
        429,
        "This caller sent too many requests",
        f"{_RETRY}. For the operator: http.requests_per_second and http.request_burst.",
    ),
    # 500
    ProblemKind("internal-error", 500, "Internal error", _BUG),
    ProblemKind("postlog-error", 500, "Internal error", _BUG),
    ProblemKind("cannot-open", 500, "A file of the service can't be opened", "Check the setting that is named."),
    ProblemKind(
        "backup-refused",
        500,
        "The backup can't be made",
        "For the operator: `postlog backup` reports the reason.",
    ),
    ProblemKind(
        "login-not-made",
        500,
        "A login could not be created",
        "For the operator: `postlog init` reports the reason.",
    ),
    ProblemKind(
        "topic-in-use",
        500,
        "The topic is in use for something else",
        "For the operator: `postlog init` reports what for.",
    ),
    # 503
    ProblemKind("unavailable", 503, "Temporarily unavailable", f"{_RETRY}."),
    ProblemKind(
        "store-unavailable",
        503,
        "The event store is unavailable",
        f"{_RETRY}; send a command with the same Idempotency-Key, because it may have been stored. For the "
        "operator: /health/ready and `postlog doctor` name the server and the setting.",
    ),
    ProblemKind(
        "log-changed",
        503,
        "The log was changed while the service was running",
        "Send the same request again, with the same Idempotency-Key, to another process or after the operator"
        " has acted. For the operator: the log was restored, dropped or changed while the process was "
        "running. Stop the processes that write, check the log with `postlog doctor` and `postlog events "
        "check`, and start them again.",
    ),
    ProblemKind(
        "read-db-unavailable",
        503,
        "The read database is unavailable",
        f"{_RETRY}. For the operator: /health/ready and `postlog doctor` name the server and the setting.",
    ),
    ProblemKind(
        "read-db-not-ready",
        503,
        "The read database is being filled",
        f"{_RETRY}; the read database is being filled from the log for the first time.",
    ),
    ProblemKind("bus-unavailable", 503, "The bus is unavailable", f"{_RETRY}."),
    ProblemKind(
        "not-yet-visible",
        503,
        "The rows are older than the requested position",
        f"{_RETRY}; the projector is behind.",
    ),
    ProblemKind(
        "post-parked",
        503,
        "The post is parked: one of its events could not be projected",
        "For the operator: `postlog parked show` reports the reason; when the cause is fixed, `postlog parked"
        " retry` brings the post up to date.",
    ),
    ProblemKind(
        "log-damaged",
        503,
        "Positions are missing from the log",
        "For the operator: commits were removed by hand, or a backup was restored in part; restore it "
        "completely. `postlog doctor` reports where.",
    ),
    ProblemKind(
        "stream-damaged",
        503,
        "The log is damaged at this post",
        "For the operator: `detail` says which version is missing. Restore the post's commits from a backup; "
        "until then nothing is written to it. Other posts are not affected.",
    ),
    ProblemKind(
        "history-not-read",
        503,
        "The post's history is still being read",
        f"{_RETRY}: reading resumes where this request stopped.",
    ),
    ProblemKind(
        "too-many-streams",
        503,
        "Too many event streams are open",
        f"{_RETRY}, or read the events page by page. For the operator: http.max_streams.",
    ),
    ProblemKind(
        "identity-unavailable",
        503,
        "There are no keys to verify tokens with",
        f"{_RETRY}. For the operator: the setting auth.jwt.jwks_url, and the service's log.",
    ),
    ProblemKind(
        "rebuild-not-begun",
        503,
        "The rebuild could not be started",
        "For the operator: the service's log has the reason; `postlog rebuild` does the same from a shell.",
    ),
    ProblemKind(
        "stopping",
        503,
        "The service is stopping",
        "Send the same request again, to another process or later.",
    ),
    ProblemKind(
        "event-not-readable",
        503,
        "The post has an event that this version of Postlog does not know",
        "For the operator: run a version that knows it; `postlog events show` prints it.",
    ),
    ProblemKind(
        "event-not-applicable",
        503,
        "The post has an event that contradicts those before it",
        "For the operator: `postlog events show` prints the post's events.",
    ),
    ProblemKind(
        "wrong-log",
        503,
        "The read database belongs to another log",
        "For the operator: check event_store and read_db in `postlog config`, or rebuild the read database.",
    ),
    ProblemKind(
        "schema-outdated",
        503,
        "The database's schema has another version",
        "For the operator: run `postlog init`.",
    ),
)

PROBLEM_KINDS = {kind.code: kind for kind in _KINDS}
