"""One post on SQLite: how its number of events, and of people who like it, makes requests slower. Each cold request is
made in a container of its own, as by a process that has just started; opening it is not counted. Milliseconds of
processor time, which hardly depend on what else the machine does; `elapsed` beside them.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid5

from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.stream_state import CachedState
from application.envelopes import MAX_EVENTS_PER_COMMIT, ProposedCommit
from application.errors import Unavailable
from application.mediator import CommandContext
from application.query_side.posts_as_of import GetPostAsOf
from benchmarks.bench import Bench, opened, provision
from benchmarks.logs import fill_sqlite
from benchmarks.rounds import WrongResult, require
from benchmarks.s06_long_streams import NOW, event_of
from benchmarks.workload import post_id
from domain.commands import LikePost
from entrypoints.composition.container import Container
from entrypoints.settings.model import Settings

_POST = post_id(1)
_TIMES, _WARM = 5, 100
Request = Callable[[Container], Awaitable[None]]
_ANYBODY = CommandContext(correlation_id="0" * 32)


def events_curve(bench: Bench, sizes: Sequence[int]) -> Mapping[float, Mapping[str, float]]:
    """One event a commit, as commands write them."""
    return {size: asyncio.run(_of_events(_filled(bench, size, 1), size)) for size in sizes}


def likers_curve(bench: Bench, sizes: Sequence[int]) -> Mapping[float, Mapping[str, float]]:
    """A thousand events a commit, as an import writes them: only their people are of interest."""
    found: dict[float, Mapping[str, float]] = {}
    for size in sizes:
        settings = _filled(bench, size + 1, MAX_EVENTS_PER_COMMIT, are_named=True)
        found[size] = asyncio.run(_of_likers(settings))
    return found


async def _of_events(settings: Settings, size: int) -> dict[str, float]:
    first_reader = await _cold(settings, _step(size))
    versions = [max(1, size * number // (_TIMES + 1)) for number in range(1, _TIMES + 1)]
    steps = [await _cold(settings, _step(version)) for version in versions]
    await _cold(settings, _like("first"))  # leaves a snapshot
    cold = [await _cold(settings, _like(f"cold {number}")) for number in range(_TIMES)]
    return {
        **first_reader.named("first reader"),
        **_median(steps).named("cold step"),
        **_median(cold).named("cold command"),
        **(await _warm(settings)).named("warm command"),
    }


async def _of_likers(settings: Settings) -> dict[str, float]:
    without = await _cold(settings, _like("without"))
    cold = [await _cold(settings, _like(f"cold {number}")) for number in range(_TIMES)]
    async with opened(settings) as container:
        await _answered(container, _like("for its state"))
        state = container.state_cache().get(_POST)
        snapshot = await container.snapshots().load(_POST)
        if state is None or snapshot is None:
            raise WrongResult("the post has no state or no snapshot")
        sizes = {"in memory": CachedState.of(state, None).bytes / 1e6, "snapshot": len(snapshot.state) / 1e6}
    return {
        **without.named("without snapshot"),
        **_median(cold).named("from snapshot"),
        **(await _warm(settings)).named("warm"),
        **sizes,
    }


async def _cold(settings: Settings, request: Request) -> "_Taken":
    """In a process that has just started."""
    async with opened(settings) as container:
        started = _now()
        await _answered(container, request)
        taken = _now() - started
        await container.snapshotting().drain()  # the next one may start from it
        return taken


async def _answered(container: Container, request: Request) -> None:
    """A request that can't be answered in time is sent again."""
    while True:
        try:
            await request(container)
        except Unavailable:
            continue
        return


async def _warm(settings: Settings) -> "_Taken":
    async with opened(settings) as container:
        await _answered(container, _like("warm"))
        taken: list[_Taken] = []
        for number in range(_WARM):
            started = _now()
            await _like(f"warm {number}")(container)
            taken.append(_now() - started)
        return _median(taken)


class _Taken(NamedTuple):
    """Milliseconds."""

    processor: float
    elapsed: float

    def __sub__(self, started: "_Taken") -> "_Taken":
        return _Taken(self.processor - started.processor, self.elapsed - started.elapsed)

    def named(self, name: str) -> Mapping[str, float]:
        return {name: self.processor, f"{name}, elapsed": self.elapsed}


def _now() -> _Taken:
    return _Taken(time.process_time() * 1_000, time.perf_counter() * 1_000)


def _median(taken: Sequence[_Taken]) -> _Taken:
    return _Taken(*(statistics.median(each) for each in zip(*taken, strict=True)))


def _step(version: int) -> Request:
    async def step(container: Container) -> None:
        found = await container.query_dispatcher().ask(GetPostAsOf(post_id=_POST, version=version))
        require((found.post.version, found.post.likes), (version, version - 1), "the post as it was")

    return step


def _like(username: str) -> Request:
    async def like(container: Container) -> None:
        await container.commands().handle(LikePost(post_id=_POST, username=username), _ANYBODY)

    return like


def _filled(bench: Bench, events: int, a_commit: int, *, are_named: bool = False) -> Settings:
    settings = bench.sqlite(f"{events}-{a_commit}")
    asyncio.run(provision(settings))
    fill_sqlite(Path(settings.event_store.sqlite.path), _stream(events, a_commit, are_named))
    return settings


def _stream(events: int, a_commit: int, are_named: bool) -> Iterator[ProposedCommit]:
    codec = MsgspecEventCodec()
    for first in range(1, events + 1, a_commit):
        versions = range(first, min(first + a_commit, events + 1))
        yield ProposedCommit(
            stream_id=_POST,
            version=first,
            commit_id=str(uuid5(UUID(_POST), str(first))),
            recorded_at=NOW,
            metadata={"actor": "ann"},
            events=codec.encode([event_of(version, is_named=are_named or version % 10 == 0) for version in versions]),
        )
