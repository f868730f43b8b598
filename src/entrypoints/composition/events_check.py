"""The check of all events, in as many processes as are wanted: each opens the log for itself."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from application.maintenance.events_check import EventsCheck, Span, SpanCheck, SpanWorker, Tally
from application.maintenance.stream_links import StreamLinks
from entrypoints.composition.container import Container
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.worker_process import Answering, WorkerProcess
from entrypoints.settings.loading import LoadedSettings, require_files

VERB = "events check"

_COMMITS_A_PROCESS = 20_000
"""Of fewer, a process would only just have started when they are read."""


@asynccontextmanager
async def with_events_check(
    loaded: LoadedSettings, processes: int, places: int
) -> AsyncIterator[tuple[EventsCheck, int]]:
    """The check, and how many commits there are. A short log is checked in this process alone. Raises
    `StoreUnavailable`."""
    container = prepare(loaded, VERB)
    require_files(loaded.settings, loaded.sources, "event_store")
    async with AsyncExitStack() as stack:
        lifetime = await stack.enter_async_context(Lifetime(container))
        parts = await lifetime.open_log()
        log = parts.commit_log
        tip = await log.tip()
        wanted = min(processes, tip // _COMMITS_A_PROCESS)
        workers: Sequence[SpanWorker] = [SpanCheck(log, container.codec())]
        if wanted > 1:
            processes_begun = [WorkerProcess(loaded, VERB, checking) for _ in range(wanted)]
            workers = [SpanProcess(await stack.enter_async_context(process)) for process in processes_begun]
        yield EventsCheck(log, parts.past_events, workers, places), tip


class SpanProcess:
    """A `SpanWorker` in a process of its own."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    async def check(self, span: Span, places: int) -> Tally:
        tally: Tally = await self._process.ask((span, places))
        return tally

    async def last_links(self) -> StreamLinks:
        links: StreamLinks = await self._process.ask(())
        return links


async def checking(container: Container, lifetime: Lifetime) -> Answering:
    check = SpanCheck((await lifetime.open_log()).commit_log, container.codec())
    return lambda request: check.check(*request) if request else check.last_links()
