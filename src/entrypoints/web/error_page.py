"""An error as a page: what happened, and what to do. What was written in the form is shown, so that it isn't lost."""

from application.errors import NotYetVisible, PositionBeyondLog, Unavailable
from domain.errors import PostlogError
from entrypoints.serving.answers import Answer, Headers
from entrypoints.serving.errors import MethodNotAllowed
from entrypoints.serving.problem_kinds import kind_of
from entrypoints.web.visit import Visit


def error_answer(error: PostlogError, visit: Visit) -> Answer:
    kind = kind_of(error)
    context = {
        "title": kind.title,
        "message": error.message,
        "correlation_id": visit.exchange.correlation_id if kind.status >= 500 else None,
        "without_waiting": visit.path if isinstance(error, NotYetVisible | PositionBeyondLog) else None,
        "draft": visit.draft,
    }
    return visit.page_now("error.html", kind.status, _headers(error), context)


def _headers(error: PostlogError) -> Headers:
    match error:
        case Unavailable():
            return [(b"retry-after", b"%d" % error.retry_after)]
        case MethodNotAllowed():
            return [(b"allow", error.allowed.encode("ascii"))]
        case _:
            return []
