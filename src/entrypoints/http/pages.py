"""HTML for people, and the files that it needs: shipped with the package, so that no page asks a server elsewhere."""

from html import escape
from pathlib import Path

from entrypoints.http.answers import Answer

ASSETS = "/docs/assets"

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "pages.css": ("pages.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": ("vendor/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": ("vendor/swagger-ui.css", "text/css; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def html_page(title: str, body: str, *, head: str = "") -> Answer:
    """`title` is text; `body` and `head` are HTML."""
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="{ASSETS}/pages.css">\n{head}</head>\n<body>\n{body}\n</body>\n</html>\n'
    )
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY.encode("ascii")),
        (b"referrer-policy", b"no-referrer"),
        (b"vary", b"accept"),
    ]
    return Answer(200, headers, page.encode())


def asset(name: str) -> Answer | None:
    """A file of the pages; None for any other name."""
    if name not in _FILES:
        return None
    file, content_type = _FILES[name]
    headers = [(b"content-type", content_type.encode("ascii")), (b"cache-control", b"max-age=3600")]
    return Answer(200, headers, (_STATIC / file).read_bytes())
