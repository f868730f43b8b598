"""The lines of the table: what is measured against what, the goal and the floor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`line` is the row's name, with the variant where a row has several: `S6 10k`."""

    line: str
    measured: str
    against: str
    goal: float
    floor: float

    @property
    def row(self) -> str:
        return self.line.split()[0]


TARGETS = (
    Target(
        "S1",
        "append through the whole write path, 64 in flight, MongoDB",
        "64 tasks with one `insert_one` each",
        3,
        1.5,
    ),
    Target("S2", "HTTP command end to end, 64 connections", "bare Litestar handler, same durable insert", 2.3, 1.2),
    Target("S3", "the same, 1 connection", "the same", 0.9, 0.7),
    Target("S4", "p99 of S2", "p99 of that handler", 0.6, 1.0),
    Target("S5", "64 people like one post through HTTP", "the same 64 on 64 posts", 1.0, 0.5),
    Target("S6 10k", "command p50 on a stream of 10,000 events", "on one of 10", 1.05, 1.5),
    Target("S6 1M", "command p50 on a stream of 1,000,000 events, 100,000 named likers", "on one of 10", 1.10, 1.5),
    Target("S7", "rebuild into PostgreSQL", "naive projector, one event one transaction", 120, 40),
    Target("S8", "rebuild into PostgreSQL", "`eventsourcing` (PyPI), its projection runner on PostgreSQL", 100, 30),
    Target("S9", "rebuild from MongoDB", "`for doc in collection.find()`, thrown away", 0.9, 0.3),
    Target("S10", "rebuild on SQLite", "naive projector on SQLite, same durability", 40, 15),
    Target("S10 NORMAL", "the same, synchronous=NORMAL as Postlog has it", "the same, synchronous=NORMAL", 40, 15),
    Target("S11", "live projection, mixed events", "raw COPY of as many rows, same batch size", 0.6, 0.2),
    Target("S12", "writes a second while a rebuild runs", "while none runs", 0.8, 0.5),
    Target("S13", "peak memory of a rebuild at 10 × the events", "at 1 ×", 1.05, 1.5),
    Target("S14 embedded", "acknowledged to visible, p99, embedded", "p99 of one durable commit", 3, 10),
    Target("S14 Kafka", "acknowledged to visible, p99, Kafka", "p99 of raw produce to consume", 2, 5),
    Target("S15", "relay, messages a second", "raw producer loop, same bytes, idempotent, acks=all", 0.4, 0.1),
    Target("S16", "GET one post, 32 connections", "raw pooled lookups of the same row", 0.75, 0.4),
    Target("S17", "start to first answered command, embedded", "granian, Litestar hello-world, first 200", 1.8, 2.5),
    Target("S18", "start to first command, 1,000,000 events stored", "with an empty store", 1.05, 1.5),
    Target("S19 SQLite", "`postlog events check`, SQLite", "rows and their JSON decoded, thrown away", 0.8, 0.3),
    Target("S19 MongoDB", "`postlog events check`, MongoDB", "`for doc in collection.find()`, thrown away", 0.8, 0.3),
)

ROWS = tuple(dict.fromkeys(target.row for target in TARGETS))
