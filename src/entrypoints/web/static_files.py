"""The pages' own files and those of others, under addresses that change with their contents, so that browsers keep
them."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from entrypoints.serving.responses import RawResponse, StaticFiles

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
_FOR_EVER = "public, max-age=31536000, immutable"
_files = StaticFiles(STATIC, _FILES)


def file_address(name: str) -> str:
    """`/static/app.css?v=5f1d0a9c`. Raises `KeyError` for a file that there isn't."""
    return f"/static/{name}?v={_digest(name)}"


def file_answer(name: str, query: str) -> RawResponse | None:
    """None when there is no such file. `query` is the address's, as `file_address` wrote it or not."""
    if name not in _FILES:
        return None
    return _files.response(name, _FOR_EVER if query == f"v={_digest(name)}" else "no-cache")


@cache
def _digest(name: str) -> str:
    return sha256((STATIC / _FILES[name]).read_bytes()).hexdigest()[:8]
