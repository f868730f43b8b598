"""A rolling upgrade: one process of each kind after the other is replaced by newer code, under load, and the newer code
writes an event version that the older code can't read."""

import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from integration.distributed.evidence import (
    assert_acknowledged_once,
    assert_dense,
    assert_rows_tell,
    commits_of,
    rows_of,
)
from integration.distributed.system import Place, System
from integration.distributed.writers import Acknowledged, Writers, writing
from newer_code import newer_code
from running import ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

KINDS = {
    "projector": ("project",),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "commands": ("serve", "command"),
}
IN_ORDER = tuple(KINDS)
"""As `docs/versioning.md` says; backwards, everything that it warns of happens."""

LATE = "not-yet-visible"
"""On a busy machine rows may come later than a query waits."""


class Reader:
    """Reads acknowledged posts, each at least as new as its command, from addresses that may change at any time."""

    def __init__(self, writers: Writers, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.read = 0
        self.refusals: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self._writers = writers
        self._chance = random.Random(1)

    def run(self, stopping: threading.Event) -> None:
        with httpx.Client(timeout=25) as client:
            while not stopping.wait(0.02):
                if acknowledged := self._writers.acknowledged:
                    with suppress(httpx.TransportError):  # of a process that is just being stopped
                        self._read(client, self._chance.choice(acknowledged[-200:]))

    def _read(self, client: httpx.Client, each: Acknowledged) -> None:
        post = f"{self._chance.choice(self.addresses)}/api/v1/posts/{each.post_id}"
        newest = client.get(post, headers={"Postlog-Min-Position": str(each.position)})
        as_of = client.get(post, params={"version": each.version})
        for answer in (newest, as_of, client.get(f"{post}/events")):
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self.refusals[answer.json()["code"]] += 1
            elif answer.is_error:
                self.unexpected.append(f"{answer.status_code} {answer.text}")
            else:
                self.read += 1
        if newest.is_success and newest.json()["version"] < each.version:
            self.unexpected.append(f"older than {each}: {newest.text}")


@contextmanager
def reading(writers: Writers, *addresses: str) -> Iterator[Reader]:
    reader, stopping = Reader(writers, *addresses), threading.Event()
    thread = threading.Thread(target=reader.run, args=(stopping,), daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        stopping.set()
        thread.join(60)


def upgrade(system: System, kind: str, newer: Mapping[str, str], writers: Writers, reader: Reader) -> None:
    """As an orchestrator does it: the older process stops after the newer one is ready and has worked beside it."""
    old, new = kind, f"newer {kind}"
    system.start(new, *KINDS[kind], **newer)
    system.wait_until_ready(new)
    addresses = {"commands": writers.addresses, "queries": reader.addresses}.get(kind, [system.url(old)])
    addresses.append(system.url(new))
    writers.wait_for_more(80)
    addresses.remove(system.url(old))
    assert system[old].signal(signal.SIGTERM, deadline=60) == 0
    writers.wait_for_more(40)


def assert_both_versions_are_stored(place: Place) -> None:
    events = [event for commit in commits_of(place) for event in commit["events"]]
    assert {event["schemaVersion"] for event in events if event["type"] == "PostLiked"} == {2, 3}


def assert_everything_is_in_the_rows(
    system: System, place: Place, acknowledged: list[Acknowledged], newer: Mapping[str, str]
) -> None:
    commits = commits_of(place)
    assert_dense(commits)
    assert_acknowledged_once(commits, acknowledged)
    system.wait_for_lag_0("newer queries", len(commits))
    for _ in ticks(30, "posts are still parked"):
        if system.get("newer queries", "/api/v1/read-db").json()["parked"] == 0:
            break
    rows = rows_of(place)
    assert_rows_tell(rows, acknowledged)
    audited = system.run("audit", "--json", timeout=240, **newer)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    report = json.loads(audited.stdout.splitlines()[-1])
    assert (report["posts"], report["postsThatDiffer"], report["parked"]) == (len(rows), 0, [])
    doctor = system.run("doctor", timeout=240, **newer)
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.parametrize(
    ("order", "refused_queries"),
    [
        pytest.param(IN_ORDER, {LATE}, id="in the documented order"),
        pytest.param(IN_ORDER[::-1], {LATE, "post-parked", "event-not-readable"}, id="writers first"),
    ],
)
def test_older_and_newer_processes_work_side_by_side(
    tmp_path: Path, place: Place, order: tuple[str, ...], refused_queries: set[str]
) -> None:
    newer = newer_code(tmp_path)
    with System(tmp_path, place.settings) as system:
        system.start_all(KINDS)
        with (
            writing(3, system.url("commands"), pause=0.05) as writers,
            reading(writers, system.url("queries")) as reader,
        ):
            writers.wait_for_more(40)
            for kind in order:
                upgrade(system, kind, newer, writers, reader)
            acknowledged = writers.stop()
        assert_everything_is_in_the_rows(system, place, acknowledged, newer)
        assert_both_versions_are_stored(place)
        assert (set(writers.refusals), reader.unexpected) == ({"event-not-readable"}, [])
        assert set(reader.refusals) <= refused_queries
        assert reader.read > 100
        printed = system.printed()
        assert ("is parked from version" in printed) == ("post-parked" in refused_queries)
        assert [words for words in ("bug in Postlog", "Traceback") if words in printed] == []
