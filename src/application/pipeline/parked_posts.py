"""Parked posts for operators: which wait, why, and trying them again."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.pipeline.parking import ParkedRetry, Retried
from application.ports.commit_log import CommitLog
from application.ports.read_db import ParkedStream, ParkedStreams, ProjectionStore
from application.ports.system import Clock
from application.projections.log_checks import require_same_log
from domain.ids import PostId

_A_PAGE = 100


@dataclass(frozen=True, slots=True)
class RetriedAll:
    """`untried` are left because the time was up."""

    freed: int
    still: int
    untried: bool


class ParkedPosts:
    def __init__(
        self, *, streams: ParkedStreams, retry: ParkedRetry, store: ProjectionStore, log: CommitLog, clock: Clock
    ) -> None:
        self._streams = streams
        self._retry = retry
        self._store = store
        self._log = log
        self._clock = clock

    async def some(self, limit: int = _A_PAGE) -> Sequence[ParkedStream]:
        """By post id. Raises `ReadDbUnavailable`."""
        return await self._streams.parked(limit)

    async def retry(self, post_id: PostId) -> Retried:
        """Raises `WrongLog` when the rows come from another log: nothing of this one may go into them. And
        `Unavailable`."""
        await self._require_match()
        return await self._retry.retry(post_id)

    async def retry_all(self, seconds: float) -> RetriedAll:
        """Each once, until so many seconds have passed. Raises as `retry`."""
        await self._require_match()
        until = self._clock.monotonic() + seconds
        results: list[Retried] = []
        after: PostId | None = None
        while page := await self._streams.parked(_A_PAGE, after):
            for parked in page:
                if self._clock.monotonic() >= until:
                    return _counted(results, untried=True)
                results.append(await self._retry.retry(parked.post_id))
            after = page[-1].post_id
        return _counted(results, untried=False)

    async def _require_match(self) -> None:
        live = await self._store.live()
        await require_same_log(live, (await self._store.checkpoints(live.generation)).values(), self._log)


def _counted(results: Sequence[Retried], *, untried: bool) -> RetriedAll:
    still = sum(1 for each in results if each.still is not None)
    return RetriedAll(len(results) - still, still, untried)
