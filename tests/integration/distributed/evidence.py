"""What log and rows hold, read past Postlog: by pymongo from the log, by psycopg from the views."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
import pymongo

from integration.distributed.system import Place
from integration.distributed.writers import Acknowledged

Commit = dict[str, Any]
_EFFECT = {"PostCreated": "message", "PostLiked": "username", "CommentAdded": "comment"}


def commits_of(place: Place) -> list[Commit]:
    """With plain events, in place of their text."""
    with pymongo.MongoClient[Commit](place.mongo_url, timeoutMS=20_000) as client:
        found = client[place.mongo_database].commits.find().sort("_id")
        return [commit | {"events": json.loads(commit["events"])} for commit in found]


def assert_dense(commits: Sequence[Commit]) -> None:
    """Positions, and versions of every post, are 1, 2, 3 …; no commit is there twice."""
    assert [commit["_id"] for commit in commits] == list(range(1, len(commits) + 1))
    ends: Counter[str] = Counter()
    for commit in commits:
        assert commit["version"] == ends[commit["streamId"]] + 1, commit
        ends[commit["streamId"]] += len(commit["events"])
    assert len({commit["commitId"] for commit in commits}) == len(commits)


def assert_acknowledged_once(commits: Sequence[Commit], acknowledged: Sequence[Acknowledged]) -> None:
    """Each acknowledged command is where its answer said, its effect is in the log once, and the writers sent nothing
    else: imported likes have no username, imported messages another beginning."""
    for each in acknowledged:
        commit = commits[each.position - 1]
        last = commit["version"] + len(commit["events"]) - 1
        assert (commit["streamId"], last) == (each.post_id, each.version), each
    effects = Counter(
        (commit["streamId"], event["type"], text)
        for commit in commits
        for event in commit["events"]
        if (text := event["data"][_EFFECT[event["type"]]]) is not None and not text.startswith("Imported")
    )
    told = Counter((each.post_id, each.event, each.effect) for each in acknowledged)
    assert (effects - told, told - effects) == (Counter(), Counter())


def rows_of(place: Place) -> dict[str, tuple[str, int, int, list[str]]]:
    """Message, likes, version and the comments of every post, by its id."""
    with psycopg.connect(place.psycopg_url) as connection:
        comments: dict[str, list[str]] = {}
        for post_id, comment in connection.execute("SELECT post_id::text, comment FROM comments ORDER BY comment_date"):
            comments.setdefault(post_id, []).append(comment)
        posts = connection.execute("SELECT post_id::text, message, likes, version FROM posts")
        return {
            post_id: (message, likes, version, comments.get(post_id, [])) for post_id, message, likes, version in posts
        }


def assert_rows_tell(rows: dict[str, tuple[str, int, int, list[str]]], acknowledged: Sequence[Acknowledged]) -> None:
    """What the writers were told, counted without Postlog's own fold."""
    by_post: dict[str, list[Acknowledged]] = {}
    for each in acknowledged:
        by_post.setdefault(each.post_id, []).append(each)
    for post_id, commands in by_post.items():
        message = next(each.effect for each in commands if each.event == "PostCreated")
        likes = sum(each.event == "PostLiked" for each in commands)
        comments = [each.effect for each in commands if each.event == "CommentAdded"]
        assert rows[post_id] == (message, likes, len(commands), comments)


def imported_likes(rows: dict[str, tuple[str, int, int, list[str]]]) -> dict[str, int]:
    """Likes by message, of imported posts."""
    return {message: likes for message, likes, _, _ in rows.values() if message.startswith("Imported")}
