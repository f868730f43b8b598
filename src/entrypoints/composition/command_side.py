"""The command side on an open log: the handler of all commands, and the dispatcher that carries commands to it."""

from application.command_side.deciding import Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.heads import HeadCache, HeadReader
from application.command_side.import_posts import PostImport
from application.command_side.post_commands import PostCommands
from application.command_side.snapshotting import Snapshotting
from application.command_side.streams import PostStreams
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
    streams = PostStreams(
        store=log.event_store,
        codec=codec,
        committer=GroupCommitter(log.event_store, clock, metrics, journal),
        reader=HeadReader(log.event_store, codec, snapshotting),
        cache=HeadCache(settings.commands.cache_megabytes * 1_000_000, settings.commands.cache_entries),
        decider=Decider(codec, clock, limits),
        snapshotting=snapshotting,
        metrics=metrics,
        attempts=settings.commands.attempts,
    )
    return PostCommands(streams, ids, journal, settings.commands.timeout_seconds, log.holes.require_none)


def command_dispatcher(commands: PostCommands) -> CommandDispatcher:
    dispatcher = CommandDispatcher()
    commands.register_with(dispatcher)
    return dispatcher


def post_import(commands: PostCommands, log: LogParts, codec: EventCodec, clock: Clock) -> PostImport:
    return PostImport(commands, log.event_store, codec, clock)
