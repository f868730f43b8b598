"""S14: from the answer to a command to the answer to a query for that post that waits for its position, HTTP included.

Embedded: `postlog run` on SQLite; beside one durable commit into a SQLite file of the same folder. Kafka: `serve
command`, `relay`, `project` and `serve query` as processes on MongoDB, Kafka and PostgreSQL; beside one message from
`produce` to the consumer's hands through the same broker.
"""

import asyncio
import http.client
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.bench import Bench, make_topic, new_topic, provision
from benchmarks.figures import Figure, percentile
from benchmarks.rounds import in_turn, require
from benchmarks.serving import serve_postlog
from benchmarks.writing import MESSAGE
from entrypoints.settings.model import Bus, Kafka, Settings

ROWS = ("S14",)
_COMMANDS, _FEWEST = 500, 200  # a p99 needs some
_POSTS = "/api/v1/posts"
_FILE = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE durable (id INTEGER PRIMARY KEY, text TEXT)"
_RAW = b"{" + b"x" * 158 + b"}"
_LONGEST_SECONDS = 30.0


def measure(bench: Bench) -> list[Figure]:
    commands = max(bench.size(_COMMANDS), _FEWEST)
    return [_embedded(bench, commands), _kafka(bench, commands)]


def _embedded(bench: Bench, commands: int) -> Figure:
    port = serve_postlog(bench.stack, bench.folder, bench.sqlite("run"), "run")
    file = bench.folder / "durable.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(_FILE)
    return _figure(
        "S14 embedded", bench, commands, lambda: _visible(port, port, commands), lambda: _commit(file, commands)
    )


def _kafka(bench: Bench, commands: int) -> Figure:
    bus = Bus(adapter="kafka", kafka=new_topic(bench.servers.kafka_bootstrap))
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres(), bus=bus)
    asyncio.run(provision(settings))
    ports = {
        side: serve_postlog(bench.stack, bench.folder, settings, side)
        for side in ("command", "relay", "project", "query")
    }
    raw = new_topic(bench.servers.kafka_bootstrap)
    asyncio.run(make_topic(raw))
    return _figure(
        "S14 Kafka",
        bench,
        commands,
        lambda: _visible(ports["command"], ports["query"], commands),
        lambda: _produced(raw, commands),
    )


def _figure(
    line: str, bench: Bench, commands: int, ours: Callable[[], list[float]], theirs: Callable[[], list[float]]
) -> Figure:
    def p99_ms(seconds: Callable[[], list[float]]) -> Callable[[], float]:
        return lambda: percentile(seconds(), 99) * 1_000

    visible, raw = in_turn(bench.rounds, p99_ms(ours), p99_ms(theirs))
    note = f"{commands} commands a round, one after the other"
    return Figure(line=line, ours=visible, theirs=raw, unit="ms", less_is_better=True, note=note)


def _visible(command_port: int, query_port: int, commands: int) -> list[float]:
    with (
        closing(http.client.HTTPConnection("127.0.0.1", command_port, timeout=30)) as to_commands,
        closing(http.client.HTTPConnection("127.0.0.1", query_port, timeout=30)) as to_queries,
    ):
        return [_visible_seconds(to_commands, to_queries) for _ in range(commands)]


def _visible_seconds(commands: http.client.HTTPConnection, queries: http.client.HTTPConnection) -> float:
    body = json.dumps({"author": "ann", "message": MESSAGE})
    commands.request("POST", _POSTS, body, {"Content-Type": "application/json"})
    done = json.load(commands.getresponse())
    started = time.perf_counter()
    queries.request("GET", f"{_POSTS}/{done['id']}", headers={"Postlog-Min-Position": str(done["position"])})
    shown = json.load(queries.getresponse())
    seconds = time.perf_counter() - started
    require((shown.get("postId"), shown.get("message")), (done["id"], MESSAGE), "the post")
    return seconds


def _commit(file: Path, commits: int) -> list[float]:
    taken: list[float] = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for _ in range(commits):
            started = time.perf_counter()
            connection.execute("INSERT INTO durable (text) VALUES (?)", (MESSAGE,))
            taken.append(time.perf_counter() - started)
    return taken


def _produced(kafka: Kafka, messages: int) -> list[float]:
    """Through partition 0, each when the one before has arrived."""
    address = {"bootstrap.servers": kafka.bootstrap_servers}
    producer = Producer({**address, "enable.idempotence": True, "acks": "all", "linger.ms": 0})
    with closing(Consumer({**address, "group.id": "raw", "enable.auto.commit": False})) as consumer:
        place = TopicPartition(kafka.topic, 0)
        place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
        consumer.assign([place])
        _produce_and_consume(producer, consumer, kafka.topic)  # it connects
        return [_produce_and_consume(producer, consumer, kafka.topic) for _ in range(messages)]


def _produce_and_consume(producer: Producer, consumer: Consumer, topic: str) -> float:
    started = time.perf_counter()
    producer.produce(topic, _RAW, b"key", partition=0)
    message = consumer.poll(_LONGEST_SECONDS)
    seconds = time.perf_counter() - started
    require(message.value() if message is not None and message.error() is None else None, _RAW, "the message")
    producer.poll(0)
    return seconds
