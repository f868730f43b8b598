"""kill -9 of a rebuild at any point: the live rows stay as they are, and the next one goes on to the same rows."""

import json
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from application.ports.generations import Build, BuildState
from domain.ids import PostId
from entrypoints.composition.container import container_for
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import load_settings
from running import Running, postlog, ticks

POSTS = 600
COMMITS = POSTS


@asynccontextmanager
async def rows(env: Mapping[str, str]) -> AsyncIterator[ReadDbParts]:
    async with Resources(container_for(load_settings(environ=env).settings)) as resources:
        yield await resources.open_read_db()


async def dump(read_db: ReadDbParts) -> list[str]:
    """Every live row."""
    generation = (await read_db.projection_store.live()).generation
    lines: list[str] = []
    after: PostId | None = None
    while page := await read_db.audit_rows.page(generation, after, 100):
        lines += [repr(each) for each in page]
        after = page[-1].post.post_id
    return lines


def fill(folder: Path, env: Mapping[str, str]) -> None:
    """A log of 600 commits and 2,400 events, and rows of it."""
    file = folder / "posts.ndjson"
    lines = [
        {
            "externalId": f"{n}",
            "author": "Ann",
            "message": f"{n} ß 🙂",
            "datePosted": "2020-01-02T03:04:05Z",
            "likes": 3,
        }
        for n in range(POSTS)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    for words in (("import", str(file)), ("init",), ("rebuild",)):
        done = postlog(*words, env=env)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("engine", ["postgres", pytest.param("sqlite", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("batch", "kills"),
    [
        (7, 1),
        pytest.param(1, 8, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(7, 8, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(1_000, 8, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_a_killed_rebuild_does_not_change_the_live_rows_and_the_next_one_ends_with_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, batch: int, kills: int
) -> None:
    env = {"POSTLOG_DATA": str(tmp_path / "data"), "POSTLOG__REBUILD__BATCH_EVENTS": str(batch)}
    if engine == "postgres":
        url = request.getfixturevalue("fresh_postgres_url")
        env |= {"POSTLOG__READ_DB__ADAPTER": "postgres", "POSTLOG__READ_DB__POSTGRES__URL": url}
    fill(tmp_path, env)
    choice = random.Random(f"{engine} {batch}")
    async with rows(env) as read_db:
        before = await dump(read_db)
        for _ in range(kills):
            await kill_one(tmp_path, env, read_db, choice)
            assert await dump(read_db) == before
            await nobody_holds_the_lock(read_db)
        finished = postlog("rebuild", env=env)
        last = await newest(read_db)
        after = await dump(read_db)

    assert finished.returncode == 0, finished.stderr
    assert (last.state, last.position) == (BuildState.LIVE, COMMITS)
    assert after == before
    assert len(before) == POSTS


async def kill_one(folder: Path, env: Mapping[str, str], read_db: ReadDbParts, choice: random.Random) -> None:
    """One that gets on, or ends, first: then the next begins anew."""
    stood = await newest(read_db)
    until = stood.position + choice.randint(0, COMMITS // 4) if stood.state is BuildState.BUILDING else 0
    with Running(folder, "rebuild", env=env) as rebuilding:
        for _ in ticks(60, rebuilding.printed):
            seen = await newest(read_db)
            if (seen.state is BuildState.BUILDING and seen.position > until) or rebuilding.process.poll() is not None:
                break
        if rebuilding.process.poll() is None:
            os.killpg(rebuilding.process.pid, 9)
            rebuilding.process.wait(10)


async def nobody_holds_the_lock(read_db: ReadDbParts) -> None:
    for _ in ticks(10, "the lock outlives its process"):
        if not await read_db.generations.is_locked():
            return


async def newest(read_db: ReadDbParts) -> Build:
    return (await read_db.generations.builds(1))[0]
