"""`python -m benchmarks.soak [--minutes 10] [--rate 4] [--embedded]`: mixed load on the distributed system (MongoDB,
Kafka, PostgreSQL; a process each for commands, relay, projector and queries) or on `postlog run`, with one rebuild and
one audit in the middle third.

Afterwards `postlog audit` and `postlog events check` must find nothing wrong. In the last third the memory of each
process must be at most 1.1 times what it was in the second sixth, and each p99 at most 1.5 times and 5 ms; on a machine
that does other work there is no verdict on p99. Otherwise, or if a request was answered wrongly, the exit status is 1.
Writes the curves to docs/curves/ and a report to bench-results/.
"""

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import uvloop

from benchmarks.bench import POSTLOG, Bench, SharedServers, environment, new_topic, provision
from benchmarks.figures import percentile
from benchmarks.logs import fill_mongo, fill_sqlite
from benchmarks.machine import load_average, machine
from benchmarks.serving import serve_postlog
from benchmarks.soak_load import Connection, Reader, Shared, Writer, act, first_posts, watch_timers
from benchmarks.svg import Chart, Points, svg
from benchmarks.workload import commits
from entrypoints.settings.model import Bus, Settings
from local.find import Servers
from local.folders import server_folder

CURVES = Path("docs/curves")
_STORED, _FIRST_POSTS = 20_000, 50
_PEOPLE = 12
_WINDOW_SECONDS = 10.0
_CATCH_UP_SECONDS = 300.0

MEMORY_GROWTH = 1.1
P99_FACTOR, P99_MORE_MS = 1.5, 5.0
BUSY_MS = 5.0
TIMERS = "timers of the load generator"
"""Where they are later than `BUSY_MS` at p99, other programs use the machine, and no latency proves anything."""

_RESIDENT = re.compile(rb"^postlog_process_resident_memory_bytes (\S+)", re.MULTILINE)


@dataclass(slots=True)
class Seen:
    """Points by line; x is in seconds, memory in MB, p99 in ms. `jobs` is when which job began."""

    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    p99: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    jobs: dict[float, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    commands: int = 0
    queries: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second of each writer and reader (4)")
    parser.add_argument("--embedded", action="store_true", help="`postlog run` on SQLite, in place of four processes")
    arguments = parser.parse_args()
    minutes: float = arguments.minutes
    before = load_average()
    with Servers() as servers, server_folder() as folder, ExitStack() as stack:
        bench = Bench(SharedServers(servers), folder, 1, False, stack)
        settings = _embedded(bench) if arguments.embedded else _distributed(bench)
        sides = ("run",) if arguments.embedded else ("command", "relay", "project", "query")
        ports = {side: serve_postlog(stack, folder, settings, side, ready_seconds=_CATCH_UP_SECONDS) for side in sides}
        seen = uvloop.run(_soak(settings, ports, minutes * 60, arguments.rate))
        for words in (["audit"], ["events", "check"]):
            done = subprocess.run([POSTLOG, *words], env=environment(settings), capture_output=True, text=True)
            print(done.stdout, end="")
            if done.returncode:
                seen.problems.append(f"`postlog {' '.join(words)}` ended with {done.returncode}: {done.stdout[-500:]}")
    seen.problems += drifts(seen.memory, seen.p99)
    text = _report(seen, f"--minutes {minutes:g} --rate {arguments.rate:g}{' --embedded' * arguments.embedded}", before)
    _write(seen, text)
    print(text)
    return 1 if seen.problems else 0


def _embedded(bench: Bench) -> Settings:
    settings = bench.sqlite("run")
    asyncio.run(provision(settings))
    fill_sqlite(Path(settings.event_store.sqlite.path), commits(_STORED))
    return settings


def _distributed(bench: Bench) -> Settings:
    bus = Bus(adapter="kafka", kafka=new_topic(bench.servers.kafka_bootstrap))
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres(), bus=bus)
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(_STORED))
    return settings


async def _soak(settings: Settings, ports: Mapping[str, int], seconds: float, rate: float) -> Seen:
    seen, shared = Seen(), Shared()
    addresses = list(ports.values())
    to_commands, to_queries = addresses[0], addresses[-1]
    await first_posts(to_commands, shared, _FIRST_POSTS)
    await _caught_up(to_queries, shared)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watch_timers(shared))
        people = [
            tasks.create_task(act(port, who, latencies, shared.wrong, rate))
            for number in range(1, _PEOPLE + 1)
            for port, who, latencies in (
                (to_commands, Writer(number, shared), lambda: shared.commands),
                (to_queries, Reader(number, shared), lambda: shared.queries),
            )
        ]
        jobs = [
            tasks.create_task(_job(settings, words, started, seconds * part, seen))
            for words, part in ((["rebuild"], 0.4), (["audit"], 0.5))
        ]
        while (now := time.perf_counter() - started) < seconds:
            await asyncio.sleep(min(_WINDOW_SECONDS, seconds - now))
            _sample(time.perf_counter() - started, shared, seen)
            await asyncio.to_thread(_sample_memory, time.perf_counter() - started, ports, seen)
        for task in (*people, watch):
            task.cancel()
        await asyncio.wait(jobs)
    await _caught_up(to_queries, shared)
    seen.problems += [f"{count} requests were answered with {what}" for what, count in shared.wrong.items()]
    return seen


def _sample(at: float, shared: Shared, seen: Seen) -> None:
    commands, shared.commands = shared.commands, []
    queries, shared.queries = shared.queries, []
    timers, shared.timers = shared.timers, []
    seen.commands += len(commands)
    seen.queries += len(queries)
    for name, latencies in (("commands", commands), ("queries", queries), (TIMERS, timers)):
        if latencies:
            seen.p99.setdefault(name, []).append((at, percentile(latencies, 99) * 1_000))


def _sample_memory(at: float, ports: Mapping[str, int], seen: Seen) -> None:
    for side, port in ports.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = _RESIDENT.search(answer.read())
        if found is None:
            raise RuntimeError(f"the metrics of {side} have no memory")
        seen.memory.setdefault(side, []).append((at, float(found[1]) / 1e6))


async def _job(settings: Settings, words: Sequence[str], started: float, at: float, seen: Seen) -> None:
    await asyncio.sleep(max(0.0, started + at - time.perf_counter()))
    seen.jobs[time.perf_counter() - started] = " ".join(words)
    process = await asyncio.create_subprocess_exec(
        POSTLOG, *words, env=environment(settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        seen.problems.append(f"`postlog {' '.join(words)}` ended with {process.returncode}: {output.decode()[-500:]}")


async def _caught_up(port: int, shared: Shared) -> None:
    """The rows have the last acknowledged command."""
    connection = Connection(port)
    async with asyncio.timeout(_CATCH_UP_SECONDS):
        while True:
            status, _ = await connection.send("GET", "/api/v1/posts?limit=1", min_position=shared.position)
            if status == 200:
                break
            await asyncio.sleep(0.1)
    connection.close()


def drifts(memory: Mapping[str, Points], p99: Mapping[str, Points]) -> list[str]:
    """One sentence for each line whose last third is worse than its first third by more than the bound. The first
    sixth is not counted: caches fill."""
    found: list[str] = []
    for name, points in memory.items():
        before, after = _thirds(points)
        if after > before * MEMORY_GROWTH:
            found.append(f"the memory of {name} grew from {before:.0f} to {after:.0f} MB")
    for name, points in p99.items():
        before, after = _thirds(points)
        if not is_busy(p99) and after > before * P99_FACTOR + P99_MORE_MS:
            found.append(f"the p99 of {name} grew from {before:.1f} to {after:.1f} ms")
    return found


def is_busy(p99: Mapping[str, Points]) -> bool:
    return TIMERS in p99 and max(_thirds(p99[TIMERS])) > BUSY_MS


def _thirds(points: Points) -> tuple[float, float]:
    """The medians of the second sixth, and of the last third."""
    values = [value for _, value in points]
    return statistics.median(values[len(values) // 6 : max(len(values) // 3, 1)]), statistics.median(
        values[-max(len(values) // 3, 1) :]
    )


def _report(seen: Seen, options: str, before: str) -> str:
    lines = [
        f"- machine: {machine()}",
        f"- date: {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        f"- command: `python -m benchmarks.soak {options}`",
        f"- load average before: {before}; after: {load_average()}",
        f"- {seen.commands:,} commands and {seen.queries:,} queries, on a log that had {_STORED:,} events before",
        "",
        "| | second sixth | last third |",
        "|---|--:|--:|",
    ]
    for what, unit, found in (("memory", "MB", seen.memory), ("p99", "ms", seen.p99)):
        for name, points in found.items():
            first, last = _thirds(points)
            lines.append(f"| {what}, {name} | {first:.1f} {unit} | {last:.1f} {unit} |")
    if is_busy(seen.p99):
        lines += ["", "No verdict on p99: other programs used the machine, so that timers were late."]
    lines += ["", *(seen.problems or ["No problem found; `postlog audit` and `postlog events check` are clean."]), ""]
    return "\n".join(lines)


def _write(seen: Seen, text: str) -> None:
    CURVES.mkdir(exist_ok=True)
    marks = {at / 60: name for at, name in seen.jobs.items()}
    for name, title, unit, found in (
        ("soak-memory", "Soak: resident memory of each process", "MB", seen.memory),
        ("soak-p99", "Soak: p99 of each 10 seconds", "ms", seen.p99),
    ):
        lines = {line: [(at / 60, value) for at, value in points] for line, points in found.items()}
        chart = Chart(title=title, x="minutes", y=unit, lines=lines, marks=marks)
        (CURVES / f"{name}.svg").write_text(svg(chart), encoding="utf-8")
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / f"soak-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
