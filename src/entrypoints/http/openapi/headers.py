"""Headers that requests and answers carry, each described once."""

from typing import Any, NamedTuple

Schema = dict[str, Any]

_TAG = r'(W/)?"[!#-~]*"'


class _Header(NamedTuple):
    description: str
    schema: Schema


_REQUEST = {
    "Idempotency-Key": _Header(
        "The same key with the same request has one effect and one answer, however often it is sent: as long as the "
        "log exists when the request changed something, for seven days when it was in effect already. A refusal uses "
        "no key.",
        {"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["2f6c9a52-create"]},
    ),
    "If-Match": _Header(
        "The version that the post must have, in double quotes, or the `ETag` of an answer, else 412. A list (any of "
        "them will do) and `*` are taken too.",
        {"type": "string", "pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)$", "examples": ['"1"']},
    ),
    "If-None-Match": _Header(
        "Tags (`ETag`) of answers that the caller has; answered with 304 when the answer would be one of them.",
        {"type": "string", "pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)$", "examples": ['"1"']},
    ),
    "Last-Event-ID": _Header(
        "For a stream that is taken up again: the id of the last event seen. It goes before `after`.",
        {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    ),
    "Postlog-Min-Position": _Header(
        "The `position` that a command answered with: read rows at least that new, or get 503; 409 when the "
        "log has no such position.",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    ),
    "traceparent": _Header(
        "W3C Trace Context; stored with the change and passed on when it is well-formed, else ignored.",
        {"type": "string", "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]},
    ),
    "X-Correlation-ID": _Header(
        "Names this request in answers, logs and events: 1 to 128 visible ASCII characters. Made when absent, or when "
        "it is anything else.",
        {"type": "string"},
    ),
}

_ANSWER = {
    "Allow": _Header("The methods that the path knows.", {"type": "string"}),
    "Accept": _Header("The media type that is taken.", {"type": "string"}),
    "ETag": _Header(
        "The version of the post, in double quotes; of a post that is read, followed by what names the representation.",
        {"type": "string", "pattern": '^"[0-9]+(-[0-9a-f]{8})?(-gzip)?"$', "examples": ['"3"', '"3-5f0c2a9b"']},
    ),
    "Location": _Header(
        "The path of what was made, or stands in the way.", {"type": "string", "format": "uri-reference"}
    ),
    "Postlog-Parked": _Header(
        "How many posts wait for an event that could not be projected, and so may be missing or old here; absent when "
        "there are none.",
        {"type": "integer", "minimum": 1},
    ),
    "Retry-After": _Header("Seconds to wait before the request is sent again.", {"type": "integer", "minimum": 1}),
    "X-Correlation-ID": _Header("Names the request in the service's log.", {"type": "string", "minLength": 1}),
}


def request_header(name: str) -> Schema:
    description, schema = _REQUEST[name]
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def answer_headers(*names: str, sometimes: tuple[str, ...] = ()) -> dict[str, Schema]:
    """X-Correlation-ID comes with every answer."""
    described = {}
    for name in ("X-Correlation-ID", *names, *sometimes):
        description, schema = _ANSWER[name]
        described[name] = {"description": description, "required": name not in sometimes, "schema": schema}
    return described
