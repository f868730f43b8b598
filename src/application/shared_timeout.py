"""As `asyncio.timeout`, for many tasks that have the same time limit: they share one timer of the event loop. A timer
of its own costs a command ten times as much as an entry in a dictionary.
"""

import asyncio
from types import TracebackType
from typing import Any, Self, cast


class SharedTimeout:
    """Its limits begin in the order of their deadlines, because all last `seconds`. Belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limits: dict[_Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "_Limit":
        """For one `with` block, which raises `TimeoutError` when it has lasted too long."""
        return _Limit(self)

    def begin(self, limit: "_Limit") -> None:
        loop = asyncio.get_running_loop()
        deadline = self._limits[limit] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)

    def end(self, limit: "_Limit") -> None:
        self._limits.pop(limit, None)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for limit, deadline in list(self._limits.items()):
            if deadline > now:
                self._timer = loop.call_at(deadline, self._expire)
                return
            del self._limits[limit]
            limit.expire()


class _Limit:
    """Of the task that enters it. A cancellation from elsewhere stays a cancellation."""

    __slots__ = ("_cancelling", "_has_expired", "_shared", "_task")

    def __init__(self, shared: SharedTimeout) -> None:
        self._shared = shared
        self._has_expired = False

    def __enter__(self) -> Self:
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._shared.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.end(self)
        if self._has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        self._has_expired = True
        self._task.cancel()
