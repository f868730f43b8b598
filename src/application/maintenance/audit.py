"""Audit: compares every row of a read database with the fold of its stream in the log, field by field, while both may
change.

It reads the database's position P first, then the rows, then the log: so whatever a row shows is in the log by the time
that the log is read, if that is proven not to lag. Each row is compared at its own version, which must end a commit and
be no older than the stream at P. A stream with a commit at or below P must have a row, and every row a stream. Parked
posts are listed, not compared; one whose stream is damaged in the log is a difference, parked or not. There is no long
transaction, and none of the projector's SQL.

Memory is bounded: posts are divided into portions by the checksum of their id, and the log is read once for each
portion. A portion whose rows take too much memory is halved.

`AuditRuns` are those that an operator starts and watches: one at a time, in this process.
"""

import asyncio
import logging
import random
import sys
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from application.envelopes import AnyCommit
from application.errors import AuditRunning
from application.maintenance.comparison import Difference, StreamFold
from application.ports.audit_rows import AuditedPost, AuditRows, AuditStart, GenerationGone
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.projections.batch import decode_all
from domain.errors import PostlogError
from domain.ids import PostId

_POSTS_A_PAGE = 500
_POSTS_A_PORTION = 50_000
_PORTION_BYTES = 32_000_000
"""Of rows in memory; their folds take as much again."""

_ROW_BYTES = 400
_COMMITS_A_READ = 1_000
_RESTARTS_AFTER_SWAPS = 5
_ORPHANS_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class _Portion:
    """One of `portions` parts of all posts, by the checksum of their ids."""

    number: int
    portions: int

    def has(self, post_id: PostId) -> bool:
        return zlib.crc32(post_id.encode()) % self.portions == self.number

    def halves(self) -> "list[_Portion]":
        return [_Portion(number, 2 * self.portions) for number in (self.number + self.portions, self.number)]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`posts` were compared, at least up to `position`; `parked` were not."""

    generation: int
    position: int
    posts: int
    differences: Sequence[Difference]
    parked: Sequence[PostId]


@dataclass(slots=True)
class AuditProgress:
    """`done` of `total` steps; a step is one post row or one commit that was read. `report` is called after each."""

    done: int = 0
    total: int = 0
    report: Callable[["AuditProgress"], None] = field(default=lambda _: None)

    def advance(self, steps: int) -> None:
        self.done += steps
        self.report(self)


class Audit:
    """`seed` decides what a sample draws; None: another sample each time."""

    def __init__(
        self, *, rows: AuditRows, log: CommitLog, past_events: PastEvents, codec: EventCodec, seed: int | None = None
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._rows = rows
        self._log = log
        self._past_events = past_events
        self._codec = codec

    async def run(self, progress: AuditProgress | None = None) -> AuditReport:
        """Every post. Restarts when the live generation is swapped meanwhile. Raises `Unavailable`."""
        return await self._restart_after_swaps(lambda start: self._all(start, progress or AuditProgress()))

    async def sample(self, posts: int) -> AuditReport:
        """About `posts` posts: one half drawn from the rows, the other from the commits of the log. As many posts as
        there are, or more, is a whole audit."""
        return await self._restart_after_swaps(lambda start: self._sample(start, posts))

    async def _restart_after_swaps(self, audit: Callable[[AuditStart], Awaitable[AuditReport]]) -> AuditReport:
        for _ in range(_RESTARTS_AFTER_SWAPS):
            try:
                return await audit(await self._rows.start())
            except GenerationGone:
                continue
        return await audit(await self._rows.start())

    async def _all(self, start: AuditStart, progress: AuditProgress) -> AuditReport:
        progress.total = start.posts + await self._log.tip()
        portions = 1 + start.posts // _POSTS_A_PORTION
        progress.total *= portions
        left = [_Portion(number, portions) for number in reversed(range(portions))]
        differences: list[Difference] = []
        posts = 0
        while left:
            portion = left.pop()
            folds = await self._folds_of_rows(start, portion, progress)
            if folds is None:
                left += portion.halves()
                continue
            posts += len(folds)
            await self._feed_from_the_log(folds, start, portion, progress)
            differences += await self._differences(start, folds.values())
        differences += await self.orphans(start)
        return await self._report(start, posts, differences)

    async def _folds_of_rows(
        self, start: AuditStart, portion: "_Portion", progress: AuditProgress
    ) -> dict[PostId, StreamFold] | None:
        """None when the rows of this portion take more memory than a portion may, unless it is one post."""
        folds: dict[PostId, StreamFold] = {}
        size, read, after = 0, 0, None
        while page := await self._rows.page(start.generation, after, _POSTS_A_PAGE):
            mine = [each for each in page if portion.has(each.post.post_id)]
            size += sum(map(_bytes_of, mine))
            folds |= _folds(start, mine)
            read += len(page)
            progress.advance(len(page))
            if size > _PORTION_BYTES and len(folds) > 1:
                progress.total += read + start.posts + await self._log.tip()
                return None
            after = page[-1].post.post_id
        return folds

    async def _feed_from_the_log(
        self, folds: dict[PostId, StreamFold], start: AuditStart, portion: "_Portion", progress: AuditProgress
    ) -> None:
        tip, position = await self._log.proven_tip(), 0
        while position < tip and (commits := await self._log.read_events(position, _COMMITS_A_READ)):
            mine = [commit for commit in commits if portion.has(commit.stream_id)]
            for commit in mine:
                if commit.stream_id not in folds:
                    folds[commit.stream_id] = StreamFold.of(commit.stream_id, None, start.position)
            await asyncio.to_thread(self._feed, folds, mine)
            progress.advance(len(commits))
            position = commits[-1].position

    def _feed(self, folds: Mapping[PostId, StreamFold], commits: Iterable[AnyCommit]) -> None:
        for commit, events in decode_all(commits, self._codec):
            folds[commit.stream_id].feed(commit, events)

    async def _sample(self, start: AuditStart, posts: int) -> AuditReport:
        if posts >= start.posts:
            return await self._all(start, AuditProgress())
        drawn = await self._sample_of_the_log(start, posts // 2)
        post_ids = sorted(drawn | set(await self._sample_of_the_rows(start, posts - len(drawn))))
        differences: list[Difference] = []
        for begin in range(0, len(post_ids), _POSTS_A_PAGE):
            found, _ = await self.compare(start, post_ids[begin : begin + _POSTS_A_PAGE])
            differences += found
        return await self._report(start, len(post_ids), differences)

    async def compare(self, start: AuditStart, post_ids: Collection[PostId]) -> tuple[list[Difference], int]:
        """The differences of these posts, and how many commits were read. Right after a failover the log that is read
        may be older than the rows, so differences are reported only of a log that is proven. Raises `GenerationGone`,
        `Unavailable`.
        """
        differences, read = await self._compare(start, post_ids)
        if differences:
            await self._log.proven_tip()
            differences, again = await self._compare(start, post_ids)
            read += again
        return differences, read

    async def _compare(self, start: AuditStart, post_ids: Collection[PostId]) -> tuple[list[Difference], int]:
        folds = {post_id: StreamFold.of(post_id, None, start.position) for post_id in post_ids}
        folds |= _folds(start, await self._rows.by_ids(start.generation, list(folds)))
        read = 0
        for post_id in folds:
            version = 0
            while commits := await self._past_events.read_stream(post_id, version, _COMMITS_A_READ):
                await asyncio.to_thread(self._feed, folds, commits)
                version, read = commits[-1].last_version, read + len(commits)
        return await self._differences(start, folds.values()), read

    async def _sample_of_the_log(self, start: AuditStart, posts: int) -> set[PostId]:
        positions = self._random.sample(range(start.position), min(posts, start.position))
        return {commit.stream_id for position in positions for commit in await self._log.read(position, 1)}

    async def _sample_of_the_rows(self, start: AuditStart, posts: int) -> list[PostId]:
        drawn: list[PostId] = []
        after: PostId | None = PostId(str(UUID(int=self._random.getrandbits(128))))
        while len(drawn) < posts:
            page = await self._rows.page(start.generation, after, min(_POSTS_A_PAGE, posts - len(drawn)))
            drawn += [each.post.post_id for each in page]
            if not page and after is None:
                break
            after = page[-1].post.post_id if page else None
        return drawn

    async def _differences(self, start: AuditStart, folds: Iterable[StreamFold]) -> list[Difference]:
        parked = await self._rows.parked(start.generation)
        return [each for fold in folds if fold.damage or fold.post_id not in parked for each in fold.differences()]

    async def parked(self, start: AuditStart) -> Collection[PostId]:
        """Raises `GenerationGone`, `Unavailable`."""
        return await self._rows.parked(start.generation)

    async def orphans(self, start: AuditStart) -> list[Difference]:
        """Comments whose post has no row, so that no page shows them. Raises `GenerationGone`, `Unavailable`."""
        orphans = await self._rows.orphans(start.generation, _ORPHANS_SHOWN)
        return [
            Difference(post_id, f"comments[{comment_id}]", "none: its post has no row", "a comment")
            for post_id, comment_id in orphans
        ]

    async def _report(self, start: AuditStart, posts: int, differences: Sequence[Difference]) -> AuditReport:
        parked = sorted(await self._rows.parked(start.generation))
        return AuditReport(start.generation, start.position, posts, differences, parked)


def _folds(start: AuditStart, audited: Iterable[AuditedPost]) -> dict[PostId, StreamFold]:
    return {each.post.post_id: StreamFold.of(each.post.post_id, each, start.position) for each in audited}


def _bytes_of(audited: AuditedPost) -> int:
    return (
        _ROW_BYTES
        + sys.getsizeof(audited.post.message)
        + sum(_ROW_BYTES + sys.getsizeof(comment.comment) for comment in audited.comments)
    )


logger = logging.getLogger(__name__)


@dataclass(slots=True)
class AuditRun:
    """`sample` is about how many posts it compares, None: every one. While it runs, `ended_at` is None. Then it has a
    `report`, or an `error` that stopped it, or it was `cancelled`."""

    sample: int | None
    started_at: datetime
    progress: AuditProgress = field(default_factory=AuditProgress)
    ended_at: datetime | None = None
    report: AuditReport | None = None
    error: str | None = None
    cancelled: bool = False

    @property
    def is_running(self) -> bool:
        return self.ended_at is None


class AuditRuns:
    """A full audit reads the whole log, in turns with everything else that this process does; for a long log,
    `postlog audit` does the same in a process of its own. The last result is kept until the next run."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.last: AuditRun | None = None

    def begin(self, sample: int | None) -> AuditRun:
        """Raises `AuditRunning`."""
        if self.last is not None and self.last.is_running:
            raise AuditRunning("An audit is already running. Wait for it, or cancel it.")
        run = self.last = AuditRun(sample, self._clock.now())
        self._task = asyncio.create_task(self._run(run), name="audit")
        return run

    async def cancel(self) -> None:
        """Returns when it has ended. No effect when none runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.last is not None and self.last.is_running:  # cancelled before it started
            self.last.cancelled, self.last.ended_at = True, self._clock.now()

    async def _run(self, run: AuditRun) -> None:
        try:
            if run.sample is None:
                run.report = await self._audit.run(run.progress)
            else:
                run.report = await self._audit.sample(run.sample)
        except asyncio.CancelledError:
            run.cancelled = True
        except PostlogError as error:
            run.error = error.message
        except Exception as error:
            logger.exception("an audit failed")
            run.error = (
                f"Internal error, a bug in Postlog: {type(error).__name__}. The service's log has the traceback."
            )
        finally:
            run.ended_at = self._clock.now()
