"""The tree of settings with its defaults: the embedded profile. The description of each setting is its documentation.

A setting of type `Secret` has a neighbour `<name>_file`: a file that contains the value instead.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from entrypoints.settings.secret import Secret

EventStoreAdapter = Literal["sqlite", "mongo", "memory"]
BusAdapter = Literal["log", "kafka", "memory"]
ReadDbAdapter = Literal["sqlite", "postgres", "sqlserver", "memory"]
KafkaSecurity = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
AuthMode = Literal["none", "gateway", "jwt"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]

Text = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
PoolSize = Annotated[int, Meta(ge=1, le=1_000)]


class SqliteLog(Struct, frozen=True, kw_only=True):
    path: Annotated[Text, Meta(description="File of the log; its folder is created when missing.")] = "var/log.sqlite"
    append_timeout_seconds: Annotated[
        Seconds, Meta(description="How long an append waits for another process's lock on the file.")
    ] = 10


class Mongo(Struct, frozen=True, kw_only=True):
    url: Annotated[
        Secret,
        Meta(
            description="Address of a MongoDB replica set (one node is enough).",
            extra={"schemes": ("mongodb://", "mongodb+srv://")},
        ),
    ] = Secret("mongodb://127.0.0.1:27017/?replicaSet=rs0")
    url_file: Annotated[Text | None, Meta(description="File that contains the address instead.")] = None
    database: Annotated[Text, Meta(description="Database of the log.")] = "postlog"
    append_timeout_seconds: Annotated[
        Seconds, Meta(description="Time limit of an append, until it is known whether it was stored.")
    ] = 10
    read_timeout_seconds: Annotated[Seconds, Meta(description="Time limit of a read.")] = 10


class EventStore(Struct, frozen=True, kw_only=True):
    adapter: Annotated[EventStoreAdapter, Meta(description="Where the log is stored.")] = "sqlite"
    sqlite: SqliteLog = field(default_factory=SqliteLog)
    mongo: Mongo = field(default_factory=Mongo)


class KafkaOAuth(Struct, frozen=True, kw_only=True):
    token_url: Annotated[
        Text | None,
        Meta(
            description="Where tokens are requested with client credentials (OIDC).",
            extra={"schemes": ("https://", "http://")},
        ),
    ] = None
    client_id: Annotated[Text | None, Meta(description="Name of this client at token_url.")] = None
    client_secret: Annotated[Secret | None, Meta(description="Secret of this client at token_url.")] = None
    client_secret_file: Annotated[Text | None, Meta(description="File that contains the secret instead.")] = None
    scope: Annotated[Text | None, Meta(description="Scope to request, if the issuer wants one.")] = None
    ca_file: Annotated[Text | None, Meta(description="Certificate authority of token_url; null: the system's.")] = None
    token_file: Annotated[
        Text | None,
        Meta(description="File with the token (a JWT) instead, read again before it expires, as Kubernetes provides."),
    ] = None


class Kafka(Struct, frozen=True, kw_only=True):
    bootstrap_servers: Annotated[Text, Meta(description="host:port of the brokers, separated by commas.")] = (
        "127.0.0.1:9092"
    )
    topic: Annotated[Text, Meta(description="Topic of the events.")] = "SocialMediaPostEvents"
    partitions: Annotated[
        int,
        Meta(ge=1, le=1_000, description="Partitions of the topic that `postlog init` creates; fixed once it is used."),
    ] = 3
    replication_factor: Annotated[
        int, Meta(ge=1, le=15, description="Copies of the topic that `postlog init` creates.")
    ] = 1
    group_id: Annotated[
        Text, Meta(description="Prefix of the consumer groups' names; each read database has its own group.")
    ] = "postlog"
    security: Annotated[KafkaSecurity, Meta(description="Security protocol for Kafka connections.")] = "plaintext"
    sasl_mechanism: Annotated[SaslMechanism, Meta(description="How clients authenticate, with a sasl_… security.")] = (
        "SCRAM-SHA-512"
    )
    username: Annotated[Text | None, Meta(description="User name at the brokers, with a sasl_… security.")] = None
    password: Annotated[Secret | None, Meta(description="Password at the brokers, with a sasl_… security.")] = None
    password_file: Annotated[Text | None, Meta(description="File that contains the password instead.")] = None
    oauth: KafkaOAuth = field(default_factory=KafkaOAuth)
    ca_file: Annotated[Text | None, Meta(description="Certificate authority of the brokers; null: the system's.")] = (
        None
    )
    certificate_file: Annotated[
        Text | None, Meta(description="PEM file with this client's certificate, for brokers that require one.")
    ] = None
    key_file: Annotated[Text | None, Meta(description="PEM file with the key of certificate_file.")] = None
    key_password: Annotated[Secret | None, Meta(description="Password of key_file, if it has one.")] = None
    key_password_file: Annotated[Text | None, Meta(description="File that contains the password instead.")] = None


class Bus(Struct, frozen=True, kw_only=True):
    adapter: Annotated[BusAdapter, Meta(description="How projectors receive events; log: directly from the log.")] = (
        "log"
    )
    kafka: Kafka = field(default_factory=Kafka)


class SqliteReadDb(Struct, frozen=True, kw_only=True):
    path: Annotated[Text, Meta(description="File of the read database; its folder is created when missing.")] = (
        "var/read.sqlite"
    )
    pool_size: Annotated[PoolSize, Meta(description="Connections, each with a thread that uses it.")] = 4


class Postgres(Struct, frozen=True, kw_only=True):
    url: Annotated[
        Secret,
        Meta(description="SQLAlchemy URL.", extra={"schemes": ("postgresql+psycopg://", "postgresql://")}),
    ] = Secret("postgresql+psycopg://postlog@127.0.0.1:5432/postlog")
    url_file: Annotated[Text | None, Meta(description="File that contains the URL instead.")] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections, each with a thread that uses it.")] = 8


class SqlServer(Struct, frozen=True, kw_only=True):
    url: Annotated[Secret, Meta(description="SQLAlchemy URL.", extra={"schemes": ("mssql+pyodbc://",)})] = Secret(
        "mssql+pyodbc://postlog@127.0.0.1:1433/postlog?driver=ODBC+Driver+18+for+SQL+Server"
    )
    url_file: Annotated[Text | None, Meta(description="File that contains the URL instead.")] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections, each with a thread that uses it.")] = 8


class ReadDb(Struct, frozen=True, kw_only=True):
    adapter: Annotated[ReadDbAdapter, Meta(description="Database that answers queries.")] = "sqlite"
    sqlite: SqliteReadDb = field(default_factory=SqliteReadDb)
    postgres: Postgres = field(default_factory=Postgres)
    sqlserver: SqlServer = field(default_factory=SqlServer)


class Tls(Struct, frozen=True, kw_only=True):
    certificate: Annotated[
        Text | None,
        Meta(description="PEM file with the certificate and those between it and its authority; null: HTTP."),
    ] = None
    key: Annotated[Text | None, Meta(description="PEM file with its key, without a password.")] = None


class Http(Struct, frozen=True, kw_only=True):
    host: Annotated[
        Text, Meta(description="Address to listen on; others than loopback need an auth.mode, or auth.trust_usernames.")
    ] = "127.0.0.1"
    port: Annotated[
        Port, Meta(description="Port to listen on; 0 selects a free one. The default of `serve query` is 8001.")
    ] = 8000
    allowed_hosts: Annotated[
        Text | None,
        Meta(
            description="Host names under which clients and gateways reach this process, separated by commas, beside "
            "addresses, localhost and the name in host; *.example.com: all below it, *: any. Other names: 421.",
            extra={
                "items": r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?",
                "item": "a name without port, like posts.example.com, *.example.com or *",
            },
        ),
    ] = None
    allowed_origins: Annotated[
        Text | None,
        Meta(
            description="Other origins whose pages may use the service, separated by commas, like "
            "https://app.example.com; pages of all others may change nothing (403) and read nothing (CORS).",
            extra={
                "items": r"https?://[A-Za-z0-9._-]+(:[0-9]+)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]+)?",
                "item": "an origin, like https://app.example.com or http://localhost:3000, without a path",
            },
        ),
    ] = None
    operations: Annotated[bool, Meta(description="Serve /api/v1/read-db and its rebuilds.")] = True
    metrics: Annotated[
        bool,
        Meta(
            description="Serve /metrics here; false: `run` and `serve` serve it, with their health, on worker.host and "
            "worker.port."
        ),
    ] = True
    max_body_bytes: Annotated[
        int, Meta(ge=1_024, le=16_000_000, description="Larger request bodies are refused with 413.")
    ] = 1_048_576
    min_position_wait_seconds: Annotated[
        Seconds, Meta(description="How long a query waits for its minimum position.")
    ] = 5
    max_connections: Annotated[
        int, Meta(ge=10, le=100_000, description="Most open connections; above it, idle ones are closed.")
    ] = 4_000
    max_streams: Annotated[
        int, Meta(ge=0, le=100_000, description="Most open event streams, live pages included; above it, 503.")
    ] = 1_000
    requests_per_second: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests a second of one user or address, without health and metrics; above it, 429; 0: any.",
        ),
    ] = 0
    request_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="How many of these requests may come at once.")
    ] = 100
    client_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description="How long a client may take to send a request or to read a stream, or be idle between requests."
        ),
    ] = 30
    tls: Tls = field(default_factory=Tls)


class Queries(Struct, frozen=True, kw_only=True):
    history_seconds: Annotated[
        Seconds,
        Meta(description="How long one query may fold a post's history for a past state; then 503, and it resumes."),
    ] = 10
    search_commits: Annotated[
        int, Meta(ge=1, le=100_000_000, description="Most commits that one request of the page /log searches.")
    ] = 50_000
    search_seconds: Annotated[
        Seconds, Meta(description="How long one request of the page /log searches; the visitor may continue.")
    ] = 0.5


class Roles(Struct, frozen=True, kw_only=True):
    operator: Annotated[
        Text, Meta(description="Role or group, at the gateway or in tokens, that may watch and operate the service.")
    ] = "operator"
    moderator: Annotated[Text, Meta(description="Role or group that may remove every post and comment.")] = "moderator"
    importer: Annotated[
        Text, Meta(description="Role or group that may act in the name of others, and like without a name.")
    ] = "importer"


class Gateway(Struct, frozen=True, kw_only=True):
    user_header: Annotated[Text, Meta(description="Header with the user's name, which the gateway sets.")] = (
        "X-Forwarded-User"
    )
    roles_header: Annotated[
        Text, Meta(description="Header with the user's roles or groups, separated by commas, which the gateway sets.")
    ] = "X-Forwarded-Groups"
    secret_header: Annotated[Text, Meta(description="Header with the gateway's secret.")] = "X-Gateway-Secret"  # noqa: S105
    secret: Annotated[
        Secret | None,
        Meta(description="Secret that the gateway sends with each request; 16 characters or more."),
    ] = None
    secret_file: Annotated[Text | None, Meta(description="File that contains the secret instead.")] = None
    addresses: Annotated[
        Text | None,
        Meta(
            description="Addresses or networks of gateways that need no secret, separated by commas: 10.0.0.5, "
            "10.1.0.0/16. Every program at such an address is believed."
        ),
    ] = None


class Jwt(Struct, frozen=True, kw_only=True):
    issuer: Annotated[Text | None, Meta(description="The `iss` that tokens must have.")] = None
    audience: Annotated[Text | None, Meta(description="The `aud` that tokens must have: the name of this service.")] = (
        None
    )
    jwks_url: Annotated[
        Text | None,
        Meta(
            description="Address of the issuer's public keys (RS256, ES256, EdDSA); http only on this machine. Read at "
            "most once a minute.",
            extra={"schemes": ("https://", "http://")},
        ),
    ] = None
    jwks_file: Annotated[Text | None, Meta(description="File with the issuer's public keys instead.")] = None
    secret: Annotated[
        Secret | None, Meta(description="Secret shared with the issuer instead (HS256); 32 characters or more.")
    ] = None
    secret_file: Annotated[Text | None, Meta(description="File that contains the secret.")] = None
    leeway_seconds: Annotated[
        float, Meta(ge=0, le=300, description="Clock difference to the issuer that is tolerated.")
    ] = 10
    user_claim: Annotated[Text, Meta(description="Claim with the user's name.")] = "sub"
    roles_claim: Annotated[
        Text,
        Meta(
            description="Claim with the user's roles or groups: a list, or a text with blanks or commas between them. "
            "A dot leads into an object: realm_access.roles."
        ),
    ] = "roles"
    cookie: Annotated[
        Text | None,
        Meta(description="Cookie with the token, for pages; null: pages need the header Authorization, too."),
    ] = None


class Auth(Struct, frozen=True, kw_only=True):
    mode: Annotated[
        AuthMode,
        Meta(
            description="Who says who is calling: the request itself (none), a gateway in front, or a signed token "
            "(jwt)."
        ),
    ] = "none"
    trust_usernames: Annotated[
        bool,
        Meta(
            description="With mode none, listen on other addresses than loopback all the same: every client that "
            "reaches them may act in any name."
        ),
    ] = False
    anonymous_reads: Annotated[
        bool, Meta(description="Answer queries and show pages to callers who are not signed in.")
    ] = True
    sign_in_url: Annotated[
        Text | None, Meta(description="Where pages send people to sign in, such as /oauth2/start at the gateway.")
    ] = None
    roles: Roles = field(default_factory=Roles)
    gateway: Gateway = field(default_factory=Gateway)
    jwt: Jwt = field(default_factory=Jwt)


class Web(Struct, frozen=True, kw_only=True):
    enabled: Annotated[
        bool, Meta(description="Serve web pages at /, in `run` and `serve query` (read-only there).")
    ] = True


class Worker(Struct, frozen=True, kw_only=True):
    host: Annotated[Text, Meta(description="Address of a worker's health and metrics endpoints.")] = "127.0.0.1"
    port: Annotated[
        Port,
        Meta(
            description="Port of a worker's health and metrics endpoints; 0 selects a free one. The default of "
            "`project` is 8003, of `audit --continuous` 8004."
        ),
    ] = 8002
    tls: Tls = field(default_factory=Tls)


class Log(Struct, frozen=True, kw_only=True):
    level: Annotated[LogLevel, Meta(description="Lowest level that is logged.")] = "info"
    format: Annotated[LogFormat, Meta(description="auto: console on a terminal, json elsewhere.")] = "auto"


class TextLimits(Struct, frozen=True, kw_only=True):
    name: Annotated[int, Meta(ge=1, le=200, description="Longest author or username, in characters.")] = 100
    message: Annotated[int, Meta(ge=1, le=100_000, description="Longest message, in characters.")] = 40_000
    comment: Annotated[int, Meta(ge=1, le=100_000, description="Longest comment, in characters.")] = 2_000
    import_line: Annotated[
        int, Meta(ge=1_000, le=100_000_000, description="Longest line of a file that `postlog import` reads, in bytes.")
    ] = 2_000_000


class Commands(Struct, frozen=True, kw_only=True):
    timeout_seconds: Annotated[Seconds, Meta(description="Time limit of a command; after it, 503.")] = 15
    attempts: Annotated[
        int, Meta(ge=1, le=100, description="Attempts when others write to the same post at the same time.")
    ] = 5
    cache_entries: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="Most posts whose state is cached for commands."),
    ] = 1_000_000
    cache_megabytes: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Approximate memory for these cached posts.")
    ] = 256


class Snapshots(Struct, frozen=True, kw_only=True):
    every: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Events of a post between two snapshots for commands; 0: no snapshots, also of past states.",
        ),
    ] = 500


class Projector(Struct, frozen=True, kw_only=True):
    batch_size: Annotated[int, Meta(ge=1, le=100_000, description="Most commits in one transaction.")] = 10_000


class Rebuild(Struct, frozen=True, kw_only=True):
    batch_events: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Approximate number of events in one transaction of a rebuild; long ones count as several.",
        ),
    ] = 50_000
    workers: Annotated[
        int, Meta(ge=1, le=16, description="Processes that read and fold in parallel; 1: only the rebuild's own.")
    ] = 1
    niceness: Annotated[
        int, Meta(ge=0, le=19, description="Nice value of rebuild processes; a higher one leaves more CPU to others.")
    ] = 10


class Audit(Struct, frozen=True, kw_only=True):
    commits_per_second: Annotated[
        float,
        Meta(gt=0, le=1_000_000, description="Approximate commits a second that `postlog audit --continuous` reads."),
    ] = 500


class Relay(Struct, frozen=True, kw_only=True):
    batch_size: Annotated[
        int, Meta(ge=1, le=100_000, description="Most commits published between two checkpoints.")
    ] = 1_000
    lease_seconds: Annotated[
        Seconds,
        Meta(description="Another relay takes over when the active one does not renew its lease for this long."),
    ] = 3
    watermark_seconds: Annotated[
        Seconds, Meta(description="How often idle partitions receive the position up to which the log is published.")
    ] = 5


class Settings(Struct, frozen=True, kw_only=True):
    event_store: EventStore = field(default_factory=EventStore)
    bus: Bus = field(default_factory=Bus)
    read_db: ReadDb = field(default_factory=ReadDb)
    http: Http = field(default_factory=Http)
    auth: Auth = field(default_factory=Auth)
    web: Web = field(default_factory=Web)
    worker: Worker = field(default_factory=Worker)
    log: Log = field(default_factory=Log)
    limits: TextLimits = field(default_factory=TextLimits)
    commands: Commands = field(default_factory=Commands)
    queries: Queries = field(default_factory=Queries)
    snapshots: Snapshots = field(default_factory=Snapshots)
    projector: Projector = field(default_factory=Projector)
    rebuild: Rebuild = field(default_factory=Rebuild)
    audit: Audit = field(default_factory=Audit)
    relay: Relay = field(default_factory=Relay)
