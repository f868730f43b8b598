"""Waiting for a condition, with a deadline."""

import http.client
import time
from collections.abc import Callable


def wait_until(ready: Callable[[], bool], *, seconds: float, failure: Callable[[], Exception]) -> None:
    """Return as soon as `ready()`; raise `failure()` if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(0.05)


def answers_ok(port: int, path: str) -> bool:
    """Whether a server on this machine responds to `GET path` with 200; some listen before they can."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
