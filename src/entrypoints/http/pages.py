"""HTML for people, and the files that it needs: shipped with the package, so that no page asks a server elsewhere."""

from html import escape
from pathlib import Path

from entrypoints.serving.answers import Answer
from entrypoints.serving.static_files import StaticFiles

ASSETS = "/docs/assets"

_FILES = {
    "docs.js": "docs.js",
    "pages.css": "pages.css",
    "swagger-ui-bundle.js": "vendor/swagger-ui-bundle.js",
    "swagger-ui.css": "vendor/swagger-ui.css",
}
FILES = StaticFiles(Path(__file__).parent / "static", _FILES)
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
