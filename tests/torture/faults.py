"""Which faults a round has, drawn from the seed, and how each is injected into servers and processes.

A fault that finds nothing to break, because its target is broken already, is not injected and not counted. Each ends by
itself: what was killed is started again, what was frozen continues.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from local.kafka import Kafka
from local.mongod import ReplicaSet
from local.postgres import Postgres
from local.processes import ServerFailedError
from proxy import Proxy
from torture.processes import Processes

WEIGHTS = {
    "process killed": 5,
    "process paused": 8,
    "connections cut": 10,
    "network silent": 5,
    "network refused": 3,
    "primary stepped down": 3,
    "primary killed": 1,
    "primary paused": 2,
    "secondary killed": 1,
    "broker killed": 0.4,
    "broker paused": 1,
    "PostgreSQL killed": 0.8,
    "PostgreSQL restarted": 0.8,
    "PostgreSQL paused": 1,
    "job killed": 2,
}
"""How often each kind is drawn, relatively."""
_STARTS = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at` seconds of its round, for `seconds`; `seed` chooses the target."""

    kind: str
    at: float
    seconds: float
    seed: int


def draw_faults(random: Random, count: int, seconds: float) -> list[Fault]:
    """In the order of their times."""
    kinds = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    drawn = [
        Fault(kind, random.uniform(0, seconds), random.choice((0.1, 0.3, 1.0, 2.5)), random.getrandbits(32))
        for kind in kinds
    ]
    return sorted(drawn, key=lambda fault: fault.at)


@dataclass(frozen=True, slots=True)
class Injected:
    fault: str
    target: str
    at: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:.3f}  {self.fault} ({self.target}, {self.seconds:g} s)"


@dataclass(slots=True)
class Faults:
    """`proxies` are those in front of the nodes, of Kafka and of PostgreSQL, by name."""

    nodes: ReplicaSet
    kafka: Kafka
    postgres: Postgres
    proxies: dict[str, Proxy]
    processes: Processes
    injected: list[Injected] = field(default_factory=list)

    async def inject(self, fault: Fault) -> None:
        """Returns when the fault is over."""
        random = Random(fault.seed)
        kind, seconds = fault.kind, fault.seconds
        servers: dict[str, tuple[str, Callable[[], None], Callable[[], None]]] = {
            "broker killed": ("Kafka", self.kafka.kill, self.kafka.restart),
            "broker paused": ("Kafka", self.kafka.freeze, self.kafka.thaw),
            "PostgreSQL killed": ("PostgreSQL", self.postgres.kill, self.postgres.restart),
            "PostgreSQL restarted": ("PostgreSQL", self.postgres.stop, self.postgres.restart),
            "PostgreSQL paused": ("PostgreSQL", self.postgres.freeze, self.postgres.thaw),
        }
        if kind in servers:
            name, begin, end = servers[kind]
            await self._break_server(kind, name, seconds, begin, end)
        elif kind.startswith("process"):
            await self._break_process(kind, random.choice(self.processes.services), seconds)
        elif kind in ("connections cut", "network silent", "network refused"):
            await self._break_network(kind, random.choice(list(self.proxies)), seconds)
        elif kind == "job killed":
            await self._kill_job(kind, random)
        else:
            await self._break_node(kind, random, seconds)

    async def _break_process(self, kind: str, name: str, seconds: float) -> None:
        def send(number: signal.Signals) -> None:
            os.killpg(self.processes.pid(name), number)

        if kind == "process killed":
            ends = (lambda: self.processes.kill(name)), (lambda: self.processes.again(name))
        else:
            ends = (lambda: send(signal.SIGSTOP)), (lambda: send(signal.SIGCONT))
        await self._break_server(kind, name, seconds, *ends)

    async def _kill_job(self, kind: str, random: Random) -> None:
        running = self.processes.running_jobs
        if running:
            name = random.choice(running)
            self._count(kind, name.split(" of ")[0], 0.0)
            await asyncio.to_thread(self.processes.kill, name)

    async def _break_network(self, kind: str, name: str, seconds: float) -> None:
        if name in self.processes.busy:
            return
        self.processes.busy.add(name)
        try:
            proxy = self.proxies[name]
            if kind == "connections cut":
                if proxy.cut():
                    self._count(kind, name, 0.0)
                return
            self._count(kind, name, seconds)
            await (proxy.hold(seconds) if kind == "network silent" else proxy.refuse(seconds))
        finally:
            self.processes.busy.discard(name)

    async def _break_node(self, kind: str, random: Random, seconds: float) -> None:
        try:
            primary = await asyncio.to_thread(self.nodes.wait_for_primary)
        except ServerFailedError:  # there is none because of other faults
            return
        others = [node for node in range(len(self.nodes.addresses)) if node != primary]
        node = random.choice(others) if kind == "secondary killed" else primary
        name = f"node {node}"
        if kind == "primary stepped down":
            if name not in self.processes.busy and await asyncio.to_thread(self.nodes.step_down, node):
                self._count(kind, name, 0.0)
            return
        if kind == "primary paused":
            await self._break_server(
                kind, name, seconds, lambda: self.nodes.freeze(node), lambda: self.nodes.thaw(node)
            )
        else:
            await self._break_server(
                kind, name, seconds, lambda: self.nodes.kill(node), lambda: self.nodes.restart(node)
            )

    async def _break_server(
        self, kind: str, name: str, seconds: float, begin: Callable[[], None], end: Callable[[], None]
    ) -> None:
        """Or a process."""
        if name in self.processes.busy:
            return
        self.processes.busy.add(name)
        try:
            if name in self.processes.services:
                self.processes.require_alive(name)
            await asyncio.to_thread(begin)
            self._count(kind, name, seconds)
            await asyncio.sleep(seconds)
            await self._repeat(end)
        finally:
            self.processes.busy.discard(name)

    async def _repeat(self, end: Callable[[], None]) -> None:
        """A server may take long to start on a busy machine."""
        for _ in range(_STARTS):
            with suppress(ServerFailedError):
                await asyncio.to_thread(end)
                return
        await asyncio.to_thread(end)

    def _count(self, kind: str, target: str, seconds: float) -> None:
        self.injected.append(Injected(kind, target, time.time(), seconds))
