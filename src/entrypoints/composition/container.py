"""Everything that is built, in one place. A `Selector` picks the adapter that the settings name.

Builders import their adapters when they are called, so only what is selected is imported; what they build does no
input or output before `lifetime` opens it.
"""

from entrypoints.composition import bus as buses
from entrypoints.composition import command_side, event_store, maintenance, pipeline, ports, query_side
from entrypoints.composition import read_db as read_dbs
from entrypoints.lean_imports import without
from entrypoints.settings.model import Settings

with without("werkzeug"):  # it is for injecting into Flask's handlers
    from dependency_injector import containers, providers


class Container(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=Settings)
    may_make_tables = providers.Dependency(instance_of=bool)

    clock = providers.Singleton(ports.clock)
    ids = providers.Singleton(ports.ids)
    metrics = providers.Singleton(ports.metrics)
    codec = providers.Singleton(ports.codec)
    rows_moved = providers.Singleton(ports.rows_moved)
    journal = providers.Singleton(ports.journal)

    log = providers.Selector(
        settings.provided.event_store.adapter,
        sqlite=providers.Singleton(event_store.sqlite_log, settings.provided.event_store.sqlite),
        mongo=providers.Singleton(event_store.mongo_log, settings.provided.event_store.mongo),
        memory=providers.Singleton(event_store.memory_log),
    )

    bus = providers.Selector(
        settings.provided.bus.adapter,
        log=providers.Object(None),
        kafka=providers.Singleton(
            buses.kafka_bus, settings.provided.bus.kafka, settings.provided.read_db.adapter, metrics
        ),
        memory=providers.Singleton(buses.memory_bus, settings.provided.bus.kafka, settings.provided.read_db.adapter),
    )
    read_db = providers.Selector(
        settings.provided.read_db.adapter,
        sqlite=providers.Singleton(read_dbs.sqlite_read_db, settings.provided.read_db.sqlite, may_make_tables),
        postgres=providers.Singleton(read_dbs.postgres_read_db, settings.provided.read_db.postgres),
        sqlserver=providers.Singleton(read_dbs.sqlserver_read_db, settings.provided.read_db.sqlserver),
        memory=providers.Singleton(read_dbs.memory_read_db),
    )

    commands = providers.Singleton(
        command_side.post_commands,
        log=log,
        codec=codec,
        clock=clock,
        ids=ids,
        metrics=metrics,
        journal=journal,
        settings=settings,
    )
    command_dispatcher = providers.Singleton(command_side.command_dispatcher, commands)
    post_import = providers.Singleton(command_side.post_import, commands, log, codec, clock)
    history_dispatcher = providers.Singleton(query_side.history_dispatcher, log, codec, clock)
    query_dispatcher = providers.Singleton(
        query_side.query_dispatcher,
        log=log,
        read_db=read_db,
        codec=codec,
        clock=clock,
        rows_moved=rows_moved,
        settings=settings,
    )

    pipeline_sampler = providers.Singleton(
        query_side.pipeline_sampler, queries=query_dispatcher, log=log, read_db=read_db, codec=codec, journal=journal
    )

    parked_retry = providers.Singleton(
        pipeline.parked_retry,
        log=log,
        read_db=read_db,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
    )
    projector = providers.Singleton(
        pipeline.projector,
        log=log,
        read_db=read_db,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
        journal=journal,
    )
    follower = providers.Singleton(
        pipeline.follower,
        log=log,
        bus=bus,
        projector=projector,
        parked=parked_retry,
        metrics=metrics,
        settings=settings.provided.projector,
    )
    rebuild = providers.Singleton(
        maintenance.rebuild,
        log=log,
        read_db=read_db,
        codec=codec,
        clock=clock,
        metrics=metrics,
        settings=settings.provided.rebuild,
    )
    audit = providers.Singleton(maintenance.audit, log=log, read_db=read_db, codec=codec)
    continuous_audit = providers.Singleton(
        maintenance.continuous_audit,
        audit=audit,
        log=log,
        read_db=read_db,
        clock=clock,
        metrics=metrics,
        settings=settings.provided.audit,
    )
    repair = providers.Singleton(maintenance.repair, log=log, read_db=read_db, codec=codec)
    relay = providers.Singleton(
        pipeline.relay,
        log=log,
        bus=bus,
        clock=clock,
        ids=ids,
        metrics=metrics,
        journal=journal,
        settings=settings.provided.relay,
    )
    rows_lag = providers.Singleton(pipeline.rows_lag, log=log, read_db=read_db, clock=clock, metrics=metrics)
    bus_lag = providers.Singleton(pipeline.bus_lag, log=log, metrics=metrics)


def container_for(settings: Settings, *, may_make_tables: bool = True) -> Container:
    """`may_make_tables`: a read database in a file gets its tables when it is first used."""
    return Container(settings=providers.Object(settings), may_make_tables=providers.Object(may_make_tables))
