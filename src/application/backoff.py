"""Pauses between attempts on something that is unavailable: growing, bounded, and short again after a success."""

import asyncio
import logging
from collections.abc import Callable

from domain.errors import PostlogError


class Backoff:
    """Doubles the pause from `first` up to `longest` seconds."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._pause = first

    def next(self) -> float:
        """Seconds to pause before the next attempt."""
        pause = self._pause
        self._pause = min(2 * pause, self._longest)
        return pause

    def reset(self) -> None:
        self._pause = self._first


class Patience:
    """Attempts that are given up when nothing has succeeded for `seconds`. `monotonic` is the clock."""

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._monotonic = monotonic
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        """An attempt succeeded."""
        self._backoff = Backoff()
        self._give_up_at = self._monotonic() + self._seconds

    async def pause(self) -> bool:
        """Sleep until the next attempt is due. False, without sleeping, if the time would be up by then."""
        pause = self._backoff.next()
        if self._monotonic() + pause > self._give_up_at:
            return False
        await asyncio.sleep(pause)
        return True


def log_interruption(logger: logging.Logger, what: str, error: Exception, pause: float) -> str:
    """Log an error that interrupted a loop, which resumes after `pause` seconds; return its code. An error outside the
    error tree is a bug, and is logged as one, with its traceback.
    """
    if isinstance(error, PostlogError):
        logger.warning("%s stopped, retrying in %.1f s: %s", what, pause, error.message)
        return error.code
    logger.error("%s stopped because of a bug in Postlog, retrying in %.1f s", what, pause, exc_info=error)
    return "internal-error"
