"""`make torture MINUTES=30 SEED=1`: a distributed Postlog on real servers, under load and one fault after the other.

A round is some seconds with faults drawn from the seed, while clients write and read and jobs run. In the calm after it
everything must come back to a lag of 0; then the simulation's checker compares rows and reads with the log. In the end
it checks every answer that a client got. Requests, answers, faults and the log are written to a folder. A seed gives
the same faults and commands, but not the same run: the machine decides who is faster.

Exit status 0 if no promise was broken, 1 otherwise, 2 if a server is missing.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import uvloop
from pymongo.errors import PyMongoError

from domain.ids import PostId
from integration.distributed.system import Place
from local.find import Servers, ServerUnavailableError
from local.kafka import Listener
from proxy import Proxy
from simulation.checker import History, Newest, Operation, Read, Violation, check_commands, check_reads, require
from torture.clients import Clients, Connection, Lost, NotSent
from torture.faults import Faults, draw_faults
from torture.processes import Processes
from torture.stored import RowsSeen, Snapshot, commits_after, snapshot_of
from torture.translation import check_imports, complete

_ROUND_SECONDS = 20.0
_CALM_SECONDS = 600.0
_DATABASE = "torture"
_LINES_SHOWN, _SECONDS_SHOWN = 60, 15.0
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Campaign:
    """`folder` receives the histories."""

    def __init__(self, seed: int, minutes: float, rate: float, faults_a_round: int, folder: Path) -> None:
        self.seed, self.seconds, self.rate, self.faults_a_round = seed, minutes * 60, rate, faults_a_round
        self.folder = folder
        self.history = History()
        self.rounds = 0
        self.lag_seconds: list[float] = []
        self.reads_checked = self.snapshots_checked = 0
        self.began = time.monotonic()
        self._rows_seen: dict[int, RowsSeen] = {}
        self._reads_seen: dict[int, dict[PostId, Newest]] = {}
        self._snapshots: list[tuple[int, Snapshot]] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._readable_at = 0.0

    async def run(self) -> None:
        """Raises `Violation`, and what servers raise that don't start."""
        with Servers() as servers:
            await self._start(servers)
            try:
                self.clients.start()
                self.began = time.monotonic()
                while time.monotonic() - self.began < self.seconds:
                    await self._while_kept(self._round())
                    print(self.line(), flush=True)
                await self._while_kept(self._check_at_the_end())
            finally:
                self.save()
                self.clients.stop()
                for job in self._jobs:
                    job.cancel()
                self.processes.system.__exit__(None, None, None)
                for proxy in self.faults.proxies.values():
                    await proxy.stop()

    async def _start(self, servers: Servers) -> None:
        loop, proxies = asyncio.get_running_loop(), dict[str, Proxy]()
        self._broken: asyncio.Future[None] = loop.create_future()

        def proxied(name: str, port: int) -> int:
            """From another thread."""
            proxies[name] = asyncio.run_coroutine_threadsafe(Proxy(port).start(), loop).result()
            return proxies[name].port

        listener = Listener("PROXIED", "PLAINTEXT")
        kafka_port = await asyncio.to_thread(proxied, "Kafka", listener.port)
        listener = Listener("PROXIED", "PLAINTEXT", listener.port, kafka_port)
        nodes = await asyncio.to_thread(
            lambda: servers.own_replica_set(3, proxied_by=lambda port: proxied(f"node {len(proxies) - 1}", port))
        )
        kafka = await asyncio.to_thread(servers.own_kafka, [listener])
        postgres = await asyncio.to_thread(servers.own_postgres)
        admin_url = postgres.url.replace("+psycopg", "", 1)
        port = int(re.findall(r":(\d+)/", admin_url)[0])
        postgres_port = await asyncio.to_thread(proxied, "PostgreSQL", port)
        self.mongo_url = nodes.url
        place = Place(
            mongo_url=nodes.url,
            mongo_database=_DATABASE,
            kafka_bootstrap=f"127.0.0.1:{kafka_port}",
            topic=_DATABASE,
            postgres_url=postgres.url,
        )
        self.processes = Processes(
            self.folder, place, admin_url, lambda url: url.replace(f":{port}/", f":{postgres_port}/")
        )
        await asyncio.to_thread(self.processes.start)
        self.faults = Faults(nodes, kafka, postgres, proxies, self.processes)
        ports = [self.processes.port(name) for name in ("command 1", "command 2")]
        self.clients = Clients(
            seed=self.seed,
            rate=self.rate,
            queries=self.rate / 8,
            command_ports=ports,
            query_ports=self.processes.ports_of_queries,
            on_violation=self._fail,
        )

    def _fail(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _while_kept(self, step: Coroutine[Any, Any, None]) -> None:
        """Unless a client, or a job, finds a violation meanwhile."""
        task = asyncio.create_task(step)
        await asyncio.wait([task, self._broken], return_when=asyncio.FIRST_COMPLETED)
        if self._broken.done():
            task.cancel()
            self._broken.result()
        await task

    # A round

    async def _round(self) -> None:
        self.rounds += 1
        random = Random(f"{self.seed} round {self.rounds}")
        self.clients.preferred = random.randrange(2)
        self.clients.go_on()
        started = time.monotonic()
        self._begin_jobs(random)

        async def at(seconds: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
            await asyncio.sleep(started + seconds - time.monotonic())
            await act()

        drawn = draw_faults(random, self.faults_a_round, _ROUND_SECONDS)
        acts = [at(fault.at, lambda fault=fault: self.faults.inject(fault)) for fault in drawn]
        acts.append(at(random.uniform(0, _ROUND_SECONDS), self._take_snapshot))
        await asyncio.gather(*acts)
        await self._calm(time.monotonic())

    def _begin_jobs(self, random: Random) -> None:
        """Some begin in this round; a move may last for several. One of each kind at a time, but rebuilds at any."""
        running = {job.get_name() for job in self._jobs}
        for name, chance, job in (
            ("import", 0.25, lambda: self.processes.import_posts(random)),
            ("rebuild", 0.25, lambda: self.processes.rebuild(random)),
            ("move", 0.1, self.processes.move),
        ):
            if random.random() < chance and name not in running:
                task = asyncio.create_task(job(), name=name)
                self._jobs.add(task)
                task.add_done_callback(self._job_ended)

    def _job_ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    async def _take_snapshot(self) -> None:
        """If PostgreSQL is there."""
        read_db = self.processes.read_db
        with suppress(psycopg.Error):
            self._snapshots.append((read_db.number, await asyncio.to_thread(snapshot_of, read_db.psycopg_url)))

    # A calm

    async def _calm(self, since: float) -> None:
        self.clients.pause()
        last = "nothing was asked yet"
        while (last := await self._what_is_missing()) is not None:
            self.processes.require_alive(*self.processes.services)
            seconds = time.monotonic() - since
            require(seconds < _CALM_SECONDS, "{:.0f} s after the last fault {}", seconds, last)
            await asyncio.sleep(0.25)
        self.lag_seconds.append(time.monotonic() - since)
        self.processes.require_alive(*self.processes.services)
        await self._take_snapshot()
        reads, self.clients.reads = self.clients.reads, []
        snapshots, self._snapshots = self._snapshots, []
        await asyncio.to_thread(self._check, snapshots, reads)

    async def _what_is_missing(self) -> str | None:
        """Until everything is as if there had never been a fault; None: it is."""
        if self.clients.busy:
            return f"{self.clients.busy} clients have no answer"
        if any(job.get_name() == "import" for job in self._jobs):
            return "an import is not finished"
        try:
            await self._read_log()
        except PyMongoError as error:
            return f"the log can't be read: {error}"
        tip = len(self.history.commits)
        if tip < self.clients.position:
            return f"the log ends at {tip}, but {self.clients.position} was acknowledged"
        active = 0
        for name in list(self.processes.services):
            missing, is_active = await self._what_lags(name, tip)
            active += is_active
            if missing is not None:
                return missing
        return None if active == 1 else f"{active} relays are active"

    async def _what_lags(self, name: str, tip: int) -> tuple[str | None, bool]:
        ready = await self._get(name, "/health/ready")
        if ready is None:
            return f"{name} is not ready", False
        if name.startswith("query"):
            status = json.loads(await self._get(name, "/api/v1/read-db") or "{}")
            if (status.get("position"), status.get("lag")) != (tip, 0):
                return f"{name} is at {status}, and the log ends at {tip}", False
        if name.startswith(("relay", "projector")):
            metrics = await self._get(name, "/metrics") or ""
            lag = _metric(metrics, "postlog_relay_lag" if name.startswith("relay") else "postlog_projector_lag")
            return (None if lag == 0 else f"{name} has a lag of {lag}"), _metric(metrics, "postlog_relay_active") == 1
        return None, False

    async def _get(self, name: str, path: str) -> str | None:
        connection = Connection(self.processes.port(name))
        try:
            status, text = await connection.get_text(path)
        except (NotSent, Lost):
            return None
        finally:
            connection.close()
        return text if status == 200 else None

    async def _read_log(self) -> None:
        """A commit can be read from when it was recorded at the earliest, and after all those before it."""
        for commit in await asyncio.to_thread(commits_after, self.mongo_url, _DATABASE, len(self.history.commits)):
            self._readable_at = max(self._readable_at, commit.recorded_at.timestamp())
            self.history.add([commit], self._readable_at)

    def _check(self, snapshots: Sequence[tuple[int, Snapshot]], reads: Sequence[tuple[int, Read]]) -> None:
        for number, snapshot in snapshots:
            self._rows_seen.setdefault(number, RowsSeen()).check(self.history, [snapshot])
        with (self.folder / "reads.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{read} (database {number})\n" for number, read in reads)
        for number in {number for number, _ in reads}:
            of_database = [read for each, read in reads if each == number]
            check_reads(self.history, of_database, self._reads_seen.setdefault(number, {}))
        self.snapshots_checked += len(snapshots)
        self.reads_checked += len(reads)

    # The end

    async def _check_at_the_end(self) -> None:
        while self._jobs:
            self.clients.pause()
            await asyncio.sleep(0.2)
        await self._calm(time.monotonic())
        await asyncio.to_thread(self._check_all)

    def _check_all(self) -> None:
        operations = {each.correlation_id: each for each in self.clients.operations}
        for commit in self.history.commits:
            asked = operations.get(commit.metadata.get("correlationId", ""))
            if asked is not None:
                complete(asked, commit)
        check_commands(self.history, self.clients.operations, {""})
        imported = [commit for commit in self.history.commits if "correlationId" not in commit.metadata]
        check_imports(imported, self.processes.imported)
        env = self.processes.read_db.env
        for words in (["audit"], ["doctor"], ["events", "check"]):
            done = self.processes.system.run(*words, timeout=1_800, **env)
            require(
                done.returncode == 0, "`postlog {}` ended with {}:\n{}", " ".join(words), done.returncode, done.stdout
            )
        wrong = self.processes.wrong_words()
        require(not wrong, "a process printed {}", *wrong[:1])

    # What it says

    def line(self) -> str:
        return (
            f"round {self.rounds}, {time.monotonic() - self.began:.0f} s: {len(self.faults.injected)} faults, "
            f"{self.clients.acknowledged:,} commands acknowledged, {self.reads_checked:,} reads checked, "
            f"lag 0 after {self.lag_seconds[-1]:.1f} s"
        )

    def summary(self, violations: int) -> str:
        kinds = Counter(each.fault for each in self.faults.injected)
        lags = self.lag_seconds or [0.0]
        options = f"MINUTES={self.seconds / 60:g} SEED={self.seed} RATE={self.rate:g} FAULTS={self.faults_a_round}"
        minutes = (time.monotonic() - self.began) / 60
        rows = sum(each.checked for each in self._rows_seen.values())
        lines = (
            f"date: {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            f"command: `make torture {options}`; it took {minutes:.0f} minutes, {self.rounds} rounds",
            f"faults: {len(self.faults.injected):,}: {_counts(kinds)}",
            f"jobs finished meanwhile: {_counts(Counter(self.processes.done))}",
            f"commands: {self.clients.acknowledged:,} acknowledged, {len(self.history.commits):,} commits in the log",
            f"clients: {_counts(self.clients.seen)}",
            f"checked: {self.reads_checked:,} reads, {self.snapshots_checked:,} snapshots of the rows, {rows:,} rows",
            f"time from a round's last fault to lag 0: median {statistics.median(lags):.1f} s, most {max(lags):.1f} s",
            f"violations: {violations}",
        )
        return "\n".join(f"- {line}" for line in lines)

    def save(self) -> None:
        """All histories, as text; beside them lie what the processes printed, and the reads."""
        for name, lines in (
            ("operations", self.clients.operations),
            ("faults", self.faults.injected),
            ("log", self.history.commits),
        ):
            with (self.folder / f"{name}.txt").open("w", encoding="utf-8") as file:
                file.writelines(f"{each}\n" for each in lines)

    def around(self, violation: str) -> list[str]:
        """The operations on the posts that the violation names, and the faults shortly before and after them."""
        posts = set(_UUID.findall(violation))
        concerned: list[Operation] = [each for each in self.clients.operations if each.post_id in posts]
        concerned = concerned[-_LINES_SHOWN:]
        times = [each.invoked for each in concerned] + [float(at) for at in re.findall(r"\b1\d{9}\.\d{3}", violation)]
        low, high = (min(times), max(times)) if times else (time.time() - _SECONDS_SHOWN, time.time())
        faults = [each for each in self.faults.injected if low - _SECONDS_SHOWN <= each.at <= high + _SECONDS_SHOWN]
        return [*map(str, concerned), "faults:", *map(str, faults[-_LINES_SHOWN:])]


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counted.most_common()) or "none"


def _metric(text: str, name: str) -> float | None:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=150.0, help="commands a second (150)")
    parser.add_argument("--faults", type=int, default=16, help=f"in each round of {_ROUND_SECONDS:g} seconds (16)")
    parser.add_argument("--folder", type=Path, default=None, help="for the histories (torture-results/…)")
    given = parser.parse_args(arguments)
    started = datetime.now().astimezone()
    folder: Path = given.folder or Path("torture-results", f"{started:%Y-%m-%d-%H%M%S}-seed-{given.seed}")
    folder.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(given.seed, given.minutes, given.rate, given.faults, folder.resolve())
    violation: str | None = None
    try:
        uvloop.run(campaign.run())
    except ServerUnavailableError as error:
        print(error)
        return 2
    except Violation as error:
        violation = str(error)
    if violation is not None:
        print(f"violation: {violation}")
        for line in campaign.around(violation):
            print(line)
    summary = campaign.summary(int(violation is not None))
    (folder / "summary.md").write_text(f"{summary}\n{violation or ''}\n", encoding="utf-8")
    print(summary)
    print(f"The histories are in {folder}.")
    return int(violation is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
