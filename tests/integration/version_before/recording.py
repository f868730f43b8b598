"""The history that the fixtures hold: commands over HTTP with their responses, and the queries' responses at the end.

It has every event type, old schema versions included, and a post with an event of a schema version that does not exist
yet. It uses HTTP, the command line and raw documents only, so that any version of Postlog can run it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx

Json = dict[str, Any]

NOON = datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC)
NOON_TEXT = "2026-11-23T12:00:00.123Z"
IMPORTED = {"externalId": "t3_abc", "author": "Eve", "message": "Imported", "datePosted": NOON_TEXT, "likes": 3}
SETTINGS = {"POSTLOG__SNAPSHOTS__EVERY": "5", "POSTLOG__REBUILD__NICENESS": "0"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A command, and how it was answered. `key` is its Idempotency-Key."""

    method: str
    path: str
    body: Json | None
    key: str
    status: int
    answer: Json


@dataclass(frozen=True, slots=True)
class Read:
    """A query, and how it was answered: the JSON, or of a problem its code, since its words may change."""

    path: str
    status: int
    answer: Any


@dataclass(slots=True)
class Recording:
    """`queries` are answers of rows that are up to date; the stored rows are those of `rows_position`."""

    commands: list[Sent] = field(default_factory=list)
    queries: list[Read] = field(default_factory=list)
    position: int = 0
    rows_position: int = 0
    parked: str = ""

    def save(self, path: Path) -> None:
        numbers = {"position": self.position, "rows_position": self.rows_position, "parked": self.parked}
        write_lines(path, [numbers, *map(asdict, self.commands), *map(asdict, self.queries)])

    @classmethod
    def load(cls, path: Path) -> "Recording":
        numbers, *rest = read_lines(path)
        commands = [Sent(**each) for each in rest if "key" in each]
        return cls(commands, [Read(**each) for each in rest if "key" not in each], **numbers)


@dataclass(frozen=True, slots=True)
class RawCommit:
    """As another version of Postlog writes it."""

    stream_id: str
    version: int
    events: Sequence[Json]

    @property
    def commit_id(self) -> str:
        return str(uuid5(NAMESPACE_URL, f"{self.stream_id}/{self.version}"))


def write_lines(path: Path, objects: Iterable[Any], to_json: Callable[..., str] = json.dumps) -> None:
    path.write_text("".join(to_json(each, ensure_ascii=False) + "\n" for each in objects), encoding="utf-8")


def read_lines(path: Path, from_json: Callable[..., Any] = json.loads) -> list[Any]:
    return [from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def event(name: str, schema_version: int, **data: Any) -> Json:
    return {"type": name, "schemaVersion": schema_version, "data": data}


def old_versions() -> list[RawCommit]:
    """Two posts in the shapes of the .NET course's store, the second one removed."""
    kept, removed = (str(uuid5(NAMESPACE_URL, name)) for name in ("kept", "removed"))
    comment = str(uuid5(NAMESPACE_URL, "comment"))
    created = event("PostCreated", 1, author="Carl", message="Old", datePosted=NOON_TEXT)
    commented = event("CommentAdded", 1, commentId=comment, comment="Nice", username="Bob", commentDate=NOON_TEXT)
    edited = event("CommentUpdated", 1, commentId=comment, comment="Very nice", username="Bob", editDate=NOON_TEXT)
    return [
        RawCommit(kept, 1, [created]),
        RawCommit(kept, 2, [event("PostLiked", 1), commented, edited]),
        RawCommit(kept, 5, [event("MessageUpdated", 1, message="Old, edited")]),
        RawCommit(kept, 6, [event("CommentRemoved", 1, commentId=comment)]),
        RawCommit(removed, 1, [created]),
        RawCommit(removed, 2, [event("PostRemoved", 1)]),
    ]


def from_the_future(post_id: str, version: int) -> RawCommit:
    return RawCommit(post_id, version, [event("PostLiked", 3, username="Bob", mood="good")])


class Recorder:
    """Sends commands to `address`, each with a key of its own, and records the responses."""

    def __init__(self, recording: Recording, address: str) -> None:
        self._recording = recording
        self._address = address

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        key = f"recording-{len(self._recording.commands) + 1}"
        answer = request(self._address, method, path, body, key)
        assert answer.is_success, answer.text
        found = answer.json()
        self._recording.commands.append(Sent(method, path, body, key, answer.status_code, found))
        self._recording.position = max(self._recording.position, found["position"])
        return found  # type: ignore[no-any-return]

    def create(self, author: str, message: str) -> str:
        return "/" + str(self.send("POST", "", {"author": author, "message": message})["id"])

    def like(self, post: str, username: str | None) -> None:
        self.send("POST", f"{post}/likes", {"username": username} if username else {})


def first_part(recorder: Recorder) -> tuple[str, str]:
    """Every event type in its current schema version; the paths of a post, and of the one that is to be parked."""
    post = recorder.create("Ann", "Hello, 世界 👋\nsecond line")
    recorder.like(post, "Bob")
    recorder.like(post, "Bob")  # changes nothing: a receipt
    recorder.like(post, None)
    recorder.send("PUT", f"{post}/message", {"username": "Ann", "message": "Hello again"})
    kept = recorder.send("POST", f"{post}/comments", {"username": "Bob", "comment": "Well said"})
    gone = recorder.send("POST", f"{post}/comments", {"username": "Eve", "comment": "Not well said"})
    recorder.send("PUT", f"{post}/comments/{kept['commentId']}", {"username": "Bob", "comment": "Very well said"})
    recorder.send("DELETE", f"{post}/comments/{gone['commentId']}?username=Eve")
    removed = recorder.create("Ann", "Removed later")
    recorder.send("POST", f"{removed}/comments", {"username": "Bob", "comment": "Gone with the post"})
    recorder.send("DELETE", f"{removed}?username=Ann")
    return post, recorder.create("Ann", "Waits for a newer version")


def second_part(recorder: Recorder, post: str) -> None:
    """Written after the rows were stored: they are behind the log by these commits."""
    recorder.send("DELETE", f"{post}/likes/Bob")
    recorder.like(post, "Dan")
    recorder.create("Dan", "Not in the rows yet")


def request(address: str, method: str, path: str, body: Json | None, key: str) -> httpx.Response:
    url, headers = f"{address}/api/v1/posts{path}", {"Idempotency-Key": key}
    return httpx.request(method, url, json=body, headers=headers, timeout=20)


def asked(address: str, path: str) -> Read:
    answer = httpx.get(f"{address}{path}", timeout=20)
    found = answer.json()
    return Read(path, answer.status_code, found if answer.is_success else found["code"])


def queries_of(streams: Mapping[str, int]) -> Iterable[str]:
    """Paths of every kind of query, on the posts of the log by their last versions."""
    posts = "/api/v1/posts"
    yield from (posts, f"{posts}?limit=2", f"{posts}?author=Ann", f"{posts}?hasComments=true", f"{posts}?minLikes=2")
    for post_id, last_version in sorted(streams.items()):
        yield from (f"{posts}/{post_id}", f"{posts}/{post_id}/comments", f"{posts}/{post_id}/events")
        yield from (f"{posts}/{post_id}?version={version}" for version in range(1, last_version + 1))
