"""RFC 9457: every error leaves Postlog in one shape, `application/problem+json`, also an unexpected one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope
from msgspec import UNSET, Meta, Struct, UnsetType, json

from application.errors import NotAuthenticated, RebuildRunning, Unavailable, VersionMismatch
from domain.errors import PostlogError
from entrypoints.http.parameters import rebuild_path
from entrypoints.serving.access import challenge
from entrypoints.serving.errors import (
    BodyTooLarge,
    InternalError,
    InvalidFields,
    MethodNotAllowed,
    TooManyRequests,
    UnsupportedMediaType,
)
from entrypoints.serving.problem_kinds import kind_of
from entrypoints.serving.request_context import context_of
from entrypoints.serving.responses import Headers, RawResponse, etag
from entrypoints.serving.routing import instance_of

PROBLEM_JSON = "application/problem+json"

logger = logging.getLogger(__name__)


class FieldError(Struct, frozen=True):
    path: Annotated[str, Meta(description="The field, parameter or header that is wrong.", examples=["author"])]
    message: Annotated[str, Meta(description="What is wrong with it.")]


class Problem(Struct, frozen=True, rename="camel", kw_only=True):
    type: Annotated[
        str, Meta(description="A page that this service serves, one for each code.", examples=["/problems/blank-text"])
    ]
    title: Annotated[str, Meta(description="The same for every problem of this type.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What happened in this request, as a sentence.")]
    instance: Annotated[str, Meta(description="The path of the request.")]
    code: Annotated[str, Meta(description="Stable, for programs.", pattern="^[a-z]+(-[a-z]+)*$")]
    errors: Annotated[list[FieldError], Meta(description="The fields, parameters and headers to fix.")]
    current_version: (
        Annotated[int, Meta(ge=0, description="With 412: the current version of the post.")] | UnsetType
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


def problem_headers(error: PostlogError, status: int) -> Headers:
    """With those that a client can act on without reading the body."""
    headers = [(b"content-type", PROBLEM_JSON.encode("ascii")), (b"cache-control", b"no-store")]
    if status == 503 or isinstance(error, TooManyRequests):
        seconds = error.retry_after if isinstance(error, Unavailable | TooManyRequests) else 1
        headers.append((b"retry-after", b"%d" % seconds))
    match error:
        case NotAuthenticated():
            headers.append(challenge(error))
        case VersionMismatch():
            headers.append(etag(error.current_version))
        case RebuildRunning(rebuild_id=str(rebuild_id)):
            headers.append((b"location", rebuild_path(rebuild_id).encode("ascii")))
        case MethodNotAllowed():
            headers.append((b"allow", error.allowed.encode("ascii")))
        case BodyTooLarge():
            headers.append((b"connection", b"close"))  # the rest of the body would be read as the next request
        case UnsupportedMediaType():
            headers.append((b"accept", b"application/json"))
        case _:
            pass
    return headers


def _field_errors(error: PostlogError) -> list[FieldError]:
    if isinstance(error, InvalidFields):
        return [FieldError(path, message) for path, message in error.fields]
    return [] if error.path is None else [FieldError(error.path, error.message)]


class Pages(Protocol):
    """The pages beside the API, which the composition root connects with it."""

    def handlers(self) -> Sequence[HTTPRouteHandler]: ...

    def error_page(self, error: PostlogError, scope: Scope) -> RawResponse | None:
        """The error as a page, for a browser on a path of the pages or on an unknown path; None for every other
        request, whose response is then a problem."""
        ...


@dataclass(frozen=True, slots=True)
class ErrorResponses:
    """Browsers on `pages` get an error page; every other client gets a problem."""

    pages: Pages | None = None

    def response(self, error: PostlogError, scope: Any) -> RawResponse:
        context = context_of(scope)
        problem = problem_of(error, instance_of(scope), context.correlation_id)
        context.code = problem.code
        page = self.pages.error_page(error, scope) if self.pages else None
        headers = problem_headers(error, problem.status)
        return page or RawResponse(problem.status, headers, json.encode(problem) + b"\n")


def internal_error(error: Exception) -> InternalError:
    """What a client may know of an unexpected error; the log has the rest."""
    logger.error("unexpected error", exc_info=error)
    return InternalError("An unexpected error occurred, because of a bug in Postlog.")
