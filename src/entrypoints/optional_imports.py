"""Imports a package without the optional packages that it would import, too, when they are installed.

Each process starts by importing; what dependency-injector, structlog and Litestar import beside themselves, for
features that Postlog does not use, is a third of a short verb's time.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _NotInstalled:
    """A finder: https://docs.python.org/3/reference/import.html#the-meta-path"""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages

    def find_spec(self, name: str, *_: object) -> None:
        package = name.partition(".")[0]
        if package in self._packages and (name == package or package not in sys.modules):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def as_if_not_installed(*packages: str) -> Iterator[None]:
    """Imports of these packages in the block raise `ModuleNotFoundError`, unless they have been imported before."""
    finder = _NotInstalled(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
