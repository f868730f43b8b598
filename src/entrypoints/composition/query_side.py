"""The query side: the handlers of all queries, and the dispatcher that carries queries to them."""

from application.mediator import QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.system import Clock, Journal, RowsMoved
from application.query_side.freshness import Freshness, LogEnd
from application.query_side.history import HistoryQueries
from application.query_side.log import LogQueries
from application.query_side.pipeline_sampler import PipelineSampler
from application.query_side.posts import PostQueries
from application.query_side.status import PipelineStatusQuery, ReadDbStatusQuery
from application.query_side.trace import CommandTraceQuery
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.model import Settings


def history_dispatcher(log: LogParts, codec: EventCodec, clock: Clock) -> QueryDispatcher:
    """Only the queries that are answered from the log."""
    dispatcher = QueryDispatcher()
    HistoryQueries(log.past_events, codec, clock).register_with(dispatcher)
    return dispatcher


def query_dispatcher(
    *, log: LogParts, read_db: ReadDbParts, codec: EventCodec, clock: Clock, rows_moved: RowsMoved, settings: Settings
) -> QueryDispatcher:
    dispatcher = history_dispatcher(log, codec, clock)
    LogQueries(log.commit_log, log.past_events, codec, clock).register_with(dispatcher)
    freshness = Freshness(clock, rows_moved, LogEnd(log.commit_log, clock), settings.http.min_position_wait_seconds)
    PostQueries(read_db.post_views, freshness).register_with(dispatcher)
    ReadDbStatusQuery(
        settings.read_db.adapter, read_db.post_views, read_db.projection_store, log.commit_log
    ).register_with(dispatcher)
    PipelineStatusQuery(
        adapter=settings.read_db.adapter,
        views=read_db.post_views,
        store=read_db.projection_store,
        generations=read_db.generations,
        log=log.commit_log,
        relay_state=None if settings.bus.adapter == "log" else log.relay_state,
        clock=clock,
    ).register_with(dispatcher)
    return dispatcher


def pipeline_sampler(
    *, queries: QueryDispatcher, log: LogParts, read_db: ReadDbParts, codec: EventCodec, journal: Journal
) -> PipelineSampler:
    """It asks, and the query for a command's trace is answered from what it saw."""
    watch = PipelineSampler(queries)
    CommandTraceQuery(log.past_events, read_db.post_views, codec, journal, watch).register_with(queries)
    return watch
