"""The audit of a service that people write to, while the partitions of its topic are projected to different positions:
it reports what was planted, nothing else, and the repair mends it."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest

from integration.distributed.evidence import assert_rows_tell, commits_of, rows_of
from integration.distributed.system import PARTITIONS, Place, System
from integration.distributed.writers import Acknowledged, writing
from running import Running, ticks

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
    "second projector": ("project",),
}
APART = 50
"""Positions, between the partition that is furthest and the one that is least far."""

PLANTED: dict[str, tuple[LiteralString, set[str]]] = {
    "a changed field": ("UPDATE posts_a SET message = 'Forged' WHERE post_id = %s", {"message"}),
    "a wrong like count": ("UPDATE posts_a SET likes = likes + 1 WHERE post_id = %s", {"likes"}),
    "a missing post": ("DELETE FROM posts_a WHERE post_id = %s", {"row", "comments"}),
    "a stale version": (
        "UPDATE posts_a SET version = 3 WHERE post_id = %s",
        {"version", "likes", "comments_count", "comments"},
    ),
    "a missing comment": ("DELETE FROM comments_a WHERE post_id = %s", {"comments"}),
    "a resurrected removed post": (
        "UPDATE posts_a SET status = 1, message = 'Here again' WHERE post_id = %s",
        {"status", "message"},
    ),
    "an extra post": (
        "INSERT INTO posts_a SELECT %s, 1, 'Eve', now(), 'Hi', 0, 0, 1, 'eve'",
        {"row"},
    ),
}
"""Each on a post of its own: what is done to it, and the fields that the audit has to name."""


@pytest.mark.long
def test_the_audit_finds_what_is_wrong_and_nothing_else_while_partitions_stand_apart(tmp_path: Path, place: Place):
    with System(tmp_path, place.settings) as system:
        system.start_all(SERVICES)
        with writing(2, system.url("commands"), pause=0.1) as writers:
            writers.wait_for_more(8 * len(PLANTED))
            posts = posts_for_each_fault(system, writers.acknowledged)
            for _ in ticks(30, "the second projector has no partition"):
                if "projecting partitions [" in system["second projector"].printed.replace("[]", ""):
                    break
            with hanging(system["second projector"]):
                wait_until_apart(place)
                plant(place, posts)
                found = system.run("audit", "--json")
                assert differences(found.stdout) == {posts[kind]: fields for kind, (_, fields) in PLANTED.items()}
                repaired = system.run("audit", "--json", "--repair")
                after = system.run("audit", "--json")
            acknowledged = writers.stop()
        system.wait_for_lag_0("queries", len(commits_of(place)))
        at_rest = system.run("audit", "--json")

        assert [found.returncode, repaired.returncode] == [1, 1]
        assert [line["problem"] for line in lines(repaired.stdout) if "repaired" in line] == [None] * len(PLANTED)
        for audited in (after, at_rest):
            assert differences(audited.stdout) == {}
            assert audited.returncode == 0
        removed = posts["a resurrected removed post"]
        assert_rows_tell(rows_of(place), [each for each in acknowledged if each.post_id != removed])
        assert rows_of(place).keys().isdisjoint({removed, posts["an extra post"]})


def posts_for_each_fault(system: System, acknowledged: Sequence[Acknowledged]) -> dict[str, str]:
    """By the fault's name: finished posts whose last event every partition has passed, one of them removed; and an id
    that no post has."""
    finished = [each for each in acknowledged if each.event == "CommentAdded"]
    posts = {kind: each.post_id for kind, each in zip(PLANTED, finished, strict=False)}
    posts["an extra post"] = str(uuid4())
    address = f"{system.url('commands')}/api/v1/posts/{posts['a resurrected removed post']}"
    author = next(each.effect for each in acknowledged if each.post_id == posts["a resurrected removed post"])
    told = httpx.delete(address, params={"username": f"writer {author.split()[1].split('-')[0]}"}, timeout=20)
    assert told.status_code == httpx.codes.OK, told.text
    read = system.get("queries", "/api/v1/posts", **{"Postlog-Min-Position": str(told.json()["position"])})
    assert read.status_code == httpx.codes.OK, read.text
    return posts


@contextmanager
def hanging(projector: Running) -> Iterator[None]:
    """It does not move, and its partitions stay where they are until the group gives them to the other one; then it is
    killed."""
    projector.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        projector.kill()


def wait_until_apart(place: Place) -> None:
    for _ in ticks(30, f"the partitions are not {APART} positions apart"):
        with psycopg.connect(place.psycopg_url) as connection:
            reached = [position for (position,) in connection.execute("SELECT position FROM checkpoints")]
        if len(reached) == PARTITIONS and max(reached) - min(reached) >= APART:
            return


def plant(place: Place, posts: dict[str, str]) -> None:
    with psycopg.connect(place.psycopg_url) as connection:
        for kind, (statement, _) in PLANTED.items():
            assert connection.execute(statement, (posts[kind],)).rowcount == 1, kind


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def differences(printed: str) -> dict[str, set[str]]:
    """The fields that differ, by post; a comment by the word alone."""
    found: dict[str, set[str]] = {}
    for line in lines(printed):
        if "field" in line:
            found.setdefault(line["postId"], set()).add(line["field"].split("[")[0])
    return found
