"""What long jobs share: how far a build of the read database is, that only one is built at a time, and a garbage
collector that does not slow them down."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from application.errors import RebuildRunning
from application.ports.generations import UNFINISHED, Build, Generations


@asynccontextmanager
async def exclusive_build(generations: Generations) -> AsyncIterator[None]:
    """Holds the lock of builds. Raises `RebuildRunning`, which says how far the other one is."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(generations.lock())
        except RebuildRunning as error:
            raise await _with_progress(error, generations) from None
        yield


def events_per_second(build: Build) -> float | None:
    """On average, over the time in which a process worked on it. None before its first batch."""
    seconds = _seconds_worked(build)
    return build.events / seconds if seconds and build.events else None


def seconds_left(build: Build) -> float | None:
    """Until it reaches its target, at its average speed. None before its first batch."""
    seconds = _seconds_worked(build)
    if not seconds or not build.position:
        return None
    return max(0, build.target - build.position) * seconds / build.position


def describe_progress(build: Build) -> str:
    """`generation 3 at position 1,200 of 10,000, 400 events a second, 22 s left`"""
    words = f"generation {build.generation} at position {build.position:,} of {build.target:,}"
    rate, left = events_per_second(build), seconds_left(build)
    if rate is None or left is None:
        return words
    return f"{words}, {rate:,.0f} events a second, {left:,.0f} s left"


def _seconds_worked(build: Build) -> float:
    """0 if the clock was set back meanwhile."""
    return max(0.0, (build.updated_at - build.started_at).total_seconds())


async def _with_progress(error: RebuildRunning, generations: Generations) -> RebuildRunning:
    building = [build for build in await generations.builds() if build.state in UNFINISHED]
    if not building:
        return error
    return RebuildRunning(
        f"{error.message.removesuffix('.')}: {describe_progress(building[0])}. Wait for it, or cancel it.",
        generation=building[0].generation,
    )


_NEW_OBJECTS = 10_000_000


@contextmanager
def relaxed_gc() -> Iterator[None]:
    """Search for cyclic garbage after 10,000,000 new objects instead of 700. Two batches have a tenth of that, none of
    which can be freed before they are written, and searching them again and again takes a quarter of the time. This
    applies to the whole process, so it is for one that does nothing else."""
    before = gc.get_threshold()
    gc.set_threshold(max(_NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
