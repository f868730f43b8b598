"""The lines of the table: what is measured against what, the goal and the floor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`line` is the row's name, with the variant where a row has several: `S6 10k`. On a machine with fewer
    `processors` the goal says nothing: those that share the work also share them with the servers."""

    line: str
    measured: str
    against: str
    goal: float
    floor: float
    processors: int = 1

    @property
    def row(self) -> str:
        return self.line.split()[0]


TARGETS = (
    Target(
        "S1",
        "append through the whole write path, 64 in flight, MongoDB",
        "64 tasks with one `insert_one` each",
        6,
        3.5,
    ),
    Target("S2", "HTTP command end to end, 64 connections", "bare Litestar handler, same durable insert", 3.5, 2.3),
    Target("S3", "the same, 1 connection", "the same", 0.95, 0.85),
    Target("S4", "p99 of S2", "p99 of that handler", 0.4, 0.7),
    Target("S5", "64 people like one post through HTTP", "the same 64 on 64 posts", 1.3, 0.95),
    Target("S6 10k", "command p50 on a stream of 10,000 events", "on one of 10", 1.05, 1.2),
    Target("S6 1M", "command p50 on a stream of 1,000,000 events, 100,000 named likers", "on one of 10", 1.05, 1.2),
    Target("S7", "rebuild into PostgreSQL", "naive projector, one event one transaction", 180, 100),
    Target("S8", "rebuild into PostgreSQL", "`eventsourcing` (PyPI), its projection runner on PostgreSQL", 150, 85),
    Target("S9", "rebuild from MongoDB", "`for doc in collection.find()`, decoded, thrown away", 1.2, 0.8),
    Target("S10", "rebuild on SQLite", "naive projector on SQLite, same durability", 35, 17),
    Target("S10 NORMAL", "the same, synchronous=NORMAL as Postlog has it", "the same, synchronous=NORMAL", 6, 3.5),
    Target("S11", "live projection, mixed events", "raw COPY of as many rows, same batch size", 0.35, 0.2),
    Target("S12", "writes a second while a rebuild runs", "while none runs", 0.95, 0.8),
    Target("S13", "peak memory of a rebuild at 10 × the events", "at 1 ×", 1.05, 1.2),
    Target("S14 embedded", "acknowledged to visible, p99, embedded", "p99 of one durable commit", 4, 8),
    Target("S14 Kafka", "acknowledged to visible, p99, Kafka", "p99 of raw produce to consume", 3, 6),
    Target("S15", "relay, messages a second", "raw producer loop, same bytes, idempotent, acks=all", 0.5, 0.25),
    Target("S16", "GET one post, 32 connections", "raw pooled lookups of the same row", 1.2, 0.8),
    Target("S17", "start to first answered command, embedded", "granian, Litestar hello-world, first 200", 1.8, 2.5),
    Target("S18", "start to first command, 1,000,000 events stored", "with an empty store", 1.05, 1.2),
    Target("S19 SQLite", "`postlog events check`, SQLite", "rows and their JSON decoded, thrown away", 0.7, 0.45),
    Target(
        "S19 MongoDB",
        "`postlog events check`, MongoDB",
        "`for doc in collection.find()`, decoded, thrown away",
        1.3,
        1.0,
    ),
    Target("S20 2", "rebuild into PostgreSQL with 2 workers", "with 1", 1.8, 1.4, processors=4),
    Target("S20 4", "with 4 workers", "with 1", 3.2, 2.2, processors=8),
    Target("S20 8", "with 8 workers", "with 1", 5.0, 3.0, processors=12),
    Target("S21 2", "HTTP commands with 2 command processes", "with 1", 1.6, 1.2, processors=6),
    Target("S21 4", "with 4 command processes", "with 1", 2.2, 1.5, processors=8),
    Target(
        "S22 64", "HTTP commands of callers with tokens (`auth.mode: jwt`), 64 connections", "with `none`", 0.95, 0.9
    ),
    Target("S22 1", "the same, 1 connection", "the same", 0.95, 0.9),
)

ROWS = tuple(dict.fromkeys(target.row for target in TARGETS))
