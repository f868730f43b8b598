"""Partitions of the topic, and processes that share the work, on MongoDB, Kafka and PostgreSQL."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import psycopg

from benchmarks.bench import Bench, new_topic, opened, provision
from benchmarks.figures import rate
from benchmarks.logs import fill_mongo
from benchmarks.rebuilding import check_rows
from benchmarks.rounds import in_turn
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.s20_rebuild_workers import rebuild_seconds_of
from benchmarks.s21_command_processes import command_rate, serve_commands
from benchmarks.workload import commits, expected
from entrypoints.composition.resources import Resources
from entrypoints.settings.model import Bus, Settings

_MESSAGES, _REBUILT = 30_000, 200_000
_ROUNDS = 3
_POLL_SECONDS, _LONGEST_SECONDS = 0.02, 300.0
_APPLIED = "SELECT coalesce(sum(version), 0) FROM posts_a"


def partitions_curve(bench: Bench, sizes: Sequence[int]) -> Mapping[float, Mapping[str, float]]:
    """The projector's clock begins with the first rows: joining the consumer group takes seconds of its own."""
    found: dict[float, Mapping[str, float]] = {}
    for partitions in sizes:
        kafka = msgspec.structs.replace(new_topic(bench.servers.kafka_bootstrap), partitions=partitions)
        bus = Bus(adapter="kafka", kafka=kafka)
        settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres(), bus=bus)
        asyncio.run(provision(settings))
        log = settings.event_store.mongo
        fill_mongo(log.url.reveal(), log.database, commits(_MESSAGES))
        relayed = asyncio.run(_relayed_a_second(settings))
        projected = asyncio.run(_projected_a_second(settings))
        with psycopg.connect(psycopg_url(settings.read_db)) as connection:
            check_rows(connection.execute, expected(commits(_MESSAGES)), "posts_a", "comments_a")
        found[partitions] = {"relay": relayed, "projector": projected}
    return found


async def _relayed_a_second(settings: Settings) -> float:
    """By its checkpoint: with more partitions it also sends more watermarks."""
    async with opened(settings) as container, Resources(container) as resources:
        await resources.open_publisher(container.bus())
        started = time.perf_counter()
        relaying = asyncio.create_task(container.relay().run())
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while (at := await container.relay_state().state()) is None or at.position < _MESSAGES:  # noqa: ASYNC110 (it is in the store)
                    await asyncio.sleep(_POLL_SECONDS)
            return rate(_MESSAGES, time.perf_counter() - started)
        finally:
            relaying.cancel()
            with suppress(asyncio.CancelledError):
                await relaying


async def _projected_a_second(settings: Settings) -> float:
    async with opened(settings) as container, Resources(container) as resources:
        await resources.open_subscription(container.bus())
        following = asyncio.create_task(container.follower().run())
        try:
            url = psycopg_url(settings.read_db)
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as rows:
                first, started = await _applied(rows, 1)
                _, ended = await _applied(rows, _MESSAGES)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
    return rate(_MESSAGES - first, ended - started)


async def _applied(rows: psycopg.AsyncConnection, at_least: int) -> tuple[int, float]:
    """How many events the rows have, and when they had them."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        while True:
            found = await (await rows.execute(_APPLIED)).fetchone()
            if found and found[0] >= at_least:
                return int(found[0]), time.perf_counter()
            await asyncio.sleep(_POLL_SECONDS)


def processes_curve(bench: Bench, sizes: Sequence[int]) -> Mapping[float, Mapping[str, float]]:
    """Also more of them than this machine has processors."""
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(_REBUILT))
    rebuilds = in_turn(_ROUNDS, *(lambda n=size: rate(_REBUILT, rebuild_seconds_of(settings, n)) for size in sizes))
    ports = serve_commands(bench, max(sizes))
    written = in_turn(_ROUNDS, *(lambda n=size: command_rate(bench, ports[:n]) for size in sizes))
    return {
        size: {"rebuild": statistics.median(rebuilt), "commands": statistics.median(commands)}
        for size, rebuilt, commands in zip(sizes, rebuilds, written, strict=True)
    }
