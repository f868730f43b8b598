"""S14, embedded: `postlog run` on SQLite; from the answer to a command to the answer to a query for that post that
waits for its position, HTTP included; beside one durable commit into a SQLite file of the same folder.
"""

import http.client
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, percentile
from benchmarks.rounds import in_turn, require
from benchmarks.serving import serve_postlog
from benchmarks.writing import MESSAGE

ROWS = ("S14",)
_COMMANDS, _FEWEST = 500, 200  # a p99 needs some
_POSTS = "/api/v1/posts"
_FILE = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE durable (id INTEGER PRIMARY KEY, text TEXT)"


def measure(bench: Bench) -> list[Figure]:
    commands = max(bench.size(_COMMANDS), _FEWEST)
    port = serve_postlog(bench.stack, bench.folder, bench.sqlite("run"), "run")
    file = bench.folder / "durable.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(_FILE)
    ours, theirs = in_turn(
        bench.rounds, lambda: _visible_p99(port, commands) * 1_000, lambda: _commit_p99(file, commands) * 1_000
    )
    note = f"{commands} commands a round, one after the other"
    return [Figure(line="S14 embedded", ours=ours, theirs=theirs, unit="ms", less_is_better=True, note=note)]


def _visible_p99(port: int, commands: int) -> float:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        return percentile([_visible_seconds(connection) for _ in range(commands)], 99)


def _visible_seconds(connection: http.client.HTTPConnection) -> float:
    body = json.dumps({"author": "ann", "message": MESSAGE})
    connection.request("POST", _POSTS, body, {"Content-Type": "application/json"})
    done = json.load(connection.getresponse())
    started = time.perf_counter()
    connection.request("GET", f"{_POSTS}/{done['id']}", headers={"Postlog-Min-Position": str(done["position"])})
    shown = json.load(connection.getresponse())
    seconds = time.perf_counter() - started
    require((shown.get("postId"), shown.get("message")), (done["id"], MESSAGE), "the post")
    return seconds


def _commit_p99(file: Path, commits: int) -> float:
    taken: list[float] = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for _ in range(commits):
            started = time.perf_counter()
            connection.execute("INSERT INTO durable (text) VALUES (?)", (MESSAGE,))
            taken.append(time.perf_counter() - started)
    return percentile(taken, 99)
