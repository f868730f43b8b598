"""Every error as an answer: those of the tree, those that Litestar raises, and what nobody expected."""

import logging
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException

from application.errors import MalformedRequest
from domain.errors import PostlogError
from entrypoints.http.answers import Answer
from entrypoints.http.errors import BodyTooLarge, InternalError, MethodNotAllowed, RouteNotFound
from entrypoints.http.exchange import exchange_of
from entrypoints.http.paths import instance_of
from entrypoints.http.problems import PROBLEM_JSON, Problem, encoded, problem_headers, problem_of
from entrypoints.http.routes import HttpRequest

logger = logging.getLogger(__name__)


def postlog_error(request: HttpRequest, error: PostlogError) -> Response[bytes]:
    problem = _problem(error, request.scope)
    return Response(
        encoded(problem),
        status_code=problem.status,
        headers=problem_headers(error, problem.status),
        media_type=PROBLEM_JSON,
    )


def litestar_error(request: HttpRequest, error: HTTPException) -> Response[bytes]:
    match error.status_code:
        case 404:
            return postlog_error(request, RouteNotFound(f"There is nothing at {instance_of(request.scope)}."))
        case 405:
            return postlog_error(request, _method_not_allowed(request, error))
        case 413:
            return postlog_error(request, BodyTooLarge("The body is too large."))
        case status if 400 <= status < 500:
            return postlog_error(request, MalformedRequest(f"{error.detail}."))
        case _:
            return unexpected_error(request, error)


def unexpected_error(request: HttpRequest, error: Exception) -> Response[bytes]:
    return postlog_error(request, failed(error))


def failed(error: Exception) -> InternalError:
    """What the caller may know of an unexpected error; the log gets the rest."""
    logger.error("unexpected error", exc_info=error)
    return InternalError("Something unexpected happened, a fault of Postlog itself.")


def problem_answer(error: PostlogError, scope: Any) -> Answer:
    """For the edge, where Litestar has not seen the request or has given it up."""
    problem = _problem(error, scope)
    headers = {"Content-Type": PROBLEM_JSON} | problem_headers(error, problem.status)
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


def _method_not_allowed(request: HttpRequest, error: HTTPException) -> MethodNotAllowed:
    allowed = ", ".join(sorted((error.headers or {}).get("allow", "").split(", ")))
    return MethodNotAllowed(
        f"{instance_of(request.scope)} does not know the method {request.scope['method']}; it knows {allowed}.",
        allowed=allowed,
    )
