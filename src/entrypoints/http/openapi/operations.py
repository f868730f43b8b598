"""The operations of the API, as the OpenAPI document shows them: each with what it takes and returns; and its headers,
each described once. A test compares this table with the routes of the application.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from entrypoints.http import schemas
from entrypoints.http.parameters import (
    AS_OF_PARAMETERS,
    COMMENTS_PARAMETERS,
    EVENTS_PARAMETERS,
    POSTS,
    POSTS_PARAMETERS,
    READ_DB,
    REBUILDS,
    REBUILDS_PARAMETERS,
    REMOVER,
    USERNAME,
    Parameter,
)
from entrypoints.serving.access import Access

_POST = POSTS + "/{id}"
_COMMENT = _POST + "/comments/{commentId}"

_COMMAND_HEADERS = ("If-Match", "Idempotency-Key", "traceparent")
_BODY_PROBLEMS = ("body-incomplete", "body-too-large", "unsupported-media-type")
_TEXT_PROBLEMS = ("text-not-storable", "blank-text", "text-too-long", "surrounding-blanks", "hidden-characters")
_COMMAND_PROBLEMS = (
    "malformed-request",
    *_TEXT_PROBLEMS,
    "idempotency-key-reused",
    "commit-too-large",
    "write-conflict",
    "version-mismatch",
    "store-unavailable",
    "event-not-readable",
    "stream-damaged",
    "stopping",
)
_CHANGE_PROBLEMS = (*_COMMAND_PROBLEMS, "route-not-found", "post-not-found", "post-removed")
_COMMENT_PROBLEMS = (*_CHANGE_PROBLEMS, "comment-not-found", "not-the-writer")
_READ_PROBLEMS = (
    "malformed-request",
    "read-db-unavailable",
    "read-db-not-ready",
    "not-yet-visible",
    "position-beyond-log",
)
_POST_READ_PROBLEMS = (*_READ_PROBLEMS, "route-not-found", "post-not-found", "post-parked")
_CALLER_PROBLEMS = ("not-authenticated", "invalid-token", "identity-unavailable")
_REBUILD_PROBLEMS = ("malformed-request", "read-db-unavailable", "schema-outdated")
_LOG_PROBLEMS = ("store-unavailable", "event-not-readable", "stream-damaged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`response` is the body of the first of `statuses`, None when it is not JSON. Every successful response has the
    `response_headers`, some have the `optional_headers`."""

    name: str
    method: str
    path: str
    tag: str
    access: Access
    summary: str
    response: type[Struct] | None
    statuses: Sequence[int] = (200,)
    description: str = ""
    body: type[Struct] | None = None
    body_required: bool = True
    query: Sequence[Parameter] = ()
    request_headers: Sequence[str] = ()
    response_headers: Sequence[str] = ()
    optional_headers: Sequence[str] = ()
    problems: Sequence[str] = ()

    def for_known_callers(self) -> "Operation":
        """As it is where callers are known: they need not name themselves, and may be refused."""
        refusals = {
            Access.OPEN: (),
            Access.READ: _CALLER_PROBLEMS,
            Access.WRITE: (*_CALLER_PROBLEMS, "not-the-caller"),
            Access.OPERATE: (*_CALLER_PROBLEMS, "role-required"),
        }
        like = ("role-required",) if self.name == "likePost" else ()
        return replace(
            self,
            body=None if self.body is None else schemas.signed(self.body),
            query=[REMOVER if parameter is USERNAME else parameter for parameter in self.query],
            problems=(*self.problems, *refusals[self.access], *like),
        )


_command = partial(
    Operation,
    tag="Commands",
    access=Access.WRITE,
    response=schemas.Done,
    request_headers=_COMMAND_HEADERS,
    response_headers=("ETag",),
)
_query = partial(Operation, tag="Queries", access=Access.READ, method="get")
_operation = partial(Operation, tag="Operations", access=Access.OPERATE, method="get")
_health = partial(Operation, tag="Health", access=Access.OPEN, method="get")

COMMANDS = (
    _command(
        name="createPost",
        method="post",
        path=POSTS,
        summary="Create a post",
        statuses=(201,),
        body=schemas.NewPost,
        response_headers=("ETag", "Location"),
        problems=(*_COMMAND_PROBLEMS, *_BODY_PROBLEMS),
    ),
    _command(
        name="editMessage",
        method="put",
        path=_POST + "/message",
        summary="Edit the message of a post",
        description="Only its author may. The same message again has no effect.",
        body=schemas.NewMessage,
        problems=(*_CHANGE_PROBLEMS, *_BODY_PROBLEMS, "not-the-author"),
    ),
    _command(
        name="likePost",
        method="post",
        path=_POST + "/likes",
        summary="Like a post",
        description="A named user can like a post once; an anonymous like (no body) always counts.",
        body=schemas.NewLike,
        body_required=False,
        problems=(*_CHANGE_PROBLEMS, *_BODY_PROBLEMS),
    ),
    _command(
        name="unlikePost",
        method="delete",
        path=_POST + "/likes/{username}",
        summary="Remove a like",
        description="Write a slash in the name as %2F. Has no effect when there is no such like.",
        problems=_CHANGE_PROBLEMS,
    ),
    _command(
        name="removePost",
        method="delete",
        path=_POST,
        summary="Remove a post",
        description="Only its author may. Its history stays readable.",
        query=(USERNAME,),
        problems=(*_CHANGE_PROBLEMS, "not-the-author"),
    ),
    _command(
        name="addComment",
        method="post",
        path=_POST + "/comments",
        summary="Comment on a post",
        statuses=(201,),
        body=schemas.NewComment,
        response=schemas.CommentDone,
        response_headers=("ETag", "Location"),
        problems=(*_CHANGE_PROBLEMS, *_BODY_PROBLEMS),
    ),
    _command(
        name="editComment",
        method="put",
        path=_COMMENT,
        summary="Edit a comment",
        description="Only its writer may. The same comment again has no effect.",
        body=schemas.EditedComment,
        problems=(*_COMMENT_PROBLEMS, *_BODY_PROBLEMS),
    ),
    _command(
        name="removeComment",
        method="delete",
        path=_COMMENT,
        summary="Remove a comment",
        description="Only its writer may.",
        query=(USERNAME,),
        problems=_COMMENT_PROBLEMS,
    ),
)

QUERIES = (
    _query(
        name="listPosts",
        path=POSTS,
        summary="List posts, newest first",
        query=POSTS_PARAMETERS,
        response=schemas.PostPage,
        request_headers=("Postlog-Min-Position",),
        optional_headers=("Postlog-Parked",),
        problems=_READ_PROBLEMS,
    ),
    _query(
        name="getPost",
        path=_POST,
        summary="Read a post",
        description="The post as it is, or as it was at a version or a time. A removed post is not found (404).",
        statuses=(200, 304),
        query=AS_OF_PARAMETERS,
        response=schemas.Post,
        request_headers=("If-None-Match", "Postlog-Min-Position"),
        response_headers=("ETag",),
        problems=(*_POST_READ_PROBLEMS, "version-not-found", *_LOG_PROBLEMS),
    ),
    _query(
        name="listComments",
        path=_POST + "/comments",
        summary="List the comments of a post, newest first",
        query=COMMENTS_PARAMETERS,
        response=schemas.CommentPage,
        request_headers=("Postlog-Min-Position",),
        problems=_POST_READ_PROBLEMS,
    ),
    _query(
        name="listEvents",
        path=_POST + "/events",
        summary="Read the events of a post, oldest first",
        description=(
            "Those after `after` or `Last-Event-ID`. With `Accept: text/event-stream`, a stream of server-sent events, "
            "then new ones as they are stored. `data` is one of `events`, and the id is its version; of events that "
            "share a version, only the last has an id. A removed post's events stay readable."
        ),
        query=EVENTS_PARAMETERS,
        response=schemas.EventPage,
        request_headers=("Last-Event-ID",),
        problems=("malformed-request", "route-not-found", "post-not-found", *_LOG_PROBLEMS),
    ),
)

OPERATIONS = (
    _operation(
        name="readDb",
        path=READ_DB,
        summary="Position of the read database, compared with the log",
        response=schemas.ReadDb,
        problems=("malformed-request", "read-db-unavailable", "store-unavailable"),
    ),
)

REBUILD_OPERATIONS = (
    _operation(
        name="beginRebuild",
        method="post",
        path=REBUILDS,
        summary="Rebuild a read database from the log",
        description=(
            "Queries read the old rows until the new ones replace them in one transaction. The rebuild runs in a "
            "process of its own, which ends with this service; an interrupted rebuild is resumed. The body is optional."
        ),
        statuses=(202,),
        body=schemas.NewRebuild,
        body_required=False,
        response=schemas.Rebuild,
        response_headers=("Location",),
        problems=(
            *_REBUILD_PROBLEMS,
            *_BODY_PROBLEMS,
            "store-unavailable",
            "rebuild-running",
            "rebuild-not-possible",
            "rebuild-not-begun",
        ),
    ),
    _operation(
        name="listRebuilds",
        path=REBUILDS,
        summary="List the newest rebuilds",
        query=REBUILDS_PARAMETERS,
        response=schemas.RebuildPage,
        problems=_REBUILD_PROBLEMS,
    ),
    _operation(
        name="getRebuild",
        path=REBUILDS + "/{rebuildId}",
        summary="Progress of a rebuild",
        response=schemas.Rebuild,
        problems=(*_REBUILD_PROBLEMS, "route-not-found", "rebuild-not-found"),
    ),
    _operation(
        name="cancelRebuild",
        method="delete",
        path=REBUILDS + "/{rebuildId}",
        summary="Cancel a rebuild",
        description="One that is running or has failed. The live rows do not change.",
        response=schemas.Rebuild,
        problems=(*_REBUILD_PROBLEMS, "route-not-found", "rebuild-not-found", "rebuild-ended"),
    ),
)

HEALTH = (
    _health(
        name="live",
        path="/health/live",
        summary="Is the process alive?",
        response=schemas.Live,
    ),
    _health(
        name="ready",
        path="/health/ready",
        summary="Is the process ready?",
        description="Checks every server that the process needs. 503 when one of them is unavailable.",
        statuses=(200, 503),
        response=schemas.Ready,
        optional_headers=("Retry-After",),
    ),
    _health(
        name="metrics",
        path="/metrics",
        summary="Metrics of the process, for Prometheus",
        response=None,
    ),
)


Schema = dict[str, Any]

_TAG = r'(W/)?"[!#-~]*"'


class _Header(NamedTuple):
    description: str
    schema: Schema


_REQUEST = {
    "Idempotency-Key": _Header(
        "The same key with the same request has one effect and one response, however often it is sent: as long as the "
        "log exists when the request changed something, for seven days when it was already in effect. A refused "
        "request does not use up its key.",
        {"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["2f6c9a52-create"]},
    ),
    "If-Match": _Header(
        "The version that the post must have, in double quotes, or the `ETag` of a response; else 412. A list (any of "
        "them matches) and `*` are accepted, too.",
        {"type": "string", "pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)$", "examples": ['"1"']},
    ),
    "If-None-Match": _Header(
        "Tags (`ETag`) of responses that the client has; the response is 304 when it would be one of them.",
        {"type": "string", "pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)$", "examples": ['"1"']},
    ),
    "Last-Event-ID": _Header(
        "To resume a stream: the id of the last event received, a version. It takes precedence over `after`.",
        {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    ),
    "Postlog-Min-Position": _Header(
        "The `position` in the response of a command: the rows are at least that new, or the response is 503; 409 when "
        "the log has no such position.",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    ),
    "traceparent": _Header(
        "W3C Trace Context; stored with the change and propagated when it is well-formed, else ignored.",
        {"type": "string", "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]},
    ),
    "X-Correlation-ID": _Header(
        "Identifies this request in responses, logs and events: 1 to 128 visible ASCII characters. Generated when "
        "absent or malformed.",
        {"type": "string"},
    ),
}

_RESPONSE = {
    "Allow": _Header("The methods of the path.", {"type": "string"}),
    "Accept": _Header("The media type that is accepted.", {"type": "string"}),
    "ETag": _Header(
        "The version of the post, in double quotes; for a post that is read, followed by a tag of the representation.",
        {"type": "string", "pattern": '^"[0-9]+(-[0-9a-f]{8})?(-gzip)?"$', "examples": ['"3"', '"3-5f0c2a9b"']},
    ),
    "Location": _Header(
        "The path of the new resource, or of the conflicting one.", {"type": "string", "format": "uri-reference"}
    ),
    "Postlog-Parked": _Header(
        "How many posts are parked because one of their events could not be projected, so that they may be missing or "
        "old here; absent when there are none.",
        {"type": "integer", "minimum": 1},
    ),
    "Retry-After": _Header("Seconds to wait before sending the request again.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": _Header("How to authenticate (RFC 6750).", {"type": "string"}),
    "X-Correlation-ID": _Header("Identifies the request in the service's log.", {"type": "string", "minLength": 1}),
}


def request_header(name: str) -> Schema:
    description, schema = _REQUEST[name]
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def response_headers(*names: str, optional: tuple[str, ...] = ()) -> dict[str, Schema]:
    """Every response has X-Correlation-ID."""
    described = {}
    for name in ("X-Correlation-ID", *names, *optional):
        description, schema = _RESPONSE[name]
        described[name] = {"description": description, "required": name not in optional, "schema": schema}
    return described
