"""S6: p50 of a like through `postlog serve command` on MongoDB, one connection, on a post of 10,000 events, on one of a
million (100,000 named likers among them), and on one of ten. The first like of each comes before the clock runs: the
post is in memory then, as one that people use is.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pymongo

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import MAX_EVENTS_PER_COMMIT, ProposedCommit
from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, percentile
from benchmarks.logs import fill_mongo
from benchmarks.rounds import in_turn, require
from benchmarks.serving import Call, load, serve_postlog
from benchmarks.workload import post_id
from domain.events import PostCreated, PostEvent, PostLiked
from domain.ids import PostId
from entrypoints.settings.model import Settings

ROWS = ("S6",)
_SHORT, _LONG, _LONGEST = 10, 10_000, 1_000_000
_LIKES = 300
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def measure(bench: Bench) -> list[Figure]:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    posts = {post_id(number): events for number, events in enumerate((_SHORT, _LONG, bench.size(_LONGEST)), 1)}
    stored = 0
    for post, events in posts.items():
        fill_mongo(log.url.reveal(), log.database, _stream(post, events), stored)
        stored += -(-events // MAX_EVENTS_PER_COMMIT)
    port = serve_postlog(bench.stack, bench.folder, settings, "command")
    likes = bench.size(_LIKES)

    def p50(post: PostId) -> float:
        like = Call(method="POST", path=f"/api/v1/posts/{post}/likes", status=200)
        return percentile(load(port, [[like] * likes]).latencies, 50) * 1_000

    short, long, longest = posts
    short_p50, long_p50, longest_p50 = in_turn(
        bench.rounds, lambda: p50(short), lambda: p50(long), lambda: p50(longest)
    )
    with pymongo.MongoClient[dict[str, Any]](log.url.reveal()) as client:
        for post, events in posts.items():
            last = client[log.database].commits.find_one({"streamId": post}, sort=[("version", -1)])
            require(last and last["version"], events + likes * (bench.rounds + 1), "last version")
    note = f"{likes} likes a round; the last one on {posts[longest]:,} events"
    return [
        Figure(line="S6 10k", ours=long_p50, theirs=short_p50, unit="ms", less_is_better=True),
        Figure(line="S6 1M", ours=longest_p50, theirs=short_p50, unit="ms", less_is_better=True, note=note),
    ]


def _stream(post: PostId, events: int) -> Iterator[ProposedCommit]:
    """One like in ten has a name."""
    codec = MsgspecEventCodec()
    for first in range(1, events + 1, MAX_EVENTS_PER_COMMIT):
        versions = range(first, min(first + MAX_EVENTS_PER_COMMIT, events + 1))
        yield ProposedCommit(
            stream_id=post,
            version=first,
            commit_id=str(uuid5(UUID(post), str(first))),
            recorded_at=NOW,
            metadata={"actor": "ann"},
            events=codec.encode([event_of(version, is_named=version % 10 == 0) for version in versions]),
        )


def event_of(version: int, *, is_named: bool) -> PostEvent:
    if version == 1:
        return PostCreated(author="ann", message="Hello", date_posted=NOW)
    return PostLiked(username=f"user-{version}" if is_named else None)
