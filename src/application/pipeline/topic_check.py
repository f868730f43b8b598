"""Does the topic carry what the log holds? When a log is restored to an older state, the topic still has what came
after, and commits that are new in the log take the same positions.

Comparing every commit with the log would cost as much as reading the log. So the last commit of each partition is
compared while old messages are read and once when a partition begins, and the rows are compared when messages repeat.
"""

import asyncio
from collections.abc import Sequence

from application.envelopes import Commit
from application.errors import WrongLog
from application.partitioning import partition_of
from application.pipeline.projector import Projector
from application.ports.commit_log import CommitLog
from application.projections.log_checks import commit_at

_SECONDS_BETWEEN_CHECKS = 1.0


class TopicVerifier:
    def __init__(self, projector: Projector, log: CommitLog, partitions: int) -> None:
        self._projector = projector
        self._log = log
        self._partitions = partitions
        self._verified: set[int] = set()
        self._checked_at = asyncio.get_running_loop().time()

    def doubt(self, partition: int) -> None:
        """Its messages start from another offset, perhaps from long ago."""
        self._verified.discard(partition)

    async def check_commits(self, commits: Sequence[Commit], *, catching_up: bool) -> None:
        """Before they go into the rows. Raises `WrongLog`, `StoreUnavailable`."""
        last = {partition_of(commit.stream_id, self._partitions): commit for commit in commits}
        for partition, commit in last.items():
            if catching_up or partition not in self._verified:
                await self._compare(commit)
                self._verified.add(partition)

    async def check_rows(self) -> None:
        """Messages were repeated: the relay restarted, perhaps on an older log. Raises `WrongLog`."""
        now = asyncio.get_running_loop().time()
        if now - self._checked_at >= _SECONDS_BETWEEN_CHECKS:
            await self._projector.open(self._partitions)
            self._checked_at = now

    async def _compare(self, commit: Commit) -> None:
        found = await commit_at(commit.position, self._log)
        if found is None or found.commit_id != commit.commit_id:
            raise WrongLog(
                f"The bus carries commit {commit.commit_id} at position {commit.position}, which the log does not have "
                "there: the log was restored to an older state. Delete the topic and run `postlog init`; projectors "
                "read from the log what the topic does not bring."
            )
