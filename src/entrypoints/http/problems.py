"""RFC 9457: every error leaves Postlog as one shape, `application/problem+json`."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, json

from application.errors import RebuildRunning, Unavailable, VersionMismatch
from domain.errors import PostlogError
from entrypoints.http.paths import rebuild_path
from entrypoints.serving.errors import BodyTooLarge, InvalidFields, MethodNotAllowed, UnsupportedMediaType
from entrypoints.serving.problem_kinds import kind_of

PROBLEM_JSON = "application/problem+json"


class FieldError(Struct, frozen=True):
    path: Annotated[str, Meta(description="The field, parameter or header to blame.", examples=["author"])]
    message: Annotated[str, Meta(description="What is wrong with it.")]


class Problem(Struct, frozen=True, rename="camel", kw_only=True):
    type: Annotated[
        str, Meta(description="A page that this service serves, one for each code.", examples=["/problems/blank-text"])
    ]
    title: Annotated[str, Meta(description="The same for every problem of this type.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What happened this time, in a sentence.")]
    instance: Annotated[str, Meta(description="The path that was asked for.")]
    code: Annotated[str, Meta(description="Stable, for programs.", pattern="^[a-z]+(-[a-z]+)*$")]
    errors: Annotated[list[FieldError], Meta(description="What to mend, where it can be named.")]
    current_version: (
        Annotated[int, Meta(ge=0, description="With 412: the version at which the post stands.")] | UnsetType
    ) = UNSET
    correlation_id: Annotated[str, Meta(description="With 5xx: names this request in the log.")] | UnsetType = UNSET


def problem_of(error: PostlogError, instance: str, correlation_id: str) -> Problem:
    kind = kind_of(error)
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=error.message,
        instance=instance,
        code=kind.code,
        errors=_field_errors(error),
        current_version=error.current_version if isinstance(error, VersionMismatch) else UNSET,
        correlation_id=correlation_id if kind.status >= 500 else UNSET,
    )


def problem_headers(error: PostlogError, status: int) -> dict[str, str]:
    """What a caller can act on without reading the body."""
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(error.retry_after if isinstance(error, Unavailable) else 1)
    match error:
        case VersionMismatch():
            headers["ETag"] = f'"{error.current_version}"'
        case RebuildRunning(rebuild_id=str(rebuild_id)):
            headers["Location"] = rebuild_path(rebuild_id)
        case MethodNotAllowed():
            headers["Allow"] = error.allowed
        case BodyTooLarge():
            headers["Connection"] = "close"  # what is left of the body would be taken for the next request
        case UnsupportedMediaType():
            headers["Accept"] = "application/json"
        case _:
            pass
    return headers


def encoded(problem: Problem) -> bytes:
    return json.encode(problem) + b"\n"


def _field_errors(error: PostlogError) -> list[FieldError]:
    if isinstance(error, InvalidFields):
        return [FieldError(path, message) for path, message in error.fields]
    return [] if error.path is None else [FieldError(error.path, error.message)]
