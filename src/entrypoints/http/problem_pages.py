"""`/problems/<code>`: what a problem's type means and what to do about it, as HTML, JSON or plain text."""

from dataclasses import dataclass
from html import escape

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import json

from entrypoints.http.pages import html_page
from entrypoints.serving.answers import JSON, Answer
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.exchange import exchange_of
from entrypoints.serving.paths import instance_of, text_segment
from entrypoints.serving.problem_kinds import PROBLEM_KINDS, ProblemKind
from entrypoints.serving.routes import HttpRequest, reading

_VARY = (b"vary", b"accept")


@dataclass(frozen=True, slots=True)
class ProblemPages:
    def handlers(self) -> list[HTTPRouteHandler]:
        return [
            reading("/problems")(self.index),
            reading("/problems/{code:str}")(self.page),
        ]

    async def index(self, request: HttpRequest) -> ASGIApp:
        kinds = sorted(PROBLEM_KINDS.values(), key=lambda kind: (kind.status, kind.code))
        match _wanted(request):
            case "html":
                rows = "\n".join(
                    f'<tr><td>{kind.status}</td><td><a href="{kind.type}">{kind.code}</a></td>'
                    f"<td>{escape(kind.title)}</td></tr>"
                    for kind in kinds
                )
                table = f"<table>\n<tr><th>status</th><th>code</th><th>title</th></tr>\n{rows}\n</table>"
                return html_page("Problems", f'<main class="text">\n<h1>Problems</h1>\n{table}\n</main>')
            case "json":
                return _json({"problems": [_described(kind) for kind in kinds]})
            case _:
                return _plain("\n".join(f"{kind.status} {kind.code}: {kind.title}" for kind in kinds))

    async def page(self, request: HttpRequest) -> ASGIApp:
        kind = PROBLEM_KINDS.get(text_segment(request.scope, "code"))
        if kind is None:
            raise RouteNotFound(f"There is no problem {instance_of(request.scope)}; /problems lists them all.")
        match _wanted(request):
            case "html":
                body = (
                    f'<main class="text">\n<h1>{escape(kind.title)}</h1>\n<p>{escape(kind.advice)}</p>\n'
                    f'<p>Status {kind.status}, code <code>{kind.code}</code>. <a href="/problems">All problems</a>, '
                    '<a href="/docs">documentation</a>.</p>\n</main>'
                )
                return html_page(kind.title, body)
            case "json":
                return _json(_described(kind))
            case _:
                return _plain(f"{kind.title} (status {kind.status}, code {kind.code}).\n{kind.advice}")


def _wanted(request: HttpRequest) -> str:
    accepted = exchange_of(request.scope).header(b"accept") or ""
    if "text/html" in accepted:
        return "html"
    return "json" if "json" in accepted else "plain"


def _described(kind: ProblemKind) -> dict[str, str | int]:
    return {
        "type": kind.type,
        "code": kind.code,
        "status": kind.status,
        "title": kind.title,
        "advice": kind.advice,
    }


def _json(content: object) -> Answer:
    return Answer(200, [JSON, _VARY], json.encode(content))


def _plain(text: str) -> Answer:
    return Answer(200, [(b"content-type", b"text/plain; charset=utf-8"), _VARY], f"{text}\n".encode())
