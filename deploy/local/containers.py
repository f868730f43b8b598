"""The same servers as Docker containers, by testcontainers; its reaper removes them even if this process is killed."""

import gc
import secrets
import shlex
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.errors import PyMongoError
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from local import kafka, postgres
from local.kafka_jars import VERSION
from local.processes import ServerFailedError
from local.waiting import wait_until


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
    """The URL of a replica set of one node. Its own address is valid only inside the container, hence direct."""
    container = DockerContainer("mongo:8").with_command("--replSet rs0 --bind_ip_all").with_exposed_ports(27017)
    with container:
        url = f"mongodb://{_address(container, 27017)}/?directConnection=true"
        _wait(container, lambda: _is_primary(url))
        yield f"{url}&replicaSet=rs0"


@contextmanager
def kafka_container() -> Iterator[str]:
    """The bootstrap address. The broker starts once it knows which address to advertise."""
    wait = 'until [ -f /tmp/address ]; do sleep 0.1; done; export KAFKA_ADVERTISED_LISTENERS="$(cat /tmp/address)"'
    container = DockerContainer(f"apache/kafka:{VERSION}").with_exposed_ports(9092)
    container.with_command(["bash", "-c", f"{wait}; exec /etc/kafka/docker/run"])
    settings = {
        **kafka.SETTINGS,
        "listeners": "PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    container.with_envs(**{f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()})
    with container:
        address = _address(container, 9092)
        advertised = shlex.quote(f"PLAINTEXT://{address}")
        container.exec(["bash", "-c", f"echo {advertised} > /tmp/new && mv /tmp/new /tmp/address"])
        _wait(container, lambda: kafka.answers(address))
        yield address


@contextmanager
def postgres_container() -> Iterator[str]:
    """SQLAlchemy's URL of the superuser."""
    password = secrets.token_urlsafe(12)
    container = DockerContainer("postgres:18").with_env("POSTGRES_PASSWORD", password).with_exposed_ports(5432)
    with container:
        url = f"postgresql+psycopg://postgres:{password}@{_address(container, 5432)}/postgres"
        _wait(container, lambda: postgres.answers(url))
        yield url


def _address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


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
