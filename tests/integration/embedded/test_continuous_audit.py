"""`postlog audit --continuous`: a worker that finds what somebody has changed by hand, tells it, and stops with 0."""

import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from running import Running, embedded, postlog, ticks


def metric(address: str, name: str) -> float:
    found = re.search(rf"^postlog_{name} (\S+)$", httpx.get(f"{address}/metrics", timeout=20).text, re.MULTILINE)
    return float(found.group(1)) if found else -1.0


def test_it_exports_what_differs_until_it_is_mended_and_ends_with_0(tmp_path: Path):
    env = {"POSTLOG_DATA": str(tmp_path), "POSTLOG__WORKER__PORT": "0"}
    with embedded(tmp_path) as (service, api), Running(tmp_path, "audit", "--continuous", env=env) as worker:
        created = httpx.post(f"{api}/api/v1/posts", json={"author": "Ann", "message": "Hello"}, timeout=20).json()
        newest = {"Postlog-Min-Position": str(created["position"])}
        httpx.get(f"{api}/api/v1/posts/{created['id']}", headers=newest, timeout=20)
        address = worker.address(60)
        for _ in ticks(60, worker.printed):
            if metric(address, "audit_passes_total") > 0 and metric(address, "audit_posts_compared_total") > 0:
                break
        ready = httpx.get(f"{address}/health/ready", timeout=20).status_code
        before = metric(address, "audit_posts_that_differ")
        change_by_hand(tmp_path, created["id"])
        for _ in ticks(60, worker.printed):
            if metric(address, "audit_posts_that_differ") == 1:
                break
        mended = postlog("audit", "--repair", env={"POSTLOG_DATA": str(tmp_path)})
        for _ in ticks(60, worker.printed):
            if metric(address, "audit_posts_that_differ") == 0:
                break
        status = worker.signal(signal.SIGTERM)
        assert service.process.poll() is None

    assert (ready, before, mended.returncode, status) == (200, 0.0, 1, 0)
    assert f"post {created['id']} differs from the log in message" in worker.printed
    assert f"post {created['id']} matches the log again" in worker.printed
    assert worker.printed.count("differs from the log") == 1


def change_by_hand(data: Path, post_id: str) -> None:
    with closing(sqlite3.connect(data / "read.sqlite", timeout=20)) as connection, connection:
        changed = connection.execute("UPDATE posts_a SET message = 'Forged' WHERE post_id = ?", (post_id,)).rowcount
    assert changed == 1


def test_what_does_not_go_together_is_refused(tmp_path: Path):
    env = {"POSTLOG_DATA": str(tmp_path)}
    both = postlog("audit", "--continuous", "--repair", env=env)
    port = postlog("audit", "--port", "0", env=env)
    assert (both.returncode, port.returncode) == (2, 2)
    assert "--continuous logs its findings; it takes no --sample, --repair or --json." in both.stderr
    assert "--host and --port are for --continuous" in port.stderr
