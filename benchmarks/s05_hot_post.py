"""S5: 64 people who like one post, each again and again under new names, and the same 64 on 64 posts; through `postlog
serve command` on MongoDB. A 409 makes it a wrong result.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import pymongo

from benchmarks.bench import Bench, opened, provision
from benchmarks.figures import Figure, rate
from benchmarks.rounds import in_turn, require
from benchmarks.serving import Call, load, serve_postlog
from benchmarks.workload import post_id
from benchmarks.writing import Writers
from domain.ids import PostId
from entrypoints.settings.model import Settings

ROWS = ("S5",)
_PEOPLE, _LIKES = 64, 6_400


def measure(bench: Bench) -> list[Figure]:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    asyncio.run(provision(settings))
    posts = asyncio.run(_create(settings, _PEOPLE + 1))
    port = serve_postlog(bench.stack, bench.folder, settings, "command")
    each = bench.size(_LIKES) // _PEOPLE
    names = (f"user-{number}" for number in itertools.count())

    def like(whose: Sequence[PostId]) -> float:
        calls = [[_like(whose[person % len(whose)], next(names)) for _ in range(each)] for person in range(_PEOPLE)]
        return rate(each * _PEOPLE, load(port, calls).seconds)

    ours, theirs = in_turn(bench.rounds, lambda: like(posts[:1]), lambda: like(posts[1:]))
    log = settings.event_store.mongo
    with pymongo.MongoClient[dict[str, Any]](log.url.reveal()) as client:
        likes = client[log.database].commits.find({"streamId": posts[0], "version": {"$gt": 1}}, {"events": 1})
        found = {event["data"]["username"] for commit in likes for event in json.loads(commit["events"])}
    require(len(found), each * _PEOPLE * (bench.rounds + 1), "people who like the one post")
    return [Figure(line="S5", ours=ours, theirs=theirs, unit="likes/s", note=f"{each * _PEOPLE:,} likes a round")]


def _like(post: PostId, username: str) -> Call:
    return Call(method="POST", path=f"/api/v1/posts/{post}/likes", body={"username": username}, status=200)


async def _create(settings: Settings, count: int) -> list[PostId]:
    async with opened(settings) as container:
        await Writers(container.commands(), _PEOPLE, first=0).run_while(lambda begun: begun < count)
    return [post_id(number) for number in range(1, count + 1)]
