"""The doctor: what is wrong with this installation, found without changing anything. `CachedDiagnosis` keeps its
findings for a while, for pages that are loaded again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from application.errors import StreamDamaged
from application.maintenance.progress import describe_progress
from application.ports.commit_log import CommitLog
from application.ports.generations import UNFINISHED, Build, Generations
from application.ports.post_views import PostViews
from application.ports.provisioning import Probe, Provisioning
from application.ports.read_db import ParkedStreams, ProjectionStore
from application.ports.relay_state import RelayState, RelayStatus
from application.ports.system import Clock
from application.projections.log_checks import LogGaps, require_same_log
from domain.errors import PostlogError

CATCH_UP_SECONDS = 2.0
"""How long the rows may take to reach the log's end before they count as behind."""

_POLL_SECONDS = 0.1

_PARKED_READ, _DAMAGED_SHOWN = 1_000, 3
"""How many parked posts are searched for those that are damaged in the log, and how many of these are named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` is one sentence: what was found and, if it is a problem, what to do. `about_data`: everything runs, but
    the data is wrong or behind."""

    check: str
    ok: bool
    detail: str
    about_data: bool = False


class Doctor:
    """`provisionings` are named by their check: `event_store schema`, `read_db schema` … `thorough`: every position of
    the log is counted where the store does not know how many there are. `relay_state` is None where there is no bus.
    `unopened` are parts that could not be opened, with the reason."""

    def __init__(
        self,
        *,
        probes: Sequence[Probe],
        provisionings: Mapping[str, Provisioning],
        log: CommitLog,
        gaps: LogGaps,
        store: ProjectionStore,
        views: PostViews,
        parked_streams: ParkedStreams,
        generations: Generations,
        clock: Clock,
        relay_state: RelayState | None = None,
        thorough: bool = True,
        unopened: Mapping[str, str] | None = None,
    ) -> None:
        self._probes = probes
        self._relay_state = relay_state
        self._unopened = unopened or {}
        self._provisionings = provisionings
        self._log = log
        self._gaps = gaps
        self._thorough = thorough
        self._store = store
        self._views = views
        self._parked_streams = parked_streams
        self._generations = generations
        self._clock = clock

    async def examine(self) -> AsyncIterator[Finding]:
        """Servers first. Checks that need a part that does not answer, or lacks its tables, are skipped."""
        out = set(self._unopened)
        for part, reason in self._unopened.items():
            yield Finding(part, False, reason)
        probes = [probe for probe in self._probes if probe.name not in out]
        for result in await asyncio.gather(*(probe.probe() for probe in probes)):
            if not result.ok:
                out.add(result.name)
            yield Finding(result.name, result.ok, result.detail)
        for check, provisioning in self._provisionings.items():
            if (part := check.partition(" ")[0]) not in out:
                schema = await _examined(check, partial(_schema, check, provisioning))
                yield schema
                if not schema.ok:
                    out.add(part)
        for check, (parts, examine) in self._examinations().items():
            if not out.intersection(parts):
                yield await _examined(check, partial(examine, check))

    def _examinations(self) -> Mapping[str, tuple[Sequence[str], Callable[[str], Awaitable[Finding]]]]:
        """Each with the parts that it needs."""
        log, rows = "event_store", "read_db"
        of_relay = {"relay": ([log], self._relay)} if self._relay_state is not None else {}
        return {
            "positions": ([log], self._positions),
            **of_relay,
            "log match": ([log, rows], self._match),
            "lag": ([log, rows], self._lag),
            "parked posts": ([rows], self._parked),
            "rebuild": ([rows], self._rebuild),
        }

    async def _positions(self, check: str) -> Finding:
        gap = await self._gaps.find(thorough=self._thorough)
        return Finding(check, gap is None, gap.sentence if gap else "No position is missing from the log.")

    async def _relay(self, check: str) -> Finding:
        """Whether one is active and makes progress."""
        tip, state = await self._log.tip(), await self._relay_status()
        begun_at = position = state.position if state else 0
        until = self._clock.monotonic() + CATCH_UP_SECONDS
        while position < tip and self._clock.monotonic() < until:
            await asyncio.sleep(_POLL_SECONDS)
            state = await self._relay_status()
            position = state.position if state else 0
        active = state.owner is not None if state else False
        if position >= tip and (active or tip == 0):
            relays = "A relay is active" if active else "No relay was started yet"
            return Finding(check, True, f"{relays}; the bus has the log up to position {position:,}.")
        if position >= tip:
            return Finding(
                check, False, "No relay is active. Nothing is waiting yet; start one (`postlog relay`).", True
            )
        waiting = f"{tip - position:,} commits of the log wait to be published, after position {position:,}"
        if not active:
            return Finding(check, False, f"No relay is active, and {waiting}. Is one running (`postlog relay`)?", True)
        if position > begun_at:
            return Finding(check, False, f"A relay is active and catching up: {waiting}.", True)
        stuck = f"A relay holds the lease and publishes nothing: {waiting}."
        return Finding(
            check, False, f"{stuck} What it logs, or the check `bus`, says why; restart it if neither does.", True
        )

    async def _relay_status(self) -> RelayStatus | None:
        return await self._relay_state.state() if self._relay_state is not None else None

    async def _match(self, check: str) -> Finding:
        live = await self._store.live()
        checkpoints = await self._store.checkpoints(live.generation)
        await require_same_log(live, checkpoints.values(), self._log)
        if live.log_id is None:
            return Finding(check, True, "No projector has started to fill the read database yet.")
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
        wait = f"{parked:,} posts are parked until their causes are fixed; `postlog parked list` shows them."
        some = await self._parked_streams.parked(_PARKED_READ)
        damaged = [each.reason for each in some if each.code == StreamDamaged.code]
        return Finding(check, False, " ".join([wait, *damaged[:_DAMAGED_SHOWN]]), True)

    async def _rebuild(self, check: str) -> Finding:
        if (build := await self._unfinished()) is None:
            return Finding(check, True, "No rebuild is unfinished.")
        if await self._generations.is_locked():
            return Finding(check, True, f"A rebuild is running: {describe_progress(build)}.")
        if (build := await self._unfinished()) is None:  # it ended between the two reads
            return Finding(check, True, "No rebuild is unfinished.")
        return Finding(check, False, _orphan(build), True)

    async def _unfinished(self) -> Build | None:
        builds = await self._generations.builds()
        return next((build for build in builds if build.state in UNFINISHED), None)


def _orphan(build: Build) -> str:
    why = f" ({build.error.removesuffix('.')})" if build.error else ""
    return (
        f"Generation {build.generation} in slot {build.slot} was left unfinished at position {build.position:,} of "
        f"{build.target:,}{why}; `postlog rebuild` resumes it, `postlog rebuild --drop` discards it."
    )


async def _examined(check: str, examine: Callable[[], Awaitable[Finding]]) -> Finding:
    """A check that fails is a finding, too."""
    try:
        return await examine()
    except PostlogError as error:
        return Finding(check, False, error.message)


async def _schema(check: str, provisioning: Provisioning) -> Finding:
    unseen = await provisioning.check()
    return Finding(check, True, unseen or "Everything that this version needs is there.")


@dataclass(frozen=True, slots=True)
class Findings:
    at: datetime
    all: Sequence[Finding]


class CachedDiagnosis:
    """Findings are kept for `seconds`. `doctor` makes the doctor when it is first needed."""

    def __init__(self, doctor: Callable[[], Doctor], clock: Clock, seconds: float = 10.0) -> None:
        self._doctor = doctor
        self._clock = clock
        self._seconds = seconds
        self._examination: asyncio.Task[None] | None = None
        self._due = 0.0
        self.last: Findings | None = None

    async def findings(self, patience: float = 0.0) -> Findings | None:
        """The last findings, or those of the running examination if it ends within `patience` seconds. None: the first
        one has not ended yet."""
        if self._examination is None or (self._examination.done() and self._clock.monotonic() >= self._due):
            self._examination = asyncio.create_task(self._examine(), name="diagnosis")
        if patience:
            await asyncio.wait([self._examination], timeout=patience)
        return self.last

    def expire(self) -> None:
        """Something was changed: the next call examines again."""
        self._due = 0.0

    async def stop(self) -> None:
        if self._examination is not None:
            self._examination.cancel()
            await asyncio.wait([self._examination])

    async def _examine(self) -> None:
        try:
            found = [finding async for finding in self._doctor().examine()]
            self.last = Findings(self._clock.now(), found)
        finally:
            self._due = self._clock.monotonic() + self._seconds
