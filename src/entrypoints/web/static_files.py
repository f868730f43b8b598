"""`/static/…`: scripts, styles and icons. Their address changes with their content, so that browsers may cache them."""

import asyncio
from functools import cache
from hashlib import sha256
from pathlib import Path

from litestar.types import ASGIApp

from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.responses import RawResponse, StaticFiles
from entrypoints.serving.routing import HttpRequest, instance_of, text_of_segment

STATIC = Path(__file__).parent / "static"

_FILES = {
    "app.css": "app.css",
    "app.js": "app.js",
    "icon.svg": "icon.svg",
    "live.js": "live.js",
    "operations.js": "operations.js",
    "system.css": "system.css",
    "htmx.min.js": "vendor/htmx.min.js",
    "uPlot.iife.min.js": "vendor/uPlot.iife.min.js",
    "uPlot.min.css": "vendor/uPlot.min.css",
}
_ONE_YEAR = "public, max-age=31536000, immutable"
_files = StaticFiles(STATIC, _FILES)


def file_address(name: str) -> str:
    """`/static/app.css?v=5f1d0a9c`. Raises `KeyError` for an unknown file."""
    return f"/static/{name}?v={_digest(name)}"


async def static_file(request: HttpRequest) -> ASGIApp:
    found = await asyncio.to_thread(_response, text_of_segment(request.scope, "name"), request.scope["query_string"])
    if found is None:
        raise RouteNotFound(f"There is no file {instance_of(request.scope)}.")
    return found


def _response(name: str, query: bytes) -> RawResponse | None:
    """Cached for a year only at the address with the file's own digest."""
    if name not in _FILES:
        return None
    return _files.response(name, _ONE_YEAR if query == f"v={_digest(name)}".encode() else "no-cache")


@cache
def _digest(name: str) -> str:
    return sha256((STATIC / _FILES[name]).read_bytes()).hexdigest()[:8]
