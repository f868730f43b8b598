"""Group commit: appends that arrive during a write go together into the next write. Written once, for every store.

One fsync then serves many commits, and a lone append never waits. One task writes all groups, and calls back with the
outcomes: no commit has a task or a future of its own, and no caller can cancel the commits of others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from application.envelopes import ProposedCommit
from application.ports.event_store import Appended, AppendOutcome, EventStore
from application.ports.system import Clock, Journal, Metrics

Settle = Callable[[Sequence[AppendOutcome] | BaseException], None]
"""Must not raise: it is called between two writes."""


@dataclass(slots=True)
class _Waiting:
    commits: Sequence[ProposedCommit]
    settle: Settle


class GroupCommitter:
    """`max_commits` bounds one write; the rest waits for the next one."""

    def __init__(
        self, store: EventStore, clock: Clock, metrics: Metrics, journal: Journal, max_commits: int = 1_000
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._journal = journal
        self._max_commits = max_commits
        self._waiting: deque[_Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    def append(self, commits: Sequence[ProposedCommit], settle: Settle) -> None:
        """Append commits of one stream, in version order. `settle` gets the outcomes of `EventStore.append`, or what it
        raised.
        """
        self._waiting.append(_Waiting(commits, settle))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_until_idle(), name="group-commit")

    async def drain(self) -> None:
        """Return when no append is waiting or in flight."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_until_idle(self) -> None:
        try:
            while self._waiting:
                await self._write(self._next_group())
        finally:
            self._writer = None

    def _next_group(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        size = len(group[0].commits)
        while self._waiting and size + len(self._waiting[0].commits) <= self._max_commits:
            size += len(self._waiting[0].commits)
            group.append(self._waiting.popleft())
        return group

    async def _write(self, group: list[_Waiting]) -> None:
        commits = [commit for waiting in group for commit in waiting.commits]
        started = self._clock.monotonic()
        try:
            outcomes = await self._append(commits)
        except BaseException as error:
            for waiting in group:
                waiting.settle(error)
            if not isinstance(error, Exception):
                raise
            return
        self._record(outcomes)
        self._metrics.observe("group_commit_seconds", self._clock.monotonic() - started)
        self._metrics.count("commits_written", len(commits))
        self._metrics.count("group_commits")
        _hand_out(group, outcomes)

    def _append(self, commits: Sequence[ProposedCommit]) -> Coroutine[Any, Any, list[AppendOutcome]]:
        return self._store.append(commits)

    def _record(self, outcomes: Sequence[AppendOutcome]) -> None:
        """Outcomes are in the order of positions, so the first appended commit has the lowest."""
        positions = [outcome.position for outcome in outcomes if isinstance(outcome, Appended)]
        if positions:
            self._journal.record_durable(positions[0], positions[-1])


def _hand_out(group: list[_Waiting], outcomes: list[AppendOutcome]) -> None:
    start = 0
    for waiting in group:
        end = start + len(waiting.commits)
        waiting.settle(outcomes[start:end])
        start = end
