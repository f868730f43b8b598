"""The processes of Postlog: services, which run all the time, and jobs: imports, rebuilds, and moves of the service to
another read database."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar
from uuid import uuid4

import psycopg

from integration.distributed.system import Place, System
from simulation.checker import require

T = TypeVar("T")

_SERVICES = {
    **dict.fromkeys(("command 1", "command 2"), ("serve", "command")),
    **dict.fromkeys(("relay 1", "relay 2"), ("relay",)),
}
_OF_READ_DB = {
    **dict.fromkeys(("projector 1", "projector 2"), ("project",)),
    **dict.fromkeys(("query 1", "query 2"), ("serve", "query")),
}
_DONE, _WRONG_DATA = 0, 1
_JOB_SECONDS, _TRIES = 1_200.0, 60
NEVER_PRINTED = ("bug in Postlog", "Traceback", "never retrieved")


@dataclass(frozen=True, slots=True)
class ReadDb:
    """`url` is for Postlog, through the proxy; `psycopg_url` for the checker."""

    number: int
    url: str
    psycopg_url: str

    @property
    def env(self) -> dict[str, str]:
        return {"POSTLOG__READ_DB__POSTGRES__URL": self.url}

    def names(self, kind: str = "") -> list[str]:
        return [f"{name} of {self.number}" for name in _OF_READ_DB if name.startswith(kind)]


class Processes:
    """`admin_url` is PostgreSQL's, for psycopg, without the proxy; `proxied` puts the proxy's port into such a URL."""

    def __init__(self, folder: Path, place: Place, admin_url: str, proxied: Callable[[str], str]) -> None:
        more = {
            "POSTLOG__SNAPSHOTS__EVERY": "50",
            "POSTLOG__LOG__LEVEL": "warning",
            "POSTLOG__RELAY__LEASE_SECONDS": "5",  # renewing one takes seconds on a busy machine
        }
        self.system = System(folder / "processes", place.settings | more)
        self._folder = folder
        self._admin_url, self._proxied = admin_url, proxied
        self._databases = 0
        self.services: list[str] = []
        self.busy: set[str] = set()
        """Services and servers that a fault has now."""
        self._jobs: set[str] = set()
        self.read_db = self._new_database()
        self.imported: dict[str, int] = {}
        """Likes by message."""
        self.done: list[str] = []
        """Kinds of jobs that were finished."""

    def start(self) -> None:
        """Returns when all are ready."""
        self.system.init(**self.read_db.env)
        for name, words in _SERVICES.items():
            self.system.start(name, *words)
            self.services.append(name)
        self._start_around(self.read_db)
        self.system.wait_until_ready(*self.services, deadline=600)

    def port(self, name: str) -> int:
        return int(self.system.url(name).rpartition(":")[2])

    def pid(self, name: str) -> int:
        return self.system[name].process.pid

    def kill(self, name: str) -> None:
        self.system.kill(name)

    def again(self, name: str) -> None:
        self.system.again(name)

    def require_alive(self, *names: str) -> None:
        for name in names:
            status = self.system[name].process.poll()
            require(status is None, "{} ended by itself with status {}", name, status)

    @property
    def running_jobs(self) -> list[str]:
        return sorted(name for name in self._jobs if self.system[name].process.poll() is None)

    # Jobs

    async def import_posts(self, random: Random) -> None:
        """Until it is finished, however often it is killed."""
        number = len(self.imported)
        lines = [
            {
                "externalId": f"post-{number + n}",
                "author": "importer",
                "message": f"Imported {number + n}",
                "datePosted": "2020-01-01T10:00:00Z",
                "likes": random.choice((0, 3, 40, 1_200)),
            }
            for n in range(40)
        ]
        file = self._folder / f"import-{number}.ndjson"
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        self.imported |= {str(line["message"]): int(str(line["likes"])) for line in lines}
        await self._finish("import", "import", str(file))
        self.done.append("import")

    async def rebuild(self, random: Random) -> None:
        restart = ["--restart"] if random.random() < 0.5 else []
        read_db = self.read_db
        status = await self._run("rebuild", "rebuild", *restart, **read_db.env)
        if status == _DONE:
            self.done.append("rebuild")

    async def move(self) -> None:
        """As docs/operations.md has it: fill the other one, project into it, serve from it, leave the old one."""
        old, new = self.read_db, await self._insist(self._new_database)
        await self._finish("move", "init", **new.env)
        await self._finish("move", "rebuild", **new.env)
        await asyncio.to_thread(self._start_around, new)
        await self._insist(lambda: self.system.wait_until_ready(*new.names(), deadline=60))
        self.read_db = new
        await asyncio.sleep(2.0)
        for name in old.names():
            self.services.remove(name)
        while self.busy.intersection(old.names()):
            await asyncio.sleep(0.1)
        for name in old.names():
            self.require_alive(name)
            await asyncio.to_thread(self.kill, name)
        self.done.append("move")

    async def _finish(self, name: str, *words: str, **env: str) -> None:
        for _ in range(_TRIES):
            if await self._run(name, *words, **env) == _DONE:
                return
        require(False, "`postlog {}` did not succeed in {} runs", " ".join(words), _TRIES)

    async def _run(self, kind: str, *words: str, **env: str) -> int:
        """Its exit status; negative if it was killed."""
        name = f"{kind} of {uuid4().hex[:6]}"
        running = await asyncio.to_thread(lambda: self.system.start(name, *words, **env))
        self._jobs.add(name)
        try:
            async with asyncio.timeout(_JOB_SECONDS):
                while (status := running.process.poll()) is None:
                    await asyncio.sleep(0.1)
        finally:
            self._jobs.discard(name)
        require(status != _WRONG_DATA, "`postlog {}` found wrong data:\n{}", " ".join(words), running.printed[-3000:])
        return status

    async def _insist(self, act: Callable[[], T]) -> T:
        """While servers are away."""
        for _ in range(_TRIES):
            with suppress(psycopg.Error, AssertionError, OSError):
                return await asyncio.to_thread(act)
            await asyncio.sleep(1.0)
        return await asyncio.to_thread(act)

    # Read databases

    def _new_database(self) -> ReadDb:
        name = f"read_{uuid4().hex[:8]}"
        with psycopg.connect(self._admin_url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        direct = f"{self._admin_url.rpartition('/')[0]}/{name}"
        self._databases += 1
        return ReadDb(self._databases, self._proxied(direct).replace("postgresql:", "postgresql+psycopg:"), direct)

    def _start_around(self, read_db: ReadDb) -> None:
        for name, (kind, words) in zip(read_db.names(), _OF_READ_DB.items(), strict=True):
            assert name.startswith(kind)
            self.system.start(name, *words, **read_db.env)
            self.services.append(name)

    def ports_of_queries(self) -> tuple[int, Sequence[int]]:
        return self.read_db.number, [self.port(name) for name in self.read_db.names("query")]

    def wrong_words(self) -> list[str]:
        """What no process may print, with its beginning."""
        printed = self.system.printed()
        return [printed[max(0, at - 300) : at + 1_500] for words in NEVER_PRINTED if (at := printed.find(words)) >= 0]
