"""The audit as a worker: it runs continuously at a low rate, recent changes first, then everything, in small steps.

A pass goes through all rows by id, then through the log by position for posts that should have a row, and searches for
comments of no post; so after one pass everything has been compared. In between, the posts of new commits are compared
as they come. Posts that differ are compared again until they match. Each is logged once when it differs, and once when
it matches again.
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
_SECONDS_BETWEEN_CHECKS = 10.0
_SECONDS_WHEN_AWAY = 5.0
_SECONDS_BETWEEN_PASSES = 5.0
"""From the beginning of one to that of the next; a small log is compared in an instant."""

_PARKED_A_PASS = 1_000
"""A parked post may have a row or none, and the log may lack the first commit of one that is damaged."""

_LOGGED_A_PASS = 100
_REMEMBERED = 100_000

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pass:
    """`post` and `position` are how far rows and log were compared, `recent` how far new commits were. `rows_done`: the
    rows are done, and the log is being read."""

    generation: int
    began: float
    recent: int
    post: PostId | None = None
    rows_done: bool = False
    position: int = 0
    logged: int = 0


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
        """Those that were compared longest ago come first."""
        self._orphaned: frozenset[PostId] = frozenset()
        self._has_rechecked, self._rechecked_at = False, 0.0
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
                self._start = None  # a rebuild has swapped: readers see other rows now
                continue
            except Unavailable as error:
                logger.warning("auditing stopped, retrying in %g s: %s", _SECONDS_WHEN_AWAY, error.message)
                self._measure()
                await asyncio.sleep(_SECONDS_WHEN_AWAY)
                continue
            self._measure()
            pause = max(read, 1) * self._pace
            if self._pass is None:  # one has ended
                pause = max(pause, self._whole_since + _SECONDS_BETWEEN_PASSES - self._clock.monotonic())
            await asyncio.sleep(pause)

    async def _step(self) -> int:
        """One step; returns how many commits and rows were read for it."""
        start = await self._audit_start()
        progress = self._pass
        if progress is None or progress.generation != start.generation:
            progress = self._pass = _Pass(start.generation, self._clock.monotonic(), start.position)
        if self._recheck_is_due():
            return await self._compare(start, list(self._differing)[:_POSTS_A_STEP])
        if progress.recent < start.position:
            return await self._compare_recent(start, progress)
        if not progress.rows_done:
            return await self._compare_rows(start, progress)
        return await self._find_missing_rows(start, progress)

    def _recheck_is_due(self) -> bool:
        """Never twice in a row: long posts that differ must not delay the pass."""
        now = self._clock.monotonic()
        if self._has_rechecked or not self._differing or now - self._rechecked_at < _SECONDS_BETWEEN_CHECKS:
            self._has_rechecked = False
            return False
        self._has_rechecked, self._rechecked_at = True, now
        return True

    async def _audit_start(self) -> AuditStart:
        """The database's position, cached for some steps, since the query counts rows."""
        now = self._clock.monotonic()
        if self._start is None or now - self._started_at >= _SECONDS_BETWEEN_CHECKS:
            live = await self._store.live()
            await require_same_log(live, (await self._store.checkpoints(live.generation)).values(), self._log)
            self._start, self._started_at = await self._rows.start(), now
        return self._start

    async def _compare_recent(self, start: AuditStart, progress: _Pass) -> int:
        commits = await self._read(progress.recent, start.position)
        progress.recent = commits[-1].position if commits else start.position
        return len(commits) + await self._compare(start, {commit.stream_id for commit in commits})

    async def _compare_rows(self, start: AuditStart, progress: _Pass) -> int:
        page = await self._rows.page(start.generation, progress.post, _POSTS_A_STEP)
        if not page:
            progress.rows_done = True
            return 1
        progress.post = page[-1].post.post_id
        return await self._compare(start, [each.post.post_id for each in page])

    async def _find_missing_rows(self, start: AuditStart, progress: _Pass) -> int:
        """Every post has exactly one first commit."""
        commits = await self._read(progress.position, start.position)
        if not commits:
            await self._end_pass(start, progress)
            return 1
        begun = [commit.stream_id for commit in commits if commit.version == 1]
        there = {each.post.post_id for each in await self._rows.by_ids(start.generation, begun)}
        progress.position = commits[-1].position
        return len(commits) + await self._compare(start, [post_id for post_id in begun if post_id not in there])

    async def _end_pass(self, start: AuditStart, progress: _Pass) -> None:
        await self._check_orphans(start)
        await self._compare(start, sorted(await self._audit.parked(start))[:_PARKED_A_PASS])
        took = self._clock.monotonic() - progress.began
        logger.info("audited everything in %.0f s: %d posts differ", took, self._amount)
        self._metrics.count("audit_passes")
        self._whole_since = progress.began
        self._pass = None

    async def _check_orphans(self, start: AuditStart) -> None:
        """Comments whose post has no row, so that no page of rows has them."""
        found = {each.post_id: each for each in await self._audit.orphans(start)}
        for post_id in found.keys() - self._orphaned:
            self._log_difference([found[post_id]])
        for post_id in self._orphaned - found.keys():
            _log_match(post_id)
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
        self._record(by_post, post_ids)
        self._metrics.count("audit_posts_compared", len(post_ids))
        return commits

    def _record(self, differing: dict[PostId, list[Difference]], compared: Collection[PostId]) -> None:
        for post_id in compared:
            was_known = post_id in self._differing
            self._differing.pop(post_id, None)
            if found := differing.get(post_id):
                if not was_known:
                    self._log_difference(found)
                if len(self._differing) < _REMEMBERED:
                    self._differing[post_id] = None
            elif was_known:
                _log_match(post_id)

    def _log_difference(self, found: Sequence[Difference]) -> None:
        assert self._pass is not None  # noqa: S101 (a difference is found by a step of a pass)
        self._pass.logged += 1
        if self._pass.logged > _LOGGED_A_PASS:
            return
        first, more = found[0], f", and {len(found) - 1} more" if len(found) > 1 else ""
        if first.field == "log":
            logger.warning("%s", first.found)
            return
        logger.warning(
            "post %s differs from the log in %s%s; `postlog audit` lists them all, `postlog audit --repair` fixes them",
            first.post_id,
            first.field,
            more,
        )
        if self._pass.logged == _LOGGED_A_PASS:
            logger.warning("more posts differ; only the first are logged one by one")

    def _measure(self) -> None:
        self._metrics.gauge("audit_posts_that_differ", self._amount)
        self._metrics.gauge("audit_seconds_since_whole", self._clock.monotonic() - self._whole_since)


def _log_match(post_id: PostId) -> None:
    logger.info("post %s matches the log again", post_id)
