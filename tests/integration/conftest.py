"""Real servers for the integration tests, each started when the first test asks for it.

`mongo_url`, `kafka_bootstrap`, `postgres_url` and `sqlserver_url` are shared by the whole session: a test keeps to a
database or topic of its own and never stops them. The `killable_…` ones and `three_nodes` are other servers, programs
on this machine, for tests that kill, freeze and restart; after each test they are brought back.
"""

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from local.databases import MongoDatabase
from local.databases import fresh_mongo_database as new_mongo_database
from local.databases import fresh_postgres_database as new_postgres_database
from local.databases import fresh_sqlserver_database as new_sqlserver_database
from local.find import Servers, ServerUnavailableError
from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.pgbouncer import PgBouncer
from local.postgres import Postgres
from missing import skip_or_fail

T = TypeVar("T")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with Servers() as servers:
        yield servers


@pytest.fixture(scope="session")
def mongo_url(servers: Servers) -> str:
    """A replica set that takes writes."""
    return got(servers.mongo_url)


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: Servers) -> str:
    """`host:port` of a broker with default settings, which makes topics by itself."""
    return got(servers.kafka_bootstrap)


@pytest.fixture(scope="session")
def postgres_url(servers: Servers) -> str:
    """SQLAlchemy's URL of a superuser."""
    return got(servers.postgres_url)


@pytest.fixture(scope="session")
def pgbouncer(servers: Servers, postgres_url: str) -> PgBouncer:
    """In transaction mode, in front of the shared server."""
    return got(lambda: servers.own_pgbouncer(postgres_url))


@pytest.fixture(scope="session")
def sqlserver_url(servers: Servers) -> str:
    """SQLAlchemy's URL; only ever from the environment, so its absence is no failure in CI either."""
    return got(servers.sqlserver_url, optional=True)


@pytest.fixture
def fresh_mongo_database(mongo_url: str) -> Iterator[MongoDatabase]:
    with new_mongo_database(mongo_url) as database:
        yield database


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> Iterator[str]:
    """SQLAlchemy's URL, as the superuser, of an empty database."""
    with new_postgres_database(postgres_url) as url:
        yield url


@pytest.fixture
def fresh_sqlserver_url(sqlserver_url: str) -> Iterator[str]:
    """SQLAlchemy's URL, as a login that may create databases, of an empty database."""
    with new_sqlserver_database(sqlserver_url) as url:
        yield url


@pytest.fixture(scope="session")
def mongo_with_logins_url(servers: Servers) -> str:
    """A replica set on which nobody does anything without a login; the URL is that of the superuser."""
    return got(lambda: servers.own_replica_set(logins=True)).url


@pytest.fixture(scope="session")
def _own_mongod(servers: Servers) -> ReplicaSet:
    return got(servers.own_replica_set)


@pytest.fixture(scope="session")
def _own_three_nodes(servers: Servers) -> ReplicaSet:
    return got(lambda: servers.own_replica_set(nodes=3))


@pytest.fixture(scope="session")
def _own_kafka(servers: Servers) -> Kafka:
    return got(servers.own_kafka)


@pytest.fixture(scope="session")
def _own_postgres(servers: Servers) -> Postgres:
    return got(servers.own_postgres)


@pytest.fixture
def killable_mongod(_own_mongod: ReplicaSet) -> Iterator[ReplicaSet]:
    """A replica set of one node: `kill(0)`, `restart(0)`, `freeze(0)`, `thaw(0)`."""
    yield _own_mongod
    _own_mongod.heal()


@pytest.fixture
def three_nodes(_own_three_nodes: ReplicaSet) -> Iterator[ReplicaSet]:
    """A replica set of three nodes, for failovers."""
    yield _own_three_nodes
    _own_three_nodes.heal()


@pytest.fixture
def killable_kafka(_own_kafka: Kafka) -> Iterator[Kafka]:
    yield _own_kafka
    _own_kafka.heal()


@pytest.fixture
def killable_postgres(_own_postgres: Postgres) -> Iterator[Postgres]:
    yield _own_postgres
    _own_postgres.heal()


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """pymongo 4.20 does not close a socket, or its transport, when a connection ends while it is being made: for tests
    whose server is down, together with a filter on the warning, so that it does not fail the next test."""
    yield
    gc.collect()


def got(server: Callable[[], T], *, optional: bool = False) -> T:
    try:
        return server()
    except ServerUnavailableError as reason:
        skip_or_fail(str(reason), optional=optional)
