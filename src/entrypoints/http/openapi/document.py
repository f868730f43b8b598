"""The OpenAPI document of the application as it is served: its operations and its limits.

Schemas come from the types that decode and encode the JSON, problems from the problem table.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from importlib.metadata import version
from types import NoneType
from typing import Any, get_args, get_type_hints

from msgspec import Struct
from msgspec.json import schema_components

from domain.event_types import CURRENT, EventType
from domain.ids import CommentId
from domain.limits import Limits
from entrypoints.http.openapi.operations import (
    COMMANDS,
    HEALTH,
    OPERATIONS,
    QUERIES,
    REBUILD_OPERATIONS,
    Operation,
    request_header,
    response_headers,
)
from entrypoints.http.parameters import Parameter
from entrypoints.http.problems import PROBLEM_JSON, Problem
from entrypoints.http.schemas import Event
from entrypoints.http.services import HttpServices
from entrypoints.serving.access import Access, AccessControl
from entrypoints.serving.event_stream import EVENT_STREAM
from entrypoints.serving.problem_kinds import PROBLEM_KINDS, ProblemKind

Schema = dict[str, Any]

_DESCRIPTION = """\
A social-media post service. Every change is an event in an append-only log; queries read rows that are computed from
that log.

{callers}

The response to a command comes when its change is durable, with the post's `version` (also as `ETag`) and the
`position` in the log. Send that position as `Postlog-Min-Position` with a query to read your own writes. Every error is
a problem of RFC 9457; its `type` is a page that this service serves.
"""
_UNKNOWN_CALLERS = """\
**Postlog does not verify usernames.** Put a gateway in front of it that authenticates its users, and choose an \
`auth.mode`.\
"""
_KNOWN_CALLERS = """\
Callers are authenticated. `author` and `username` may be left out, and are then the caller; another user is refused. \
The role `moderator` may remove every post and comment, `importer` may act in the name of others, and `operator` may \
use `/api/v1/read-db`.\
"""
_EVERYWHERE = ("method-not-allowed", "host-not-allowed", "too-many-requests", "internal-error")
_CHANGES = frozenset(("delete", "post", "put"))

_SCHEME = "caller"

_PATH_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "id": ("The post.", {"type": "string", "format": "uuid"}),
    "commentId": ("The comment.", {"type": "string", "format": "uuid"}),
    "rebuildId": ("The id of the rebuild, as in its Location.", {"type": "string", "examples": ["postgres-2"]}),
    "username": ("The user whose like it is.", {"type": "string", "x-limit": "name"}),
}


def openapi_document(services: HttpServices) -> Schema:
    operations = served_operations(services)
    shapes = {shape for operation in operations for shape in (operation.body, operation.response) if shape}
    paths: dict[str, Schema] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method] = _operation(operation, services)
    components = {"schemas": schemas_of([*sorted(shapes, key=lambda s: s.__name__), Problem], services.limits)}
    if services.access is not None:
        components["securitySchemes"] = {_SCHEME: dict(services.access.authenticator.scheme)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postlog",
            "version": version("postlog"),
            "description": _DESCRIPTION.format(callers=_KNOWN_CALLERS if services.access else _UNKNOWN_CALLERS),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": dict(paths),
        "components": components,
    }


def served_operations(services: HttpServices) -> tuple[Operation, ...]:
    queries = QUERIES if services.queries else ()
    operations = OPERATIONS if services.queries and services.operations else ()
    rebuilds = REBUILD_OPERATIONS if operations and services.rebuilds else ()
    health = [each for each in HEALTH if services.has_metrics or each.name != "metrics"]
    served = (*(COMMANDS if services.commands else ()), *queries, *operations, *rebuilds, *health)
    return served if services.access is None else tuple(each.for_known_callers() for each in served)


def _operation(operation: Operation, services: HttpServices) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": list(_parameters(operation, services.limits)),
        "responses": _successes(operation) | _problems(_problem_codes(operation)),
    }
    if services.access is not None:
        described["security"] = _security(operation.access, services.access)
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": ref(operation.body)}},
        }
    return described


def _problem_codes(operation: Operation) -> Sequence[str]:
    of_pages = ("origin-not-allowed",) if operation.method in _CHANGES else ()
    return (*operation.problems, *of_pages, *_EVERYWHERE)


def _security(access: Access, control: AccessControl) -> list[dict[str, list[str]]]:
    """`{}` says that it also works without."""
    if access is Access.OPEN:
        return []
    return [*([{}] if control.admits(None, access) else []), {_SCHEME: []}]


def _parameters(operation: Operation, limits: Limits) -> Iterable[Schema]:
    for name, (description, schema) in _PATH_PARAMETERS.items():
        if f"{{{name}}}" in operation.path:
            schema = with_limits(schema, limits)
            yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
    for parameter in operation.query:
        yield _query_parameter(parameter, limits)
    for header in (*operation.request_headers, "X-Correlation-ID"):
        yield request_header(header)


def _query_parameter(parameter: Parameter, limits: Limits) -> Schema:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": with_limits(dict(parameter.schema), limits),
    }


def _successes(operation: Operation) -> Schema:
    headers = response_headers(*operation.response_headers, optional=tuple(operation.optional_headers))
    content: Schema = {"application/json": {"schema": ref(operation.response)}} if operation.response else _PLAIN
    if operation.name == "listEvents":
        content = content | {EVENT_STREAM: {"schema": {"type": "string"}}}
    described = {
        status: {"description": _SUCCESSES[status], "headers": headers, "content": content}
        for status in operation.statuses
    }
    if 304 in described:
        described[304] = {"description": _SUCCESSES[304], "headers": headers}
    return {str(status): response for status, response in described.items()}


_PLAIN: Schema = {"text/plain": {"schema": {"type": "string"}}}
_SUCCESSES = {
    200: "Success.",
    201: "Created.",
    202: "Started.",
    304: "The client already has this representation.",
    503: "Not ready; `checks` has the reason.",
}


def _problems(codes: Iterable[str]) -> Schema:
    by_status: dict[int, list[ProblemKind]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        kind = PROBLEM_KINDS[code]
        by_status[kind.status].append(kind)
    return {str(status): _problem_response(status, kinds) for status, kinds in sorted(by_status.items())}


def _problem_response(status: int, kinds: list[ProblemKind]) -> Schema:
    return {
        "description": "; ".join(f"{kind.title} (`{kind.code}`)" for kind in kinds) + ".",
        "headers": response_headers(
            *_PROBLEM_HEADERS.get(status, ()),
            optional=("Location",) if any(kind.code == "rebuild-running" for kind in kinds) else (),
        ),
        "content": {
            PROBLEM_JSON: {"schema": ref(Problem), "examples": {kind.code: {"value": _example(kind)} for kind in kinds}}
        },
    }


_PROBLEM_HEADERS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    412: ("ETag",),
    415: ("Accept",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def _example(kind: ProblemKind) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}.",
        "instance": "/api/v1/posts",
        "code": kind.code,
        "errors": [],
    }
    if kind.status == 412:
        example["currentVersion"] = 2
    if kind.status >= 500:
        example["correlationId"] = "0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d"
    return example


# As in `domain.names`, except code points beyond U+FFFF, which not every dialect of patterns can express.
_HIDDEN = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
_BLANK = rf"\s{_HIDDEN}\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f"
_NAME_PATTERN = rf"^[^\s{_HIDDEN}]([^{_HIDDEN}]*[^\s{_HIDDEN}])?$"
_TEXT_PATTERN = rf"^[^\u0000]*[^{_BLANK}][^\u0000]*$"


def ref(shape: type[Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def schemas_of(shapes: Sequence[type[Struct]], limits: Limits) -> dict[str, Schema]:
    _, components = schema_components(shapes, ref_template="#/components/schemas/{name}")
    limited: dict[str, Schema] = with_limits(components, limits)
    if Event.__name__ in limited:
        limited |= _events(limited[Event.__name__])
    return limited


def with_limits(schema: Any, limits: Limits) -> Any:
    """`schema` with the limits in place of `x-limit`."""
    if isinstance(schema, list):
        return [with_limits(part, limits) for part in schema]
    if not isinstance(schema, dict):
        return schema
    named = {key: with_limits(part, limits) for key, part in schema.items() if key != "x-limit"}
    return named | _text_rules(schema["x-limit"], limits) if "x-limit" in schema else named


def _text_rules(limit: str, limits: Limits) -> Schema:
    longest = {"name": limits.name, "message": limits.message, "comment": limits.comment}[limit]
    pattern = _NAME_PATTERN if limit == "name" else _TEXT_PATTERN
    return {"minLength": 1, "maxLength": longest, "pattern": pattern}


def _events(event: Schema) -> dict[str, Schema]:
    """The component of an event: one of all types, each with its own data; `type` is the discriminator. `event` has
    what they have in common."""
    described = {f"{each.name}Event": _event(each, event) for each in CURRENT}
    references = {each.name: f"#/components/schemas/{each.name}Event" for each in CURRENT}
    either = {
        "title": Event.__name__,
        "description": event["description"],
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
    data = {f"{each.name}Data": _data(each) for each in CURRENT}
    return {Event.__name__: either, **described, **data}


def _event(event_type: EventType, event: Schema) -> Schema:
    own = {
        "type": {"type": "string", "const": event_type.name},
        "data": {"$ref": f"#/components/schemas/{event_type.name}Data"},
    }
    return event | {"title": f"{event_type.name}Event", "properties": event["properties"] | own}


def _data(event_type: EventType) -> Schema:
    """Fields in camelCase, all of them required."""
    hints = get_type_hints(event_type.event_class)
    properties = {_camel_case(field.name): _value(hints[field.name]) for field in fields(event_type.event_class)}
    return {
        "title": f"{event_type.name}Data",
        "description": event_type.event_class.__doc__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _value(hint: Any) -> Schema:
    options = get_args(hint) or (hint,)
    [kind] = [option for option in options if option is not NoneType]
    schema: Schema = {"type": ["string", "null"] if NoneType in options else "string"}
    if kind is datetime:
        schema["format"] = "date-time"
    elif kind is CommentId:
        schema["format"] = "uuid"
    elif kind is not str:
        raise TypeError(f"no schema for a field of type {kind}")
    return schema


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
