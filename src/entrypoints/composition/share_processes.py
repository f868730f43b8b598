"""The workers of a rebuild: each a process that opens the log for itself, and folds its share of the posts."""

from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from application.maintenance.shares import Cut, SharedBatches, ShareFold
from application.ports.commit_log import Share
from application.ports.read_db import RowChanges, Rows
from entrypoints.composition.container import Container
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.worker_process import Answering, WorkerProcess
from entrypoints.settings.loading import LoadedSettings


@asynccontextmanager
async def shared_batches(loaded: LoadedSettings, verb: str, container: Container) -> AsyncIterator[SharedBatches]:
    """By `rebuild.workers` processes, which end with the block."""
    settings = loaded.settings.rebuild
    async with AsyncExitStack() as stack:
        processes = [WorkerProcess(loaded, verb, partial(folding, share)) for share in Share.all(settings.workers)]
        workers = [ShareProcess(await stack.enter_async_context(process)) for process in processes]
        yield SharedBatches(container.log().commit_log, container.clock(), workers, settings.batch_events)


class ShareProcess:
    """A `ShareWorker` in a process of its own."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    async def read(self, after: int, until: int) -> int:
        reached: int = await self._process.ask(("read", after, until))
        return reached

    async def cut(self, after: int, until: int) -> Cut:
        cut: Cut = await self._process.ask(("cut", after, until))
        return cut

    def fold(self, after: int, rows: Rows, now: datetime) -> "Future[RowChanges]":
        return self._process.asked(("fold", after, rows, now))


async def folding(share: Share, container: Container, lifetime: Lifetime) -> Answering:
    """In the process, for as long as it lives."""
    log = (await lifetime.open_log()).commit_log
    work = ShareFold(log, container.codec(), share, container.settings().rebuild.batch_events)

    async def answer(request: tuple[Any, ...]) -> Any:
        match request:
            case ("read", after, until):
                return await work.read(after, until)
            case ("cut", after, until):
                return work.cut(after, until)
            case ("fold", after, rows, now):
                return work.fold(after, rows, now)
            case _:
                raise ValueError(f"{request[0]!r} is nothing that a worker does")

    return answer
