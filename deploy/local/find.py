"""Finds or starts a server: an address in the environment, else Docker, else programs on this machine.

Servers that a test kills and restarts are always programs on this machine, started for that test run.
"""

import functools
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import uuid4

from local.folders import server_folder
from local.go_programs import PROMETHEUS
from local.kafka import Kafka, Listener
from local.mongod import ReplicaSet
from local.pgbouncer import PgBouncer
from local.postgres import Postgres
from local.processes import ServerFailedError
from local.programs import find_kafka, find_mongod, find_pgbouncer, find_postgres
from local.prometheus import Prometheus

MONGO, KAFKA, POSTGRES, SQLSERVER = (
    "POSTLOG_TEST_MONGO_URL",
    "POSTLOG_TEST_KAFKA",
    "POSTLOG_TEST_POSTGRES_URL",
    "POSTLOG_TEST_SQLSERVER_URL",
)


class ServerUnavailableError(Exception):
    """This machine has no such server; the message says how to get one."""


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=_Server)


class Servers:
    """Starts a server when it is asked for and stops all of them at the end of the `with` block."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def mongo_url(self) -> str:
        """A replica set that accepts writes."""
        return self._shared(MONGO, "mongo_container", lambda: self.own_replica_set().url)

    def kafka_bootstrap(self) -> str:
        """`host:port` of a broker with default settings, which creates topics automatically."""
        return self._shared(KAFKA, "kafka_container", lambda: self.own_kafka().bootstrap)

    def postgres_url(self) -> str:
        """SQLAlchemy's URL of a superuser."""
        return self._shared(POSTGRES, "postgres_container", lambda: self.own_postgres().url)

    def sqlserver_url(self) -> str:
        """SQLAlchemy's URL of a login that may create databases. In Docker only if Microsoft's licence is accepted."""
        remedy = f"no SQL Server: set {SQLSERVER} to its SQLAlchemy URL, or ACCEPT_EULA=Y to start it with Docker"
        if os.environ.get("ACCEPT_EULA") != "Y" and not os.environ.get(SQLSERVER):
            raise ServerUnavailableError(remedy)
        return self._shared(SQLSERVER, "sqlserver_container", lambda: _none(remedy))

    def own_replica_set(
        self, nodes: int = 1, *, logins: bool = False, proxied_by: Callable[[int], int] | None = None
    ) -> ReplicaSet:
        mongod = _found(find_mongod(), "mongod", "put MongoDB's 'mongod' on the PATH", MONGO)
        return self._started(ReplicaSet(mongod, self._folder, nodes, logins=logins, proxied_by=proxied_by))

    def own_kafka(self, listeners: Sequence[Listener] = ()) -> Kafka:
        """`listeners` are additional ones."""
        jars = _found(find_kafka(), "Kafka", "install Java and Maven (Debian: 'maven')", KAFKA)
        return self._started(Kafka(jars, self._folder, listeners))

    def own_postgres(self, primary: Postgres | None = None) -> Postgres:
        """With a `primary`, its standby."""
        programs = _found(find_postgres(), "PostgreSQL", "install it (Debian: 'postgresql')", POSTGRES)
        return self._started(Postgres(programs, self._folder, primary))

    def own_pgbouncer(self, postgres_url: str) -> PgBouncer:
        """In front of this server."""
        program = find_pgbouncer()
        if program is None:
            raise ServerUnavailableError("no PgBouncer on this machine: install it (Debian: 'pgbouncer')")
        return self._started(PgBouncer(program, self._folder, postgres_url))

    def prometheus_programs(self) -> Path:
        """The folder with `prometheus` and `promtool`, built if necessary: minutes."""
        try:
            found = PROMETHEUS.find()
        except ServerFailedError as error:
            raise ServerUnavailableError(str(error)) from error
        if found is None:
            raise ServerUnavailableError(
                "no Prometheus on this machine: put 'prometheus' and 'promtool', or Go, on the PATH"
            )
        return found

    def own_prometheus(self, config: str) -> Prometheus:
        return self._started(Prometheus(self.prometheus_programs(), self._folder / f"prometheus-{uuid4().hex}", config))

    @functools.cached_property
    def _folder(self) -> Path:
        return self._open.enter_context(server_folder())

    def _started(self, server: S) -> S:
        self._open.callback(server.stop)
        server.start()
        return server

    def _shared(self, variable: str, container: str, own: Callable[[], str]) -> str:
        if address := os.environ.get(variable):
            return address
        if _docker_answers():
            from local import containers  # takes half a second, only needed with Docker

            start: Callable[[], AbstractContextManager[str]] = getattr(containers, container)
            return self._open.enter_context(start())
        return own()


@functools.cache
def _docker_answers() -> bool:
    from local.containers import docker_answers

    return docker_answers()


def _none(remedy: str) -> str:
    raise ServerUnavailableError(remedy)


def _found(place: Path | None, name: str, remedy: str, variable: str) -> Path:
    if place is None:
        machine = f"{platform.system()} {platform.machine()}"
        raise ServerUnavailableError(f"no {name} on this machine ({machine}): {remedy}, or set {variable}")
    return place
