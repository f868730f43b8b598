"""The same servers as Docker containers, by testcontainers' own modules, and SQL Server; testcontainers' reaper removes
them even if this process is killed."""

import gc
import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.errors import PyMongoError
from sqlalchemy import make_url
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.mongodb import MongoDbContainer
from testcontainers.community.mssql import SqlServerContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from local.processes import ServerFailedError
from local.programs import find_odbc_driver
from local.waiting import wait_until

_KEY = "/data/configdb/key"


def docker_answers() -> bool:
    """Whether there is a Docker daemon; a client alone is not enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker-py leaves its socket open if there is no daemon
        try:
            DockerClient(timeout=3).client.close()
        except Exception:  # docker-py raises half a dozen unrelated types for "no daemon"
            answers = False
        else:
            answers = True
        gc.collect()
    return answers


@contextmanager
def mongo_container() -> Iterator[str]:
    """The URL of a replica set of one node, with the superuser's login. A replica set with logins needs a key file. Its
    own address is valid only inside the container, hence direct."""
    make_key = f"head -c 96 /dev/urandom | base64 --wrap 0 > {_KEY} && chmod 400 {_KEY} && chown mongodb {_KEY}"
    container = MongoDbContainer(
        "mongo:8",
        password=secrets.token_hex(12),
        entrypoint=["bash", "-c", f'{make_key} && exec docker-entrypoint.sh "$@"', "mongo"],
    )
    container.with_command(["mongod", "--replSet", "rs0", "--keyFile", _KEY, "--bind_ip_all"])
    with container:
        url = f"{container.get_connection_url()}/?directConnection=true"
        _wait(container, lambda: _is_primary(url))
        yield f"{url}&replicaSet=rs0"


@contextmanager
def kafka_container() -> Iterator[str]:
    """The bootstrap address."""
    with KafkaContainer().with_kraft() as container:
        yield container.get_bootstrap_server()


@contextmanager
def postgres_container() -> Iterator[str]:
    """SQLAlchemy's URL of the superuser."""
    container = PostgresContainer("postgres:18", username="postgres", password=secrets.token_hex(12), driver="psycopg")
    with container:
        yield container.get_connection_url()


@contextmanager
def sqlserver_container() -> Iterator[str]:
    """SQLAlchemy's URL of the administrator. Whoever starts it accepts Microsoft's licence."""
    with SqlServerContainer(password=f"Pw-{secrets.token_hex(12)}") as container:
        url = make_url(container.get_connection_url()).set(
            drivername="mssql+pyodbc",
            database="master",
            query={"driver": find_odbc_driver(), "Encrypt": "yes", "TrustServerCertificate": "yes"},
        )
        yield url.render_as_string(hide_password=False)


def _wait(container: DockerContainer, ready: Callable[[], bool]) -> None:
    def failure() -> ServerFailedError:
        return ServerFailedError(f"{container.image} did not answer within 90 s\n{container.get_logs()}")

    wait_until(ready, seconds=90, failure=failure)


def _is_primary(url: str) -> bool:
    with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=2000, serverSelectionTimeoutMS=1000) as client:
        try:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            members = [{"_id": 0, "host": "127.0.0.1:27017"}]
            client.admin.command({"replSetInitiate": {"_id": "rs0", "members": members}})
        except PyMongoError:
            return False
    return False
