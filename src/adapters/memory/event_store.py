"""The event store in memory. An append runs to its end without giving way, so it is atomic in its event loop."""

from collections.abc import Sequence

from adapters.memory.log import MemoryLog
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.ports.event_store import AlreadyStored, Appended, AppendOutcome, NotTried, Receipt, VersionTaken
from domain.ids import PostId


class MemoryEventStore:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        failed: set[PostId] = set()
        outcomes: list[AppendOutcome] = []
        for commit in commits:
            outcome = NotTried() if commit.stream_id in failed else self._append_one(commit)
            if not isinstance(outcome, Appended):
                failed.add(commit.stream_id)
            outcomes.append(outcome)
        self._log.wake()
        return outcomes

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        return self._log.stream_page(stream_id, after_version, limit)

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        last = self._log.last_of(stream_id)
        return StreamTail(last.last_version, last.position) if last else None

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        commits = [each for each in self._log.stream_page(stream_id, 0, version) if each.version <= version]
        ends = [(each.last_version, each.position, each.commit_id) for each in commits[-1:]]
        return ends == [(version, position, commit_id)] and sum(len(each.events) for each in commits) == version

    async def last_version(self, stream_id: PostId) -> int:
        tail = await self.stream_tail(stream_id)
        return tail.version if tail else 0

    async def find_commit(self, commit_id: str) -> Commit | None:
        return self._log.by_commit_id.get(commit_id)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._log.receipts.setdefault(receipt.commit_id, receipt)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        return self._log.receipts.get(commit_id)

    def _append_one(self, commit: ProposedCommit) -> AppendOutcome:
        stored = self._log.by_commit_id.get(commit.commit_id)
        if stored is not None:
            return AlreadyStored(stored)
        last = self._log.last_of(commit.stream_id)
        if commit.version != (last.last_version if last else 0) + 1:
            return VersionTaken()
        return Appended(self._log.add(commit).position)
