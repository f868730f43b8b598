"""Every object of a Postlog process, and what it is made of. A `Selector` picks the adapter that the settings name.

Building does no input or output: `Resources` opens what was built. Builders import their drivers when they are called,
so a process imports the drivers of the selected adapters only.
"""

import operator
from collections.abc import Mapping
from typing import Protocol

from adapters.system.clock_and_ids import SystemClock, UuidIds
from adapters.system.journal import LocalJournal
from adapters.system.metrics import PrometheusMetrics
from adapters.system.rows_moved import LocalRowsMoved
from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.command_queue import CommandQueue, Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.post_commands import PostCommands
from application.command_side.stream_state import Snapshotting, StateCache, StateLoader
from application.imports.history_import import HistoryImport
from application.imports.post_import import PostImport
from application.maintenance.audit import Audit, AuditRuns
from application.maintenance.continuous_audit import ContinuousAudit
from application.maintenance.doctor import CachedDiagnosis, Doctor
from application.maintenance.events_check import EventsCheck, RangeCheck
from application.maintenance.log_cut import LogCut
from application.maintenance.rebuild import Rebuild
from application.maintenance.rebuild_batches import ShardedBatches
from application.maintenance.rebuilds import Rebuilds
from application.maintenance.repair import Repair
from application.mediator import CommandDispatcher, QueryDispatcher
from application.pipeline.bus_consumer import BusConsumer
from application.pipeline.lag import BusLag, RowsLag
from application.pipeline.log_consumer import LogConsumer
from application.pipeline.parking import ParkedPosts, ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.relay import Relay
from application.ports.bus import Publisher
from application.ports.provisioning import Probe, Provisioning
from application.ports.system import Tracer
from application.projections.log_checks import LogGaps, PositionsProbe
from application.query_side.freshness import Freshness, LogEnd
from application.query_side.history import HistoryQueries
from application.query_side.log import LogQueries, SearchLimits
from application.query_side.past_states import PastStates
from application.query_side.pipeline_sampler import PipelineSampler
from application.query_side.posts import PostQueries
from application.query_side.posts_as_of import FoldLimits, PostsAsOf
from application.query_side.status import RowsReady, StatusQueries
from application.query_side.trace import TraceQueries
from application.tracing import TracedPublisher, TracedQueries, traceable
from domain.limits import Limits
from entrypoints.composition.auth import by_gateway, by_jwt
from entrypoints.composition.bus import BusParts, kafka_bus, memory_bus
from entrypoints.composition.log import LogParts, memory_log, mongo_log, sqlite_log
from entrypoints.composition.read_db import (
    ReadDbParts,
    memory_read_db,
    postgres_read_db,
    sqlite_read_db,
    sqlserver_read_db,
)
from entrypoints.composition.tracing import build_tracing, tracer_of
from entrypoints.http.services import HttpServices
from entrypoints.optional_imports import as_if_not_installed
from entrypoints.serving.cross_origin import CrossOriginPolicy
from entrypoints.serving.rate_limit import RateLimiter
from entrypoints.serving.request_context import ServingLimits
from entrypoints.settings.leaves import listed
from entrypoints.settings.model import Settings, TextLimits
from entrypoints.web.services import Operations, WebServices

# They are imported for wiring, which is not used: docs/adr/0020.
with as_if_not_installed("fast_depends", "fastapi", "pydantic", "pydantic_settings", "starlette", "werkzeug"):
    from dependency_injector import containers, providers

PROBE_SECONDS = 6.0
"""A little longer than a probe's own limit, because its own message says more."""


class QueryHandlers(Protocol):
    def register_with(self, dispatcher: QueryDispatcher) -> None: ...


def build_limits(settings: TextLimits) -> Limits:
    """In a function, because `provided.limits.name` is an attribute of the provider itself."""
    return Limits(name=settings.name, message=settings.message, comment=settings.comment)


def build_command_dispatcher(commands: PostCommands) -> CommandDispatcher:
    dispatcher = CommandDispatcher()
    commands.register_with(dispatcher)
    return dispatcher


def build_query_dispatcher(tracer: Tracer | None, *handlers: QueryHandlers) -> QueryDispatcher:
    dispatcher = QueryDispatcher() if tracer is None else TracedQueries(tracer)
    for each in handlers:
        each.register_with(dispatcher)
    return dispatcher


def build_publisher(publisher: Publisher, tracer: Tracer | None) -> Publisher:
    return publisher if tracer is None else TracedPublisher(publisher, tracer)


def probes(log: LogParts, bus: BusParts | None, read_db: ReadDbParts) -> list[Probe]:
    """The doctor's: the servers, then the disks of local files."""
    found = [log.probe, bus.probe if bus else None, read_db.probe, log.disk, read_db.disk]
    return [probe for probe in found if probe is not None]


def thorough_probes(log: LogParts, bus: BusParts | None, read_db: ReadDbParts) -> list[Probe]:
    """Reads local files to their ends, too."""
    found = [log.integrity, read_db.integrity]
    return [*probes(log, bus, read_db), *(probe for probe in found if probe is not None)]


def provisionings(log: LogParts, bus: BusParts | None, read_db: ReadDbParts) -> Mapping[str, Provisioning]:
    found = {
        "event_store schema": log.provisioning,
        "bus schema": bus.provisioning if bus else None,
        "read_db schema": read_db.provisioning,
    }
    return {check: provisioning for check, provisioning in found.items() if provisioning is not None}


class Container(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=Settings)
    make_tables = providers.Dependency(instance_of=bool)
    process = providers.Dependency(instance_of=str)

    # What every process has
    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(UuidIds)
    metrics = providers.Singleton(PrometheusMetrics)
    codec = providers.Singleton(MsgspecEventCodec)
    journal = providers.Singleton(LocalJournal)
    rows_moved = providers.Singleton(LocalRowsMoved)
    tracing = providers.Singleton(build_tracing, settings, process)
    tracer = providers.Callable(tracer_of, tracing)
    """None unless the environment asks for traces."""
    limits = providers.Singleton(build_limits, settings.provided.limits)

    # Adapters that the settings choose
    log = providers.Selector(
        settings.provided.event_store.adapter,
        sqlite=providers.Singleton(sqlite_log, settings.provided.event_store.sqlite, metrics),
        mongo=providers.Singleton(mongo_log, settings.provided.event_store.mongo),
        memory=providers.Singleton(memory_log),
    )
    event_store = log.provided.event_store
    commit_log = log.provided.commit_log
    past_events = log.provided.past_events
    snapshots = log.provided.snapshots
    relay_state = log.provided.relay_state
    gaps = providers.Singleton(LogGaps, commit_log)

    bus = providers.Selector(
        settings.provided.bus.adapter,
        log=providers.Object(None),
        kafka=providers.Singleton(kafka_bus, settings.provided.bus.kafka, settings.provided.read_db.adapter, metrics),
        memory=providers.Singleton(memory_bus, settings.provided.bus.kafka, settings.provided.read_db.adapter),
    )
    bus_state = providers.Selector(
        settings.provided.bus.adapter,
        log=providers.Object(None),
        kafka=relay_state,
        memory=relay_state,
    )
    """How far the bus is; None where there is no bus."""

    on_postgres = providers.Singleton(postgres_read_db, settings.provided.read_db.postgres)
    on_sqlserver = providers.Singleton(sqlserver_read_db, settings.provided.read_db.sqlserver)
    read_db = providers.Selector(
        settings.provided.read_db.adapter,
        sqlite=providers.Singleton(sqlite_read_db, settings.provided.read_db.sqlite, metrics, make_tables),
        postgres=on_postgres,
        sqlserver=on_sqlserver,
        memory=providers.Singleton(memory_read_db),
    )
    other_read_dbs = providers.Aggregate(
        sqlite=providers.Singleton(sqlite_read_db, settings.provided.read_db.sqlite, metrics, make_tables=False),
        postgres=on_postgres,
        sqlserver=on_sqlserver,
    )
    """Databases beside the one that queries read, for rebuilds into them: `container.other_read_dbs("postgres")`."""
    projection_store = read_db.provided.projection_store
    post_views = read_db.provided.post_views
    parked_streams = read_db.provided.parked_streams
    generations = read_db.provided.generations
    audit_rows = read_db.provided.audit_rows

    # Command side
    snapshotting = providers.Singleton(Snapshotting, snapshots, metrics, settings.provided.snapshots.every)
    state_cache = providers.Singleton(
        StateCache,
        providers.Callable(operator.mul, settings.provided.commands.cache_megabytes, 1_000_000),
        settings.provided.commands.cache_entries,
    )
    command_queue = providers.Singleton(
        traceable,
        CommandQueue,
        tracer,
        store=event_store,
        codec=codec,
        committer=providers.Singleton(traceable, GroupCommitter, tracer, event_store, clock, metrics, journal),
        loader=providers.Singleton(StateLoader, event_store, codec, snapshotting),
        cache=state_cache,
        decider=providers.Singleton(traceable, Decider, tracer, codec, clock, limits),
        snapshotting=snapshotting,
        metrics=metrics,
        attempts=settings.provided.commands.attempts,
    )
    require_writable = gaps.provided.require_none
    commands = providers.Singleton(
        traceable,
        PostCommands,
        tracer,
        command_queue,
        ids,
        journal,
        settings.provided.commands.timeout_seconds,
        require_writable,
    )
    command_dispatcher = providers.Singleton(build_command_dispatcher, commands)
    post_import = providers.Singleton(
        PostImport, commands, event_store, codec, clock, longest_line=settings.provided.limits.import_line
    )
    history_import = providers.Factory(HistoryImport, store=event_store, codec=codec, clock=clock)
    """Called with the source, and which events to take."""

    # Query side
    history_queries = (
        providers.Singleton(HistoryQueries, past_events, codec),
        providers.Singleton(
            PostsAsOf,
            past_events,
            providers.Singleton(
                PastStates, snapshots, is_on=providers.Callable(bool, settings.provided.snapshots.every)
            ),
            codec,
            clock,
            providers.Factory(FoldLimits, seconds=settings.provided.queries.history_seconds),
        ),
    )
    freshness = providers.Singleton(
        traceable,
        Freshness,
        tracer,
        clock,
        rows_moved,
        providers.Singleton(LogEnd, commit_log, clock),
        settings.provided.http.min_position_wait_seconds,
    )
    status_queries = providers.Singleton(
        StatusQueries,
        adapter=settings.provided.read_db.adapter,
        views=post_views,
        store=projection_store,
        generations=generations,
        log=commit_log,
        relay_state=bus_state,
        clock=clock,
    )
    pipeline_sampler = providers.Singleton(PipelineSampler, status_queries.provided.pipeline)
    query_dispatcher = providers.Singleton(
        build_query_dispatcher,
        tracer,
        *history_queries,
        providers.Singleton(
            LogQueries,
            commit_log,
            past_events,
            codec,
            clock,
            providers.Factory(
                SearchLimits,
                commits=settings.provided.queries.search_commits,
                seconds=settings.provided.queries.search_seconds,
            ),
        ),
        providers.Singleton(PostQueries, post_views, freshness),
        status_queries,
        providers.Singleton(TraceQueries, past_events, post_views, codec, journal, pipeline_sampler),
    )
    history_dispatcher = providers.Singleton(build_query_dispatcher, tracer, *history_queries)
    """The queries that need the log only."""

    # From the log to the rows
    repair = providers.Singleton(Repair, store=projection_store, log=commit_log, past_events=past_events, codec=codec)
    parked_retry = providers.Singleton(
        ParkedRetry,
        store=projection_store,
        parked_streams=parked_streams,
        log=commit_log,
        past_events=past_events,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
        repair=repair.provided.repair,
    )
    projector = providers.Singleton(
        traceable,
        Projector,
        tracer,
        store=projection_store,
        log=commit_log,
        past_events=past_events,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
        journal=journal,
    )
    bus_follower = providers.Singleton(
        BusConsumer,
        projector=projector,
        parked=parked_retry,
        log=commit_log,
        subscription=bus.provided.subscription,
        metrics=metrics,
        batch_size=settings.provided.projector.batch_size,
    )
    follower = providers.Selector(
        settings.provided.bus.adapter,
        log=providers.Singleton(
            traceable,
            LogConsumer,
            tracer,
            projector,
            parked_retry,
            commit_log,
            metrics,
            settings.provided.projector.batch_size,
        ),
        kafka=bus_follower,
        memory=bus_follower,
    )
    bus_relay = providers.Singleton(
        Relay,
        log=commit_log,
        relay_state=relay_state,
        publisher=providers.Callable(build_publisher, bus.provided.publisher, tracer),
        clock=clock,
        ids=ids,
        metrics=metrics,
        journal=journal,
        batch_size=settings.provided.relay.batch_size,
        lease_seconds=settings.provided.relay.lease_seconds,
        watermark_seconds=settings.provided.relay.watermark_seconds,
    )
    relay = providers.Selector(
        settings.provided.bus.adapter, log=providers.Object(None), kafka=bus_relay, memory=bus_relay
    )
    rows_lag = providers.Singleton(RowsLag, post_views, generations, commit_log, clock, metrics)
    bus_lag = providers.Singleton(BusLag, relay_state, commit_log, metrics)

    # Maintenance
    rebuild = providers.Factory(
        traceable,
        Rebuild,
        tracer,
        log=commit_log,
        store=projection_store,
        generations=generations,
        codec=codec,
        clock=clock,
        batch_events=settings.provided.rebuild.batch_events,
        retry_parked=parked_retry.provided.retry_all,
    )
    sharded_batches = providers.Factory(
        ShardedBatches, commit_log, clock, batch_events=settings.provided.rebuild.batch_events
    )
    """Called with the workers that share them."""
    audit = providers.Singleton(
        traceable, Audit, tracer, rows=audit_rows, log=commit_log, past_events=past_events, codec=codec
    )
    continuous_audit = providers.Singleton(
        ContinuousAudit,
        audit=audit,
        rows=audit_rows,
        store=projection_store,
        log=commit_log,
        clock=clock,
        metrics=metrics,
        commits_per_second=settings.provided.audit.commits_per_second,
    )
    range_check = providers.Factory(RangeCheck, commit_log, codec)
    events_check = providers.Factory(EventsCheck, commit_log, past_events)
    """Called with the workers, and how many failures to report."""
    log_cut = providers.Factory(LogCut, commit_log, log.provided.removal)
    doctor = providers.Factory(
        Doctor,
        probes=providers.Callable(probes, log, bus, read_db),
        provisionings=providers.Callable(provisionings, log, bus, read_db),
        log=commit_log,
        gaps=gaps,
        store=projection_store,
        views=post_views,
        parked_streams=parked_streams,
        generations=generations,
        clock=clock,
        relay_state=bus_state,
        thorough=False,
    )
    thorough_doctor = providers.Factory(
        doctor, probes=providers.Callable(thorough_probes, log, bus, read_db), thorough=True
    )
    """Called with the parts that could not be opened."""

    # What operators watch and start in a running service
    rebuilds = providers.Factory(Rebuilds, live=settings.provided.read_db.adapter, clock=clock)
    """Called with what they may rebuild, and how."""
    diagnosis = providers.Singleton(CachedDiagnosis, doctor.provider, clock)
    audit_runs = providers.Singleton(AuditRuns, audit, clock)
    parked_posts = providers.Singleton(
        ParkedPosts,
        streams=parked_streams,
        retry=parked_retry,
        store=projection_store,
        log=commit_log,
        clock=clock,
    )
    operations = providers.Factory(Operations, diagnosis=diagnosis, audits=audit_runs, parked=parked_posts)
    """Called with the rebuilds."""

    # API and pages: called with what the process's roles add
    access_control = providers.Selector(
        settings.provided.auth.mode,
        none=providers.Object(None),
        gateway=providers.Singleton(by_gateway, settings.provided.auth),
        jwt=providers.Singleton(by_jwt, settings.provided.auth, clock),
    )
    """None: names in requests are believed."""
    positions_probe = providers.Singleton(PositionsProbe, gaps)
    rows_ready = providers.Singleton(RowsReady, post_views)
    cross_origin = providers.Factory(
        CrossOriginPolicy, origins=providers.Callable(listed, settings.provided.http.allowed_origins)
    )
    """Called with the hosts that the process serves."""
    http_services = providers.Factory(
        HttpServices,
        clock=clock,
        ids=ids,
        limits=limits,
        metrics=metrics,
        metrics_text=metrics.provided.text,
        tracer=tracer,
        access=access_control,
        operations=settings.provided.http.operations,
        has_metrics=settings.provided.http.metrics,
        max_body_bytes=settings.provided.http.max_body_bytes,
        probe_seconds=PROBE_SECONDS,
        rate_limiter=providers.Singleton(
            RateLimiter,
            settings.provided.http.requests_per_second,
            settings.provided.http.request_burst,
            clock.provided.monotonic,
        ),
        serving=providers.Factory(
            ServingLimits,
            max_connections=settings.provided.http.max_connections,
            max_streams=providers.Callable(
                min,
                settings.provided.http.max_streams,
                providers.Callable(operator.floordiv, settings.provided.http.max_connections, 2),
            ),
            client_seconds=settings.provided.http.client_timeout_seconds,
        ),
    )
    web_services = providers.Factory(
        WebServices,
        queries=query_dispatcher,
        clock=clock,
        ids=ids,
        limits=limits,
        access=access_control,
        sampler=pipeline_sampler,
        max_body_bytes=settings.provided.http.max_body_bytes,
    )


def container_for(settings: Settings, *, make_tables: bool = True, process: str = "run") -> Container:
    """`make_tables`: a read database in a file gets its tables when it is first used. `process` is the verb that traces
    name this process by."""
    return Container(
        settings=providers.Object(settings),
        make_tables=providers.Object(make_tables),
        process=providers.Object(process),
    )
