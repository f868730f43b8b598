"""Pauses between attempts on something that is away: growing, bounded, and small again once it has answered."""

import logging

from domain.errors import PostlogError

_FIRST = 0.1
_LONGEST = 5.0


class Backoff:
    def __init__(self) -> None:
        self._pause = _FIRST

    def next(self) -> float:
        """Seconds to pause before the next attempt."""
        pause = self._pause
        self._pause = min(2 * pause, _LONGEST)
        return pause

    def reset(self) -> None:
        self._pause = _FIRST


def log_interruption(logger: logging.Logger, what: str, error: Exception, pause: float) -> str:
    """Of a loop that goes on after `pause` seconds, whatever it was that interrupted it; returns the error's code. What
    is no error of the tree is a bug, and is logged as one, with its traceback."""
    if isinstance(error, PostlogError):
        logger.warning("%s stopped, again in %.1f s: %s", what, pause, error.message)
        return error.code
    logger.error("%s stopped because of a bug in Postlog, again in %.1f s", what, pause, exc_info=error)
    return "internal-error"
