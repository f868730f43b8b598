"""A log on SQLite, and its read database on SQLite: how the number of events makes rebuild, check and requests slower.
One event a commit, twenty a post. Processor time, which hardly depends on what else the machine does: microseconds an
event, milliseconds a request; `elapsed` beside it.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from application.mediator import CommandContext
from application.query_side.posts import GetPost
from benchmarks.bench import POSTLOG, Bench, environment, opened, provision
from benchmarks.logs import fill_sqlite, repeat_sqlite
from benchmarks.rounds import require
from benchmarks.s13_memory import high_water
from benchmarks.workload import commits, post_id
from benchmarks.writing import new_post
from entrypoints.settings.model import Settings

_AT_ONCE, _REQUESTS = 1_000_000, 300
_FIRST_POST = 50_000_000
_POLL_SECONDS = 0.05


def log_curve(bench: Bench, sizes: Sequence[int]) -> Mapping[float, Mapping[str, float]]:
    found: dict[float, Mapping[str, float]] = {}
    for size in sizes:
        settings = bench.sqlite(str(size))
        asyncio.run(provision(settings))
        started = time.perf_counter()
        log = Path(settings.event_store.sqlite.path)
        fill_sqlite(log, commits(min(size, _AT_ONCE)))
        repeat_sqlite(log, _AT_ONCE, size // _AT_ONCE)
        filled = time.perf_counter() - started
        rebuild, rebuild_processor, memory = _rebuild(settings)
        check, check_processor = _check(settings, size)
        found[size] = {
            "rebuild": rebuild_processor / size * 1e6,
            "events check": check_processor / size * 1e6,
            "rebuild, events/s": size / rebuild,
            "events check, events/s": size / check,
            **asyncio.run(_requests(settings, size)),
            "memory of a rebuild": memory,
            "log, GB": log.stat().st_size / 1e9,
            "rows, GB": Path(settings.read_db.sqlite.path).stat().st_size / 1e9,
            "filled in, s": filled,
        }
    return found


def _rebuild(settings: Settings) -> tuple[float, float, float]:
    """Seconds as the command prints them, those of its processor time, and its peak memory in MB."""
    before = _processor_seconds()
    command = [POSTLOG, "rebuild", "--restart", "--json"]
    # At the priority of everything else: a rebuild makes way otherwise, for as long as something else runs.
    at_once = {**environment(settings), "POSTLOG__REBUILD__NICENESS": "0"}
    process = subprocess.Popen(command, env=at_once, stdout=subprocess.PIPE)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(_POLL_SECONDS)
    output, _ = process.communicate()
    require(process.returncode, 0, "exit status of the rebuild")
    return json.loads(output)["seconds"], _processor_seconds() - before, peak


def _check(settings: Settings, size: int) -> tuple[float, float]:
    """Seconds, and those of its processor time."""
    before, started = _processor_seconds(), time.perf_counter()
    done = subprocess.run([POSTLOG, "events", "check"], env=environment(settings), stdout=subprocess.PIPE, check=False)
    require(done.returncode, 0, f"exit status of the check of {size:,} events")
    return time.perf_counter() - started, _processor_seconds() - before


def _processor_seconds() -> float:
    """Of the processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _requests(settings: Settings, size: int) -> dict[str, float]:
    """One after the other."""
    async with opened(settings) as container:
        commands, reads = [], []
        queries = container.query_dispatcher()
        posts = min(size, _AT_ONCE) // 20
        begun = time.process_time()
        for number in range(_REQUESTS):
            started = time.perf_counter()
            await container.commands().handle(new_post(_FIRST_POST + number), CommandContext(correlation_id="0" * 32))
            commands.append(time.perf_counter() - started)
        between = time.process_time()
        for number in range(_REQUESTS):
            wanted = post_id(1 + number * 7_919 % posts // 10 * 10)  # those of one in ten are never removed
            started = time.perf_counter()
            await queries.ask(GetPost(post_id=wanted))
            reads.append(time.perf_counter() - started)
        ended = time.process_time()
    return {
        "command": (between - begun) / _REQUESTS * 1_000,
        "GET post": (ended - between) / _REQUESTS * 1_000,
        "command, elapsed": statistics.median(commands) * 1_000,
        "GET post, elapsed": statistics.median(reads) * 1_000,
    }
