"""`postlog events check` on MongoDB: each of its processes has a client of its own."""

import asyncio
import logging
from collections.abc import Iterator
from itertools import islice

import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProvisioning
from domain.ids import PostId
from entrypoints.cli import main
from local.databases import MongoDatabase as Place
from old_shapes import COMMENTED, CREATED, commits, event


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """The verb sets up logging for its process, which is pytest's here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


NEWER = event("PostLiked", 3, username="Bob", mood="good")


async def fill(place: Place) -> None:
    posts = (
        each
        for number in range(500)
        for each in commits(
            [[CREATED], [COMMENTED], [event("PostLiked", 1)], [NEWER if number == 9 else event("PostLiked", 1)]],
            PostId(f"0198c0de-0000-7000-8000-{number:012x}"),
        )
    )
    async with MongoDatabase(place.url, place.name) as database:
        await MongoProvisioning(database).provision()
        while page := list(islice(posts, 1_000)):
            await MongoEventStore(database).append(page)


def test_the_log_is_read_by_several_processes(
    fresh_mongo_database: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill(fresh_mongo_database))
    monkeypatch.setenv("POSTLOG__EVENT_STORE__ADAPTER", "mongo")
    monkeypatch.setenv("POSTLOG__EVENT_STORE__MONGO__URL", fresh_mongo_database.url)
    monkeypatch.setenv("POSTLOG__EVENT_STORE__MONGO__DATABASE", fresh_mongo_database.name)

    assert main.run(["events", "check", "--processes", "2"]) == 1
    assert capsys.readouterr().out == (
        "event         version         events  unreadable\n"
        "CommentAdded        1            500           0\n"
        "PostCreated         1            500           0\n"
        "PostLiked           1            999           0\n"
        "PostLiked           3              1           1\n"
        "2,000 events in 2,000 commits: 1 commit can't be read by this version.\n"
        "position 40: Event 4 of post 0198c0de-0000-7000-8000-000000000009 (PostLiked, schema version 3): this "
        "version of Postlog reads up to schema version 2; run a newer one.\n"
        f"Log: mongo {fresh_mongo_database.url}, database {fresh_mongo_database.name}.\n"
    )
