"""Importing a library without its optional companions, which would be a good part of the service's start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """What is imported in the block finds none of these modules, as if they were not installed. One that was imported
    before is left as it is. For the start of a process, when nothing else imports at the same time."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say: not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
