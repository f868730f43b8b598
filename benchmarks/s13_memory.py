"""S13: the peak memory (VmHWM) of `postlog rebuild`, MongoDB to PostgreSQL, on a log and on one of ten times
its length. Batches are small, so that the shorter log has many, too.
"""

import asyncio
import subprocess
import time
from pathlib import Path

import psycopg

from benchmarks.bench import POSTLOG, Bench, environment, provision
from benchmarks.figures import Figure
from benchmarks.logs import fill_mongo
from benchmarks.rebuilding import check_rows
from benchmarks.rounds import in_turn, require
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.workload import commits, expected
from entrypoints.settings.model import Settings

ROWS = ("S13",)
_EVENTS, _BATCH = 50_000, 5_000
_POLL_SECONDS = 0.01


def measure(bench: Bench) -> list[Figure]:
    events, batch = bench.size(_EVENTS), bench.size(_BATCH)
    short, long = _filled(bench, events), _filled(bench, 10 * events)
    ours, theirs = in_turn(bench.rounds, lambda: _peak_megabytes(long, batch), lambda: _peak_megabytes(short, batch))
    for settings, count in ((short, events), (long, 10 * events)):
        with psycopg.connect(psycopg_url(settings.read_db)) as connection:
            check_rows(connection.execute, expected(commits(count)))
    note = f"{10 * events:,} events against {events:,}, one a commit, --batch {batch}"
    return [Figure(line="S13", ours=ours, theirs=theirs, unit="MB", less_is_better=True, note=note)]


def _filled(bench: Bench, events: int) -> Settings:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(events))
    return settings


def _peak_megabytes(settings: Settings, batch: int) -> float:
    """Not `ru_maxrss`: a child begins with its parent's."""
    command = [POSTLOG, "rebuild", "--restart", "--batch", str(batch)]
    process = subprocess.Popen(command, env=environment(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(_POLL_SECONDS)
    require(process.returncode, 0, "exit status of the rebuild")
    return peak


def high_water(pid: int) -> float:
    """In MB; 0 for a process that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1_024 if found else 0.0
