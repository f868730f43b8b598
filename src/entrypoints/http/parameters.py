"""The API's paths, and every query parameter: declared once, for reading them and for the OpenAPI document.

A query parameter that is not declared is refused, because a typo in a filter must not be ignored.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from domain.ids import CommentId, PostId
from entrypoints.http.schemas import Adapter
from entrypoints.serving.errors import InvalidFields
from entrypoints.serving.formats import parse_instant

POSTS = "/api/v1/posts"
READ_DB = "/api/v1/read-db"
REBUILDS = READ_DB + "/rebuilds"


_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_SHOWN = 40
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

MAX_NUMBER = 2**53 - 1
"""The largest whole number that every JSON parser reads exactly."""


def post_path(post_id: PostId) -> str:
    return f"{POSTS}/{post_id}"


def comment_path(post_id: PostId, comment_id: CommentId) -> str:
    return f"{POSTS}/{post_id}/comments/{comment_id}"


def rebuild_path(rebuild_id: str) -> str:
    return f"{REBUILDS}/{rebuild_id}"


def like_path(post_id: PostId, username: str) -> str:
    return f"{POSTS}/{post_id}/likes/{quote(username, safe='', errors='surrogatepass')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`parse` raises `ValueError` with the end of a sentence that begins with the parameter's name. `schema` is JSON
    Schema; it allows what `parse` accepts."""

    name: str
    parse: Callable[[str], Any]
    schema: Mapping[str, Any]
    description: str
    required: bool = False


def whole_number(name: str, low: int, high: int, description: str, *, default: int | None = None) -> Parameter:
    def parse(text: str) -> int:
        if _WHOLE_NUMBER.fullmatch(text) is None or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(
        name=name,
        parse=parse,
        schema=schema if default is None else schema | {"default": default},
        description=description,
    )


def flag(name: str, description: str) -> Parameter:
    def parse(text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError("must be true or false, in lower case")
        return text == "true"

    return Parameter(name=name, parse=parse, schema={"type": "boolean"}, description=description)


def read_query(scope: Any, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values sent, by name. Raises `InvalidFields` with every error."""
    query: bytes = scope["query_string"]
    if not query and not any(parameter.required for parameter in parameters):
        return {}
    declared = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    for name, text in _pairs(query):
        try:
            values[name] = _value(name, text, declared, values)
        except ValueError as error:
            wrong.append((name, str(error)))
    seen = values.keys() | {name for name, _ in wrong}
    wrong += [(p.name, "is missing") for p in parameters if p.required and p.name not in seen]
    if wrong:
        sentence = "; ".join(f"{name} {reason}" for name, reason in wrong)
        raise InvalidFields(f"Invalid query parameters: {sentence}.", wrong)
    return values


def _value(name: str, text: str | None, declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> Any:
    parameter = declared.get(name)
    if parameter is None:
        allowed = f"the parameters are {', '.join(declared)}" if declared else "this endpoint takes no query parameters"
        raise ValueError(f"is not allowed; {allowed}")
    if name in values:
        raise ValueError("is duplicated")
    if text is None:
        raise ValueError("is not percent-encoded UTF-8")
    try:
        return parameter.parse(text)
    except ValueError as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise ValueError(f"{error}, not {json.dumps(shown, ensure_ascii=False)}") from error


def _pairs(query: bytes) -> list[tuple[str, str | None]]:
    """Names and values in order; None for a value that can't be decoded."""
    if not query:
        return []
    pairs = (pair.partition(b"=") for pair in query.split(b"&") if pair)
    return [(_decoded(name) or repr(name)[2:-1], _decoded(value)) for name, _, value in pairs]


def _decoded(text: bytes) -> str | None:
    if _BROKEN_ESCAPE.search(text):
        return None
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


DEFAULT_ROWS = 20
DEFAULT_EVENTS = 100
MAX_EVENTS = 500


def _text(text: str) -> str:
    if not text or "\x00" in text:
        raise ValueError("must be a non-empty string without NUL characters")
    return text


def _adapter(text: str) -> str:
    if text not in set(Adapter):
        raise ValueError(f"must be one of {', '.join(Adapter)}")
    return text


USERNAME = Parameter(
    name="username",
    parse=str,
    schema={"type": "string", "x-limit": "name", "examples": ["ben"]},
    description="The user who does this; not verified.",
    required=True,
)
REMOVER = replace(
    USERNAME,
    required=False,
    description="Absent: the caller. Another user needs the role importer. A moderator removes as themselves.",
)
_LIMIT = whole_number("limit", 1, 100, "The largest number of results.", default=DEFAULT_ROWS)
_CURSOR = Parameter(
    name="cursor",
    parse=_text,
    schema={"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    description="`nextCursor` of the previous page.",
)
POSTS_PARAMETERS = (
    Parameter(
        name="author",
        parse=_text,
        schema={"type": "string", "minLength": 1, "pattern": "^[^\\u0000]*$", "examples": ["ann"]},
        description="Only posts of this author; upper and lower case do not matter.",
    ),
    flag("hasComments", "Only posts with comments (true) or without (false)."),
    whole_number("minLikes", 0, 2**31 - 1, "Only posts with at least this many likes."),
    _LIMIT,
    _CURSOR,
)
COMMENTS_PARAMETERS = (_LIMIT, _CURSOR)
AS_OF_PARAMETERS = (
    whole_number("version", 1, MAX_NUMBER, "The post as it was at this version. Can't be combined with `at`."),
    Parameter(
        name="at",
        parse=parse_instant,
        schema={"type": "string", "format": "date-time"},
        description="The post as it was at this time. Can't be combined with `version`.",
    ),
)
AFTER = whole_number("after", 0, MAX_NUMBER, "Only events after this version.", default=0)
REBUILDS_PARAMETERS = (
    Parameter(
        name="adapter",
        parse=_adapter,
        schema={"$ref": "#/components/schemas/Adapter"},
        description="Rebuilds of this read database; default: the one that queries read.",
    ),
)
EVENTS_PARAMETERS = (
    AFTER,
    whole_number("limit", 1, MAX_EVENTS, "The largest number of events (not for streams).", default=DEFAULT_EVENTS),
)
