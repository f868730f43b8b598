"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until(ready: Callable[[], bool], *, seconds: float, failure: Callable[[], Exception]) -> None:
    """Return as soon as `ready()`; raise `failure()` if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(0.05)
