"""A MongoDB replica set of `mongod` processes on 127.0.0.1."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from local.ports import free_port
from local.processes import ServerFailedError, ServerProcess
from local.waiting import wait_until

_NAME, _ADMIN = "rs0", "admin"
_OPTIONS = [
    *("--replSet", _NAME, "--bind_ip", "127.0.0.1", "--nounixsocket"),
    *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--setParameter", "enableTestCommands=1"),  # for the fail point of `hold_back`
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
]


class ReplicaSet:
    """Nodes are named by their number, 0 and up. Each keeps its port and data through kill and restart.

    With `logins` clients must log in, and `url` is that of a superuser. With `proxied_by` clients and the other nodes
    reach the node on a port through another port, that of a proxy, which this function returns.
    """

    def __init__(
        self,
        mongod: Path,
        folder: Path,
        nodes: int = 1,
        *,
        logins: bool = False,
        proxied_by: Callable[[int], int] | None = None,
    ) -> None:
        self._password = secrets.token_urlsafe(12) if logins else None
        self.ports = [free_port() for _ in range(nodes)]
        self._hosts = [f"127.0.0.1:{proxied_by(port) if proxied_by else port}" for port in self.ports]
        self._nodes: list[ServerProcess] = []
        self._data: list[Path] = []
        for port in self.ports:
            data = folder / f"mongod-{port}"
            data.mkdir(parents=True)
            self._data.append(data)
            command = [mongod, "--dbpath", data, "--port", str(port), *_OPTIONS, *self._key_file(data)]
            self._nodes.append(ServerProcess(f"mongod on port {port}", command, log=data / "mongod.log"))

    @property
    def url(self) -> str:
        hosts = ",".join(self._hosts)
        if self._password:
            return f"mongodb://{_ADMIN}:{self._password}@{hosts}/?replicaSet={_NAME}"
        return f"mongodb://{hosts}/?replicaSet={_NAME}"

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def start(self) -> None:
        for node in range(len(self._nodes)):
            self.restart(node)
        members = [{"_id": node, "host": host} for node, host in enumerate(self._hosts)]
        # Shorter than the defaults (10 s and 2 s), so that a failover takes about 2 s.
        settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
        config = {"_id": _NAME, "members": members, "settings": settings}
        self._command(0, {"replSetInitiate": config}, login=False)
        first = self.wait_for_primary()
        if self._password:
            # Allowed without a login while there is no user: MongoDB's "localhost exception".
            user = {"createUser": _ADMIN, "pwd": self._password, "roles": ["root"]}
            self._command(first, user, login=False)

    def stop(self) -> None:
        # A clean stop of a secondary costs seconds of elections, for data that is not needed any more.
        for node in self._nodes:
            node.kill()

    def kill(self, node: int) -> None:
        """kill -9; returns when the process is gone."""
        self._nodes[node].kill()

    def restart(self, node: int) -> None:
        """Start a node that is down and wait until it responds; it need not be the primary."""
        self._nodes[node].start()
        self._nodes[node].wait_until(lambda: self._hello(node) is not None, seconds=60)

    def copy_data(self, node: int, to: Path) -> None:
        """The data of a node that is down, like a snapshot of its disk."""
        shutil.copytree(self._data[node], to)

    def put_data_back(self, node: int, copy: Path) -> None:
        """Replaces the data of a node that is down."""
        shutil.rmtree(self._data[node])
        shutil.copytree(copy, self._data[node])

    def freeze(self, node: int) -> None:
        self._nodes[node].freeze()

    def thaw(self, node: int) -> None:
        self._nodes[node].thaw()

    def step_down(self, node: int) -> bool:
        """Whether the node, a primary so far, gave up its role; not if it is a secondary or does not respond."""
        try:
            self._command(node, {"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 1, "force": True})
        except PyMongoError:
            return False
        return True

    def hold_back(self, node: int) -> None:
        """The node stops copying the primary's log but still answers heartbeats, like a node that lags."""
        self._command(node, {"configureFailPoint": "stopReplProducer", "mode": "alwaysOn"})

    def release(self, node: int) -> None:
        self._command(node, {"configureFailPoint": "stopReplProducer", "mode": "off"})

    def wait_for_primary(self, *, other_than: int | None = None, seconds: float = 60) -> int:
        """The primary, once there is one (`other_than` the old one after a failover)."""
        claims: list[tuple[ObjectId, int]] = []

        def found() -> bool:
            for node in range(len(self._nodes)):
                answer = self._hello(node) or {}
                if node != other_than and answer.get("isWritablePrimary"):
                    claims.append((answer["electionId"], node))
            return bool(claims)

        no_primary = ServerFailedError(f"no primary within {seconds:g} s\n{self._nodes[0].log_tail()}")
        wait_until(found, seconds=seconds, failure=lambda: no_primary)
        return max(claims)[1]  # a thawed node may still report itself as primary for a moment

    def heal(self) -> None:
        """All nodes run, none is held back, one is primary."""
        for node in range(len(self._nodes)):
            self.thaw(node)
            self.restart(node)
            self.release(node)
        self.wait_for_primary()

    def _hello(self, node: int) -> dict[str, Any] | None:
        try:
            return self._command(node, {"hello": 1}, login=False)
        except PyMongoError:
            return None

    def _command(self, node: int, command: dict[str, Any], *, login: bool = True) -> dict[str, Any]:
        who: dict[str, Any] = {"username": _ADMIN, "password": self._password} if login and self._password else {}
        with pymongo.MongoClient[dict[str, Any]](
            self.addresses[node], directConnection=True, timeoutMS=2000, serverSelectionTimeoutMS=500, **who
        ) as client:
            return client.admin.command(command)

    def _key_file(self, data: Path) -> list[str | Path]:
        if self._password is None:
            return []
        key = data.with_suffix(".key")
        key.write_text("one key for the nodes of one set")
        key.chmod(0o600)
        return ["--keyFile", key]
