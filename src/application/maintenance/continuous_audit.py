"""The audit as a worker: for ever, at a low rate, what has changed lately first, then everything, a piece at a time.

A pass goes through all rows by id, then through the log by position for posts that should have a row, and looks for
comments of no post; so after one pass everything was looked at. In between, the posts of new commits are compared as
they come. Posts that differ are looked at again until they don't. Each is told once when it differs, and once when it
does not any more.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Never

from application.envelopes import Commit
from application.errors import Unavailable
from application.maintenance.audit import Audit
from application.maintenance.comparison import Difference
from application.ports.audit_rows import AuditRows, AuditStart, GenerationGone
from application.ports.commit_log import CommitLog
from application.ports.read_db import ProjectionStore
from application.ports.system import Clock, Metrics
from application.projections.log_checks import require_same_log
from domain.ids import PostId

_POSTS_A_STEP = 50
_COMMITS_A_STEP = 500
_SECONDS_BETWEEN_LOOKS = 10.0
_SECONDS_WHEN_AWAY = 5.0
_PARKED_A_PASS = 1_000
"""Each may have a row or none; of one that is damaged in the log, the log may lack the first commit."""

_TOLD_A_PASS = 100
_REMEMBERED = 100_000

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pass:
    """`post` and `position` are up to where rows and log were looked through, `recent` up to where new commits were.
    `rows_done`: the rows were looked through, and the log is."""

    generation: int
    began: float
    recent: int
    post: PostId | None = None
    rows_done: bool = False
    position: int = 0
    told: int = 0


class ContinuousAudit:
    """`commits_per_second` is about how many commits of the log it reads in a second."""

    def __init__(
        self,
        *,
        audit: Audit,
        rows: AuditRows,
        store: ProjectionStore,
        log: CommitLog,
        clock: Clock,
        metrics: Metrics,
        commits_per_second: float,
    ) -> None:
        self._audit = audit
        self._rows = rows
        self._store = store
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._pace = 1 / commits_per_second
        self._differing: dict[PostId, None] = {}
        """Those that were looked at longest ago come first."""
        self._orphaned: frozenset[PostId] = frozenset()
        self._looked_again, self._looked_again_at = False, 0.0
        self._whole_since = clock.monotonic()
        self._pass: _Pass | None = None
        self._start: AuditStart | None = None
        self._started_at = 0.0

    async def run(self) -> Never:
        """Until cancelled. Raises `WrongLog`."""
        while True:
            try:
                read = await self._step()
            except GenerationGone:
                self._start = None  # a rebuild has swapped: what was looked at is not what readers see
                continue
            except Unavailable as error:
                logger.warning("auditing stopped, again in %g s: %s", _SECONDS_WHEN_AWAY, error.message)
                await asyncio.sleep(_SECONDS_WHEN_AWAY)
                continue
            self._measure()
            await asyncio.sleep(max(read, 1) * self._pace)

    async def _step(self) -> int:
        """One piece of work; how many commits and rows were read for it."""
        start = await self._fresh_start()
        progress = self._pass
        if progress is None or progress.generation != start.generation:
            progress = self._pass = _Pass(start.generation, self._clock.monotonic(), start.position)
        if self._is_time_to_look_again():
            return await self._compare(start, list(self._differing)[:_POSTS_A_STEP])
        if progress.recent < start.position:
            return await self._look_at_recent(start, progress)
        if not progress.rows_done:
            return await self._look_at_rows(start, progress)
        return await self._look_at_log(start, progress)

    def _is_time_to_look_again(self) -> bool:
        """Never twice running: long posts that differ must not hold up the pass."""
        now = self._clock.monotonic()
        if self._looked_again or not self._differing or now - self._looked_again_at < _SECONDS_BETWEEN_LOOKS:
            self._looked_again = False
            return False
        self._looked_again, self._looked_again_at = True, now
        return True

    async def _fresh_start(self) -> AuditStart:
        """Where the database stands, not asked for at every step, since it counts rows."""
        now = self._clock.monotonic()
        if self._start is None or now - self._started_at >= _SECONDS_BETWEEN_LOOKS:
            live = await self._store.live()
            await require_same_log(live, (await self._store.checkpoints(live.generation)).values(), self._log)
            self._start, self._started_at = await self._rows.start(), now
        return self._start

    async def _look_at_recent(self, start: AuditStart, progress: _Pass) -> int:
        commits = await self._read(progress.recent, start.position)
        progress.recent = commits[-1].position if commits else start.position
        return len(commits) + await self._compare(start, {commit.stream_id for commit in commits})

    async def _look_at_rows(self, start: AuditStart, progress: _Pass) -> int:
        page = await self._rows.page(start.generation, progress.post, _POSTS_A_STEP)
        if not page:
            progress.rows_done = True
            return 1
        progress.post = page[-1].post.post_id
        return await self._compare(start, [each.post.post_id for each in page])

    async def _look_at_log(self, start: AuditStart, progress: _Pass) -> int:
        """Every post has one commit with which it begins."""
        commits = await self._read(progress.position, start.position)
        if not commits:
            await self._end_pass(start, progress)
            return 1
        begun = [commit.stream_id for commit in commits if commit.version == 1]
        there = {each.post.post_id for each in await self._rows.by_ids(start.generation, begun)}
        progress.position = commits[-1].position
        return len(commits) + await self._compare(start, [post_id for post_id in begun if post_id not in there])

    async def _end_pass(self, start: AuditStart, progress: _Pass) -> None:
        await self._look_at_orphans(start)
        await self._compare(start, sorted(await self._audit.parked(start))[:_PARKED_A_PASS])
        took = self._clock.monotonic() - progress.began
        logger.info("audited everything within %.0f s: %d posts differ", took, self._amount)
        self._metrics.count("audit_passes")
        self._whole_since = progress.began
        self._pass = None

    async def _look_at_orphans(self, start: AuditStart) -> None:
        """Comments of posts that have no row, and so are on no page."""
        found = {each.post_id: each for each in await self._audit.orphans(start)}
        for post_id in found.keys() - self._orphaned:
            self._tell([found[post_id]])
        for post_id in self._orphaned - found.keys():
            _tell_gone(post_id)
        self._orphaned = frozenset(found)

    @property
    def _amount(self) -> int:
        return len(self._differing) + len(self._orphaned)

    async def _read(self, after: int, until: int) -> Sequence[Commit]:
        return await self._log.read(after, min(_COMMITS_A_STEP, until - after)) if after < until else []

    async def _compare(self, start: AuditStart, post_ids: Collection[PostId]) -> int:
        if not post_ids:
            return 0
        differences, commits = await self._audit.compare(start, post_ids)
        by_post: dict[PostId, list[Difference]] = {}
        for each in differences:
            by_post.setdefault(each.post_id, []).append(each)
        self._note(by_post, post_ids)
        self._metrics.count("audit_posts_compared", len(post_ids))
        return commits

    def _note(self, differing: dict[PostId, list[Difference]], looked_at: Collection[PostId]) -> None:
        for post_id in looked_at:
            was_known = post_id in self._differing
            self._differing.pop(post_id, None)
            if found := differing.get(post_id):
                if not was_known:
                    self._tell(found)
                if len(self._differing) < _REMEMBERED:
                    self._differing[post_id] = None
            elif was_known:
                _tell_gone(post_id)

    def _tell(self, found: Sequence[Difference]) -> None:
        assert self._pass is not None  # noqa: S101 (a difference is found by a step of a pass)
        self._pass.told += 1
        if self._pass.told > _TOLD_A_PASS:
            return
        first, more = found[0], f", and {len(found) - 1} more" if len(found) > 1 else ""
        if first.field == "log":
            logger.warning("%s", first.found)
            return
        logger.warning(
            "post %s differs from the log in %s%s; `postlog audit` tells all, `postlog audit --repair` mends it",
            first.post_id,
            first.field,
            more,
        )
        if self._pass.told == _TOLD_A_PASS:
            logger.warning("more posts differ than are told one by one")

    def _measure(self) -> None:
        self._metrics.gauge("audit_posts_that_differ", self._amount)
        self._metrics.gauge("audit_seconds_since_whole", self._clock.monotonic() - self._whole_since)


def _tell_gone(post_id: PostId) -> None:
    logger.info("post %s is as the log says again", post_id)
