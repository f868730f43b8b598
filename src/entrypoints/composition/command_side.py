"""The command side on an open log: the handler of all commands, and the dispatcher that carries commands to it."""

from application.command_side.command_queue import CommandQueue, Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.post_commands import PostCommands
from application.command_side.stream_state import Snapshotting, StateCache, StateLoader
from application.imports.post_import import PostImport
from application.mediator import CommandDispatcher
from application.ports.event_codec import EventCodec
from application.ports.system import Clock, Ids, Journal, Metrics
from domain.limits import Limits
from entrypoints.composition.event_store import LogParts
from entrypoints.settings.model import Settings


def post_commands(
    *,
    log: LogParts,
    codec: EventCodec,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    journal: Journal,
    settings: Settings,
) -> PostCommands:
    limits = Limits(name=settings.limits.name, message=settings.limits.message, comment=settings.limits.comment)
    snapshotting = Snapshotting(log.snapshots, metrics, settings.snapshots.every)
    streams = CommandQueue(
        store=log.event_store,
        codec=codec,
        committer=GroupCommitter(log.event_store, clock, metrics, journal),
        reader=StateLoader(log.event_store, codec, snapshotting),
        cache=StateCache(settings.commands.cache_megabytes * 1_000_000, settings.commands.cache_entries),
        decider=Decider(codec, clock, limits),
        snapshotting=snapshotting,
        metrics=metrics,
        attempts=settings.commands.attempts,
    )
    return PostCommands(streams, ids, journal, settings.commands.timeout_seconds, log.gaps.require_none)


def command_dispatcher(commands: PostCommands) -> CommandDispatcher:
    dispatcher = CommandDispatcher()
    commands.register_with(dispatcher)
    return dispatcher


def post_import(commands: PostCommands, log: LogParts, codec: EventCodec, clock: Clock) -> PostImport:
    return PostImport(commands, log.event_store, codec, clock)
