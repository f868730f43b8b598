"""A rebuild, timed, and its rows compared with what the log should have led to."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.bench import opened
from benchmarks.rounds import WrongResult, require
from benchmarks.workload import ExpectedPost
from entrypoints.settings.model import Settings

Query = Callable[[str], Iterable[tuple[Any, ...]]]


def rebuild_seconds(settings: Settings) -> float:
    return asyncio.run(_rebuild(settings))


async def _rebuild(settings: Settings) -> float:
    """With the connections open, as a service has them."""
    async with opened(settings) as container:
        await container.log().commit_log.tip()
        await container.read_db().generations.builds()
        started = time.perf_counter()
        async for _ in container.rebuild().run():
            pass
        return time.perf_counter() - started


def check_rows(
    query: Query, wanted: Mapping[str, ExpectedPost], posts: str = "posts", comments: str = "comments"
) -> None:
    """Of the views, or of the tables named."""
    live = " WHERE status = 1" if posts != "posts" else ""
    rows = {str(row[0]): row[1:] for row in query(f"SELECT post_id, message, likes, version FROM {posts}{live}")}
    require(len(rows), sum(post.message is not None for post in wanted.values()), "posts")
    found: dict[str, set[str]] = {}
    for post_id, comment_id in query(f"SELECT post_id, comment_id FROM {comments}"):
        found.setdefault(str(post_id), set()).add(str(comment_id))
    for post_id, post in wanted.items():
        if post.message is not None:
            require(rows[post_id], (post.message, post.likes, post.version), f"post {post_id}")
        if found.get(post_id, set()) != post.comments:
            raise WrongResult(f"post {post_id} has other comments than it should")
