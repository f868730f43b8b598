"""The tree of settings with its defaults: the embedded profile. Every leaf's description is its documentation.

A leaf of type `Secret` has a neighbour `<name>_file`: a file that holds the value instead.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from entrypoints.settings.secret import Secret

EventStoreAdapter = Literal["sqlite", "mongo", "memory"]
BusAdapter = Literal["log", "kafka", "memory"]
ReadDbAdapter = Literal["sqlite", "postgres", "sqlserver", "memory"]
KafkaSecurity = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]

Text = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
PoolSize = Annotated[int, Meta(ge=1, le=1_000)]


class SqliteLog(Struct, frozen=True, kw_only=True):
    path: Annotated[Text, Meta(description="File of the log; its folder is made when missing.")] = "var/log.sqlite"
    append_timeout_seconds: Annotated[
        Seconds, Meta(description="How long an append may wait for another process's lock on the file.")
    ] = 10


class Mongo(Struct, frozen=True, kw_only=True):
    url: Annotated[
        Secret,
        Meta(
            description="Address of a MongoDB replica set (one node will do).",
            extra={"schemes": ("mongodb://", "mongodb+srv://")},
        ),
    ] = Secret("mongodb://127.0.0.1:27017/?replicaSet=rs0")
    url_file: Annotated[Text | None, Meta(description="File that holds the address instead.")] = None
    database: Annotated[Text, Meta(description="Database that holds the log.")] = "postlog"
    append_timeout_seconds: Annotated[
        Seconds, Meta(description="How long an append may take, until it is known whether it was stored.")
    ] = 10
    read_timeout_seconds: Annotated[Seconds, Meta(description="How long a read may take.")] = 10


class EventStore(Struct, frozen=True, kw_only=True):
    adapter: Annotated[EventStoreAdapter, Meta(description="Where the log lives.")] = "sqlite"
    sqlite: SqliteLog = field(default_factory=SqliteLog)
    mongo: Mongo = field(default_factory=Mongo)


class Kafka(Struct, frozen=True, kw_only=True):
    bootstrap_servers: Annotated[Text, Meta(description="host:port of brokers, separated by commas.")] = (
        "127.0.0.1:9092"
    )
    topic: Annotated[Text, Meta(description="Topic of the events.")] = "SocialMediaPostEvents"
    partitions: Annotated[
        int, Meta(ge=1, le=1_000, description="Partitions that `postlog init` makes; fixed once the topic is used.")
    ] = 3
    replication_factor: Annotated[int, Meta(ge=1, le=15, description="Copies that `postlog init` asks for.")] = 1
    group_id: Annotated[
        Text, Meta(description="How the consumer groups' names begin; each read database has its own group.")
    ] = "postlog"
    security: Annotated[KafkaSecurity, Meta(description="How brokers are spoken to.")] = "plaintext"
    sasl_mechanism: Annotated[SaslMechanism, Meta(description="How the login is proven, with a sasl_… security.")] = (
        "SCRAM-SHA-512"
    )
    username: Annotated[Text | None, Meta(description="Login at the brokers, with a sasl_… security.")] = None
    password: Annotated[Secret | None, Meta(description="Its password.")] = None
    password_file: Annotated[Text | None, Meta(description="File that holds the password instead.")] = None
    ca_file: Annotated[Text | None, Meta(description="The brokers' certificate authority; null: the system's.")] = None


class Bus(Struct, frozen=True, kw_only=True):
    adapter: Annotated[BusAdapter, Meta(description="How projectors get events; log: from the log itself.")] = "log"
    kafka: Kafka = field(default_factory=Kafka)


class SqliteReadDb(Struct, frozen=True, kw_only=True):
    path: Annotated[Text, Meta(description="File of the read database; its folder is made when missing.")] = (
        "var/read.sqlite"
    )
    pool_size: Annotated[PoolSize, Meta(description="Connections, and threads that use them.")] = 4


class Postgres(Struct, frozen=True, kw_only=True):
    url: Annotated[
        Secret,
        Meta(description="SQLAlchemy URL.", extra={"schemes": ("postgresql+psycopg://", "postgresql://")}),
    ] = Secret("postgresql+psycopg://postlog@127.0.0.1:5432/postlog")
    url_file: Annotated[Text | None, Meta(description="File that holds the URL instead.")] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections, and threads that use them.")] = 8


class SqlServer(Struct, frozen=True, kw_only=True):
    url: Annotated[Secret, Meta(description="SQLAlchemy URL.", extra={"schemes": ("mssql+pyodbc://",)})] = Secret(
        "mssql+pyodbc://postlog@127.0.0.1:1433/postlog?driver=ODBC+Driver+18+for+SQL+Server"
    )
    url_file: Annotated[Text | None, Meta(description="File that holds the URL instead.")] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections, and threads that use them.")] = 8


class ReadDb(Struct, frozen=True, kw_only=True):
    adapter: Annotated[ReadDbAdapter, Meta(description="Which database queries are answered from.")] = "sqlite"
    sqlite: SqliteReadDb = field(default_factory=SqliteReadDb)
    postgres: Postgres = field(default_factory=Postgres)
    sqlserver: SqlServer = field(default_factory=SqlServer)


class Http(Struct, frozen=True, kw_only=True):
    host: Annotated[
        Text, Meta(description="Address to listen on; users are believed, so a gateway belongs in front.")
    ] = "127.0.0.1"
    port: Annotated[
        Port, Meta(description="Port to listen on; 0 takes a free one. The default of `serve query` is 8001.")
    ] = 8000
    operations: Annotated[bool, Meta(description="Serve /api/v1/read-db and its rebuilds.")] = True
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=16_000_000, description="Larger bodies are refused with 413.")] = (
        1_048_576
    )
    min_position_wait_seconds: Annotated[
        Seconds, Meta(description="How long a query waits for the position it asked for.")
    ] = 5
    max_connections: Annotated[
        int, Meta(ge=10, le=100_000, description="Connections kept open; beyond, those without work are closed.")
    ] = 4_000
    max_streams: Annotated[
        int, Meta(ge=0, le=100_000, description="Event streams kept open, live pages too; beyond, 503.")
    ] = 1_000
    client_timeout_seconds: Annotated[
        Seconds,
        Meta(description="How long a client may take to send a request, to read a stream, or between two requests."),
    ] = 30


class Web(Struct, frozen=True, kw_only=True):
    enabled: Annotated[
        bool, Meta(description="Serve pages for people at /, by `run` and `serve query` (there for reading only).")
    ] = True


class Worker(Struct, frozen=True, kw_only=True):
    host: Annotated[Text, Meta(description="Address of a worker's health and metrics.")] = "127.0.0.1"
    port: Annotated[
        Port,
        Meta(
            description="Port of a worker's health and metrics; 0 takes a free one. The default of `project` is 8003, "
            "of `audit --continuous` 8004."
        ),
    ] = 8002


class Log(Struct, frozen=True, kw_only=True):
    level: Annotated[LogLevel, Meta(description="What is logged at least.")] = "info"
    format: Annotated[LogFormat, Meta(description="auto: console on a terminal, json elsewhere.")] = "auto"


class TextLimits(Struct, frozen=True, kw_only=True):
    name: Annotated[int, Meta(ge=1, le=200, description="Longest author or username, in characters.")] = 100
    message: Annotated[int, Meta(ge=1, le=100_000, description="Longest message, in characters.")] = 40_000
    comment: Annotated[int, Meta(ge=1, le=100_000, description="Longest comment, in characters.")] = 2_000


class Commands(Struct, frozen=True, kw_only=True):
    timeout_seconds: Annotated[Seconds, Meta(description="After this a command is answered with 503.")] = 15
    attempts: Annotated[int, Meta(ge=1, le=100, description="Decisions tried when others write the same post.")] = 5
    cache_entries: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="Posts kept in memory at most, so that commands need not read them."),
    ] = 1_000_000
    cache_megabytes: Annotated[
        int, Meta(ge=1, le=1_000_000, description="About how much memory those posts may take together.")
    ] = 256


class Snapshots(Struct, frozen=True, kw_only=True):
    every: Annotated[int, Meta(ge=0, le=1_000_000, description="Events of a post between snapshots; 0: none.")] = 500


class Projector(Struct, frozen=True, kw_only=True):
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Commits in one transaction at most.")] = 1_000


class Rebuild(Struct, frozen=True, kw_only=True):
    batch_events: Annotated[
        int, Meta(ge=1, le=1_000_000, description="About how many events one transaction of a rebuild takes.")
    ] = 50_000
    workers: Annotated[
        int, Meta(ge=1, le=16, description="Processes that read and fold side by side; 1: the rebuild's own does it.")
    ] = 1
    niceness: Annotated[
        int, Meta(ge=0, le=19, description="How far a rebuild's processes stand back behind others of their machine.")
    ] = 10


class Audit(Struct, frozen=True, kw_only=True):
    commits_per_second: Annotated[
        float,
        Meta(gt=0, le=1_000_000, description="About how many commits `postlog audit --continuous` reads in a second."),
    ] = 500


class Relay(Struct, frozen=True, kw_only=True):
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Commits published between two checkpoints.")] = 1_000
    lease_seconds: Annotated[
        Seconds, Meta(description="A relay that is silent for so long is replaced by another.")
    ] = 3
    watermark_seconds: Annotated[
        Seconds, Meta(description="How often idle partitions are told how far the log is published.")
    ] = 5


class Settings(Struct, frozen=True, kw_only=True):
    event_store: EventStore = field(default_factory=EventStore)
    bus: Bus = field(default_factory=Bus)
    read_db: ReadDb = field(default_factory=ReadDb)
    http: Http = field(default_factory=Http)
    web: Web = field(default_factory=Web)
    worker: Worker = field(default_factory=Worker)
    log: Log = field(default_factory=Log)
    limits: TextLimits = field(default_factory=TextLimits)
    commands: Commands = field(default_factory=Commands)
    snapshots: Snapshots = field(default_factory=Snapshots)
    projector: Projector = field(default_factory=Projector)
    rebuild: Rebuild = field(default_factory=Rebuild)
    audit: Audit = field(default_factory=Audit)
    relay: Relay = field(default_factory=Relay)
