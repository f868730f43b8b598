"""Files that are shipped with the package and served as they are."""

from collections.abc import Mapping
from pathlib import Path

from entrypoints.serving.answers import Answer

HOUR = "max-age=3600"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """`files` maps the name that callers ask for to the path below `folder`; there is no way to any other file."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._files = files

    def answer(self, name: str, caching: str = HOUR) -> Answer | None:
        """None when there is no such file."""
        if name not in self._files:
            return None
        path = self._folder / self._files[name]
        headers = [
            (b"content-type", _TYPES[path.suffix].encode("ascii")),
            (b"cache-control", caching.encode("ascii")),
        ]
        return Answer(200, headers, path.read_bytes())
