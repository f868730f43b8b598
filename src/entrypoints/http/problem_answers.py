"""Every error as an answer: those of the tree, those that Litestar raises, and what nobody expected."""

import logging
from dataclasses import dataclass
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException

from application.errors import MalformedRequest
from domain.errors import PostlogError
from entrypoints.http.problems import PROBLEM_JSON, Problem, encoded, problem_headers, problem_of
from entrypoints.serving.answers import Answer
from entrypoints.serving.errors import BodyTooLarge, InternalError, MethodNotAllowed, RouteNotFound
from entrypoints.serving.exchange import exchange_of
from entrypoints.serving.pages import Pages
from entrypoints.serving.paths import instance_of
from entrypoints.serving.routes import HttpRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ErrorAnswers:
    """`pages` tell people of an error, where there are pages; everybody else gets a problem."""

    pages: Pages | None = None

    def answer(self, error: PostlogError, scope: Any) -> Answer:
        problem = _problem(error, scope)
        page = self.pages.error_page(error, scope) if self.pages else None
        return page or _problem_answer(problem, error)

    def postlog_error(self, request: HttpRequest, error: PostlogError) -> Response[bytes]:
        answer = self.answer(error, request.scope)
        headers = {name.decode("ascii"): value.decode("ascii") for name, value in answer.headers}
        media_type = headers.pop("content-type").removesuffix("; charset=utf-8")  # which Litestar adds to texts
        return Response(answer.body, status_code=answer.status, media_type=media_type, headers=headers)

    def litestar_error(self, request: HttpRequest, error: HTTPException) -> Response[bytes]:
        match error.status_code:
            case 404:
                return self.postlog_error(request, _route_not_found(request))
            case 405:
                return self.postlog_error(request, _method_not_allowed(request, error))
            case 413:
                return self.postlog_error(request, BodyTooLarge("The body is too large."))
            case status if 400 <= status < 500:
                return self.postlog_error(request, MalformedRequest(f"{error.detail}."))
            case _:
                return self.unexpected_error(request, error)

    def unexpected_error(self, request: HttpRequest, error: Exception) -> Response[bytes]:
        return self.postlog_error(request, failed(error))


def failed(error: Exception) -> InternalError:
    """What the caller may know of an unexpected error; the log gets the rest."""
    logger.error("unexpected error", exc_info=error)
    return InternalError("Something unexpected happened, a fault of Postlog itself.")


def _problem_answer(problem: Problem, error: PostlogError) -> Answer:
    headers = {"content-type": PROBLEM_JSON} | problem_headers(error, problem.status)
    return Answer(
        problem.status,
        [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
        encoded(problem),
    )


def _problem(error: PostlogError, scope: Any) -> Problem:
    exchange = exchange_of(scope)
    problem = problem_of(error, instance_of(scope), exchange.correlation_id)
    exchange.code = problem.code
    return problem


def _route_not_found(request: HttpRequest) -> RouteNotFound:
    return RouteNotFound(
        f"There is nothing at {instance_of(request.scope)}. The API starts at /api/v1/posts; /docs lists all its paths."
    )


def _method_not_allowed(request: HttpRequest, error: HTTPException) -> MethodNotAllowed:
    allowed = ", ".join(sorted((error.headers or {}).get("allow", "").split(", ")))
    return MethodNotAllowed(
        f"{instance_of(request.scope)} does not allow {request.scope['method']}; it allows {allowed}. "
        "/docs lists all paths.",
        allowed=allowed,
    )
