"""S17 and S18: from the start of `postlog run` on SQLite to its first acknowledged command; beside granian with a
Litestar hello-world to its first answer; and with a million events stored and projected, beside an empty store.
"""

import asyncio
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.bench import POSTLOG, Bench, environment, provision
from benchmarks.figures import Figure
from benchmarks.logs import fill_sqlite
from benchmarks.rebuilding import rebuild_seconds
from benchmarks.rounds import in_turn, require
from benchmarks.starting import FirstRequest, first_answer_seconds
from benchmarks.workload import commits
from entrypoints.settings.model import Settings
from local.ports import free_port

ROWS = ("S17", "S18")
_EVENTS = 1_000_000
_COMMAND = FirstRequest(method="POST", path="/api/v1/posts", body={"author": "ann", "message": "Hello"}, status=201)
_HELLO = FirstRequest(method="GET", path="/", body=None, status=200)


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    full = bench.sqlite("full")
    asyncio.run(provision(full))
    fill_sqlite(Path(full.event_store.sqlite.path), commits(events))
    rebuild_seconds(full)
    empty, hello, stored = in_turn(
        bench.rounds, lambda: _first_command_in_empty(bench), _first_hello, lambda: _first_command(full)
    )
    with closing(sqlite3.connect(full.event_store.sqlite.path)) as log:
        found = log.execute("SELECT count(*), max(position) FROM commits").fetchone()
    require(found, (events + bench.rounds + 1,) * 2, "commits and last position")
    return [
        Figure(line="S17", ours=empty, theirs=hello, unit="s", less_is_better=True, note="one granian worker, uvloop"),
        Figure(line="S18", ours=stored, theirs=empty, unit="s", less_is_better=True, note=f"{events:,} events stored"),
    ]


def _first_command(settings: Settings) -> float:
    port = free_port()
    return first_answer_seconds([POSTLOG, "run"], {**environment(settings), "PORT": str(port)}, port, _COMMAND)


def _first_command_in_empty(bench: Bench) -> float:
    settings = bench.sqlite("empty")
    seconds = _first_command(settings)
    with closing(sqlite3.connect(settings.event_store.sqlite.path)) as log:
        require(log.execute("SELECT count(*) FROM commits").fetchone(), (1,), "commits")
    shutil.rmtree(bench.folder / "empty")
    return seconds


def _first_hello() -> float:
    port = free_port()
    granian = str(Path(sys.executable).with_name("granian"))
    options = ["--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--port", str(port), "--no-ws"]
    return first_answer_seconds([granian, *options, "benchmarks.hello:app"], os.environ, port, _HELLO)
