"""What is wrong with this installation, found without changing anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from application.errors import StreamDamaged
from application.maintenance.build_progress import in_words
from application.ports.clock import Clock
from application.ports.commit_log import CommitLog
from application.ports.generations import UNFINISHED, Build, Generations
from application.ports.parked_streams import ParkedStreams
from application.ports.post_views import PostViews
from application.ports.probes import Probe
from application.ports.projection_store import ProjectionStore
from application.ports.provisioning import Provisioning
from application.projections.log_holes import LogHoles
from application.projections.log_match import require_match
from domain.errors import PostlogError

CATCH_UP_SECONDS = 2.0
"""How long the rows may take to reach the log's end, before they count as left behind."""

_POLL_SECONDS = 0.1

_PARKED_READ = 1_000
"""Among which one that is damaged in the log is looked for, to be named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` is one sentence: what was found and, where it is a problem, what to do. `about_data`: everything runs,
    but the data is not as it should be."""

    check: str
    ok: bool
    detail: str
    about_data: bool = False


class Doctor:
    """`provisionings` are named by the check they stand for: `event_store schema`, `read_db schema` … `thorough`: every
    position of the log is counted where the store does not know how many there are."""

    def __init__(
        self,
        *,
        probes: Sequence[Probe],
        provisionings: Mapping[str, Provisioning],
        log: CommitLog,
        holes: LogHoles,
        store: ProjectionStore,
        views: PostViews,
        parked_streams: ParkedStreams,
        generations: Generations,
        clock: Clock,
        thorough: bool = True,
    ) -> None:
        self._probes = probes
        self._provisionings = provisionings
        self._log = log
        self._holes = holes
        self._thorough = thorough
        self._store = store
        self._views = views
        self._parked_streams = parked_streams
        self._generations = generations
        self._clock = clock

    async def examine(self) -> AsyncIterator[Finding]:
        """Servers first. The rest is examined only where they all answer."""
        all_answer = True
        for result in await asyncio.gather(*(probe.probe() for probe in self._probes)):
            all_answer = all_answer and result.ok
            yield Finding(result.name, result.ok, result.detail)
        if not all_answer:
            return
        for check, provisioning in self._provisionings.items():
            schema = await _examined(check, partial(_schema, check, provisioning))
            yield schema
            if not schema.ok:
                return
        examinations = {
            "positions": self._positions,
            "log match": self._match,
            "lag": self._lag,
            "parked posts": self._parked,
            "rebuild": self._rebuild,
        }
        for check, examine in examinations.items():
            yield await _examined(check, partial(examine, check))

    async def _positions(self, check: str) -> Finding:
        hole = await self._holes.look(thorough=self._thorough)
        return Finding(check, hole is None, hole.sentence if hole else "No position is missing from the log.")

    async def _match(self, check: str) -> Finding:
        live = await self._store.live()
        checkpoints = await self._store.checkpoints(live.generation)
        await require_match(live, checkpoints.values(), self._log)
        if live.log_id is None:
            return Finding(check, True, "No projector has begun to fill the read database yet.")
        return Finding(check, True, "The read database belongs to this log.")

    async def _lag(self, check: str) -> Finding:
        tip = await self._log.tip()
        until = self._clock.monotonic() + CATCH_UP_SECONDS
        while (position := (await self._views.stamp()).position) < tip:
            if self._clock.monotonic() >= until:
                behind = f"The rows are at position {position:,}, {tip - position:,} commits behind the log."
                return Finding(check, False, f"{behind} Is a projector running (`postlog project`)?", True)
            await asyncio.sleep(_POLL_SECONDS)
        return Finding(check, True, f"The rows are at the log's end, position {tip:,}.")

    async def _parked(self, check: str) -> Finding:
        parked = (await self._views.stamp()).parked
        if not parked:
            return Finding(check, True, "No post is parked.")
        wait = f"{parked:,} posts wait for a cause to be mended; `postlog parked list` says which."
        damaged = [each for each in await self._parked_streams.parked(_PARKED_READ) if each.code == StreamDamaged.code]
        return Finding(check, False, f"{wait} {damaged[0].reason}" if damaged else wait, True)

    async def _rebuild(self, check: str) -> Finding:
        if (build := await self._unfinished()) is None:
            return Finding(check, True, "None is unfinished.")
        if await self._generations.is_locked():
            return Finding(check, True, f"One is running: {in_words(build)}.")
        if (build := await self._unfinished()) is None:  # it ended between the two looks
            return Finding(check, True, "None is unfinished.")
        return Finding(check, False, _orphan(build), True)

    async def _unfinished(self) -> Build | None:
        builds = await self._generations.builds()
        return next((build for build in builds if build.state in UNFINISHED), None)


def _orphan(build: Build) -> str:
    why = f" ({build.error.removesuffix('.')})" if build.error else ""
    return (
        f"Generation {build.generation} in slot {build.slot} was left unfinished at position {build.position:,} of "
        f"{build.target:,}{why}; `postlog rebuild` goes on with it, `postlog rebuild --drop` gives it up."
    )


async def _examined(check: str, examine: Callable[[], Awaitable[Finding]]) -> Finding:
    """What can't be examined is a finding too."""
    try:
        return await examine()
    except PostlogError as error:
        return Finding(check, False, error.message)


async def _schema(check: str, provisioning: Provisioning) -> Finding:
    await provisioning.check()
    return Finding(check, True, "What this version needs is there.")
