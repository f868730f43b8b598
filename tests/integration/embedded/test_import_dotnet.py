"""A user of the .NET course's system moves over: a collection as that system writes it, on a real MongoDB, comes into
the log.
"""

import json
import sqlite3
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import bson
import httpx
import pymongo
import pytest
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from local.databases import MongoDatabase
from running import POSTLOG, embedded, environment, postlog, ticks

RAW = CodecOptions(document_class=RawBSONDocument)
LEGACY, STANDARD = UuidRepresentation.CSHARP_LEGACY, UuidRepresentation.STANDARD
START = datetime(2023, 5, 6, 7, 8, 9, 123_000, UTC)

WHOLE, REMOVED, TWINS, GAP, NONSENSE, MIXED, UNREADABLE = (
    f"{number:08x}-8b86-4011-b42d-00cf4fc964ff" for number in range(1, 8)
)
COMMENT, OTHER_COMMENT = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"


class Collection:
    """Writes as that system's driver does, one document after the other, a minute apart."""

    def __init__(self, client: pymongo.MongoClient[dict[str, Any]], database: str, name: str = "eventStore") -> None:
        self.documents = client[database][name]
        self._minutes = 0

    def add(self, post: str, version: int, event_type: str, *, form: int = LEGACY, **data: Any) -> dict[str, Any]:
        self._minutes += 1
        guid = Binary.from_uuid(UUID(post), form)
        document = {
            "_id": bson.ObjectId(),
            "TimeStamp": START + timedelta(minutes=self._minutes),
            "AggregateIdentifier": guid,
            "AggregateType": "PostAggregate",
            "Version": version,
            "EventType": event_type,
            "EventData": {"_t": event_type, "_id": guid, "Version": version, "Type": event_type, **data},
        }
        self.documents.insert_one(document)
        return document

    def create(self, post: str, message: str = "Hello", *, form: int = LEGACY) -> None:
        posted = START + timedelta(minutes=self._minutes + 1)
        self.add(post, 0, "PostCreatedEvent", form=form, Author="Ann", Message=message, DatePosted=posted)


def comment(form: int, text: str, comment_id: str = COMMENT, **more: Any) -> dict[str, Any]:
    return {"CommentId": Binary.from_uuid(UUID(comment_id), form), "Comment": text, "Username": "Bob", **more}


@pytest.fixture
def collection(fresh_mongo_database: MongoDatabase) -> Any:
    with pymongo.MongoClient[dict[str, Any]](fresh_mongo_database.url, tz_aware=True) as client:
        yield Collection(client, fresh_mongo_database.name)


def fill(collection: Collection) -> dict[str, Any]:
    """All seven events in both forms of GUIDs, a removed post, and every fault; the two documents of the duplicate."""
    add = collection.add
    for post, form in ((WHOLE, LEGACY), (REMOVED, STANDARD)):
        collection.create(post, "日本 👋", form=form)
        add(post, 1, "MessageUpdatedEvent", form=form, Message="Hello again")
        add(post, 2, "PostLikedEvent", form=form)
        add(post, 3, "CommentAddedEvent", form=form, **comment(form, "Nice", CommentDate=START))
        add(post, 4, "CommentUpdatedEvent", form=form, **comment(form, "Nicer", EditDate=START))
        add(post, 5, "CommentAddedEvent", form=form, **comment(form, "Me too", OTHER_COMMENT, CommentDate=START))
        removed = {"CommentId": Binary.from_uuid(UUID(OTHER_COMMENT), form)}
        add(post, 6, "CommentRemovedEvent", form=form, **removed)
    add(REMOVED, 7, "PostRemovedEvent", form=STANDARD)
    collection.create(TWINS)
    first = add(TWINS, 1, "PostLikedEvent")
    second = add(TWINS, 1, "MessageUpdatedEvent", Message="No, this")
    add(TWINS, 2, "PostLikedEvent")
    collection.create(GAP)
    add(GAP, 2, "PostLikedEvent")
    add(NONSENSE, 0, "PostLikedEvent")
    collection.create(MIXED)
    add(MIXED, 1, "PostLikedEvent", form=STANDARD)
    add(MIXED, 2, "PostLikedEvent", form=LEGACY)
    collection.create(UNREADABLE)
    add(UNREADABLE, 1, "MessageUpdatedEvent", Message=None)
    collection.documents.insert_one({"Version": 0, "TimeStamp": START})
    return {"first": first, "second": second}


def run(data: Path, database: MongoDatabase, *arguments: str, **env: str) -> Any:
    return postlog(
        "import-dotnet", database.url, "--database", database.name, *arguments, env={"POSTLOG_DATA": str(data)} | env
    )


def records(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def log_of(data: Path) -> list[tuple[str, int, str, str, int]]:
    """Stream, version, time, event and schema version of every commit, by position."""
    with sqlite3.connect(data / "log.sqlite") as connection:
        rows = connection.execute("SELECT stream_id, version, recorded_at, events FROM commits ORDER BY position")
        found = []
        for stream, version, recorded_at, events in rows:
            [event] = json.loads(events)
            found.append((stream, version, recorded_at, event["type"], event["schemaVersion"]))
        return found


SEVEN = [
    "PostCreated",
    "MessageUpdated",
    "PostLiked",
    "CommentAdded",
    "CommentUpdated",
    "CommentAdded",
    "CommentRemoved",
]


def minutes(count: int) -> str:
    return (START + timedelta(minutes=count)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_collection_with_every_event_and_every_fault(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    twins = fill(collection)
    data = tmp_path / "data"

    done = run(data, fresh_mongo_database, "--json")

    assert done.returncode == 1, done.stderr
    *skipped, summary, audit = records(done.stdout)
    where = {"log": f"sqlite {data / 'log.sqlite'}", "readDb": f"sqlite {data / 'read.sqlite'}"}
    assert summary == {"documents": 28, "imported": 18, "present": 0, "leftOut": 5, "position": 18, **where}
    assert (audit["posts"], audit["postsThatDiffer"], audit["position"]) == (3, 0, 18)
    reasons = {each.get("postId"): each["reason"] for each in skipped}
    assert reasons == {
        None: "its AggregateIdentifier is not a GUID",
        TWINS: "2 events have version 2",
        GAP: "the event with version 2 is missing",
        NONSENSE: (
            f"the event with version 1 can't be applied: PostLiked for post {NONSENSE}, which does not exist or was "
            "removed."
        ),
        UNREADABLE: "the event with version 2 can't be read: its Message is null, not text",
    }
    [both] = [each["events"] for each in skipped if each.get("postId") == TWINS]
    assert both == [
        {
            "documentId": str(twins["first"]["_id"]),
            "version": 2,
            "recordedAt": minutes(17),
            "type": "PostLiked",
            "data": {},
        },
        {
            "documentId": str(twins["second"]["_id"]),
            "version": 2,
            "recordedAt": minutes(18),
            "type": "MessageUpdated",
            "data": {"message": "No, this"},
        },
    ]
    assert log_of(data) == [
        *[(WHOLE, n, minutes(n), event, 1) for n, event in enumerate(SEVEN, 1)],
        *[(REMOVED, n, minutes(7 + n), event, 1) for n, event in enumerate([*SEVEN, "PostRemoved"], 1)],
        *[
            (MIXED, n, minutes(22 + n), event, 1)
            for n, event in enumerate(["PostCreated", "PostLiked", "PostLiked"], 1)
        ],
    ]


def test_the_service_goes_on_with_what_was_imported(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    fill(collection)
    data = tmp_path / "data"
    assert run(data, fresh_mongo_database).returncode == 1
    with embedded(data) as (_, address):
        posts = f"{address}/api/v1/posts"
        liked = httpx.post(f"{posts}/{WHOLE}/likes", json={"username": "Eve"})
        assert (liked.status_code, liked.json()["version"]) == (200, 8)
        newest = {"Postlog-Min-Position": str(liked.json()["position"])}
        whole = httpx.get(f"{posts}/{WHOLE}", headers=newest).json()
        assert {k: whole[k] for k in ("author", "message", "likes", "version", "datePosted")} == {
            "author": "Ann",
            "message": "Hello again",
            "likes": 2,
            "version": 8,
            "datePosted": minutes(1),
        }
        assert [(each["commentId"], each["comment"], each["edited"]) for each in whole["comments"]] == [
            (COMMENT, "Nicer", True)
        ]
        assert httpx.get(f"{posts}/{REMOVED}", headers=newest).status_code == 404
        history = httpx.get(f"{posts}/{REMOVED}/events").json()["events"]
        assert [each["storedType"] for each in history] == [*SEVEN, "PostRemoved"]
        assert httpx.put(f"{posts}/{REMOVED}/message", json={"message": "x", "username": "Ann"}).status_code == 409
        for post in (TWINS, GAP, NONSENSE, UNREADABLE):
            assert httpx.get(f"{posts}/{post}/events").status_code == 404, post

    again = run(data, fresh_mongo_database, "--json")
    *_, summary, audit = records(again.stdout)
    assert (again.returncode, summary["imported"], summary["present"]) == (1, 0, 18)
    assert audit["postsThatDiffer"] == 0


def test_a_removed_post_stays_removed_however_its_version_was_saved(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    for post in (REMOVED, MIXED):
        collection.create(post)
    collection.add(REMOVED, 1.0, "PostRemovedEvent")  # type: ignore[arg-type] # as a shell or a script saves numbers
    collection.add(MIXED, Decimal128("1"), "PostRemovedEvent")  # type: ignore[arg-type]
    data = tmp_path / "data"

    done = run(data, fresh_mongo_database)

    assert done.returncode == 0, done.stdout
    assert [(post, event) for post, _, _, event, _ in log_of(data)] == [
        (REMOVED, "PostCreated"),
        (MIXED, "PostCreated"),
        (REMOVED, "PostRemoved"),
        (MIXED, "PostRemoved"),
    ]


def test_a_post_is_imported_whole_or_not_at_all(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    """What is unreadable of a post may be its removal."""
    posts = [f"{number:08x}-8b86-4011-b42d-00cf4fc964ff" for number in range(1, 8)]
    for post in [*posts, WHOLE.replace("8b86", "aaaa")]:
        collection.create(post)
    removal = collection.add(posts[0], 1, "PostRemovedEvent")
    collection.documents.update_one({"_id": removal["_id"]}, {"$set": {"Version": 1.5}})
    damaged = [collection.add(post, 1, "PostRemovedEvent")["_id"] for post in posts[1:6]]
    for document, change in zip(
        damaged,
        (
            {"Version": "1"},
            {"TimeStamp": "yesterday"},
            {"AggregateIdentifier": None},
            {"EventType": "PostRemoved"},
            {"EventData._id": Binary.from_uuid(UUID(posts[6]), LEGACY)},
        ),
        strict=True,
    ):
        collection.documents.update_one({"_id": document}, {"$set": change})
    bad_text = bson.encode(collection.add(NONSENSE.replace("8b86", "bbbb"), 0, "PostRemovedEvent") | {"x": "damaged"})
    raw = bad_text.replace(b"damaged", b"dam\xffged")
    collection.documents.delete_one({"_id": bson.decode(bad_text)["_id"]})
    collection.documents.with_options(RAW).insert_one(RawBSONDocument(raw))

    done = run(tmp_path / "data", fresh_mongo_database, "--json")

    *skipped, summary, _ = records(done.stdout)
    assert done.returncode == 1
    assert {each["postId"] for each in skipped} == {*posts, NONSENSE.replace("8b86", "bbbb")}
    reasons = {each["postId"]: each["reason"] for each in skipped}
    assert "it holds text that is not UTF-8" in reasons[NONSENSE.replace("8b86", "bbbb")]
    assert all(reasons.values())
    assert [stream for stream, *_ in log_of(tmp_path / "data")] == [WHOLE.replace("8b86", "aaaa")]
    assert summary["leftOut"] == 8


def test_whoever_was_an_author_there_can_act_here(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    """Rules for new names do not bind names that are in the log."""
    authors = {WHOLE: " Ann ", REMOVED: "", TWINS: "x" * 500, GAP: "Ann\u202e"}
    for post, author in authors.items():
        collection.add(post, 0, "PostCreatedEvent", Author=author, Message="Hello", DatePosted=START)
        collection.add(
            post, 1, "CommentAddedEvent", **comment(LEGACY, "Nice", CommentDate=START) | {"Username": author}
        )
    data = tmp_path / "data"
    assert run(data, fresh_mongo_database).returncode == 0
    with embedded(data) as (_, address):
        for post, author in authors.items():
            at = f"{address}/api/v1/posts/{post}"
            name = {"username": author}
            answers = [
                httpx.put(f"{at}/message", json=name | {"message": "Mine"}),
                httpx.put(f"{at}/comments/{COMMENT}", json=name | {"comment": "Mine too"}),
                httpx.request("DELETE", f"{at}/comments/{COMMENT}", params=name),
                httpx.request("DELETE", at, params=name),
            ]
            assert [answer.status_code for answer in answers] == [200] * 4, (author, [each.text for each in answers])
        stranger = httpx.post(f"{address}/api/v1/posts", json={"author": " Ann ", "message": "x"})
        assert stranger.status_code == 422


@pytest.mark.parametrize("way", ["--url-file", "POSTLOG_DOTNET__MONGO_URL", "POSTLOG_DOTNET__MONGO_URL_FILE"])
def test_the_address_can_come_from_where_nobody_else_sees_it(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase, way: str
) -> None:
    collection.create(WHOLE)
    file = tmp_path / "url"
    file.write_text(f"{fresh_mongo_database.url}\n")
    env = {"POSTLOG_DATA": str(tmp_path / "data")}
    if way.startswith("POSTLOG"):
        env[way] = str(file) if way.endswith("FILE") else fresh_mongo_database.url
    arguments = ["--url-file", str(file)] if way == "--url-file" else []
    done = postlog("import-dotnet", *arguments, "--database", fresh_mongo_database.name, env=env)
    assert done.returncode == 0, done.stderr
    assert len(log_of(tmp_path / "data")) == 1


def test_the_older_of_two_is_taken_on_request(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    collection.create(TWINS)
    collection.add(TWINS, 1, "PostLikedEvent")
    collection.add(TWINS, 1, "MessageUpdatedEvent", Message="No, this")
    collection.add(TWINS, 2, "PostLikedEvent")
    data = tmp_path / "data"

    done = run(data, fresh_mongo_database, "--on-duplicate", "first")

    assert done.returncode == 0, done.stderr
    assert f"{TWINS}  the oldest of 2 events with version 2 was taken" in done.stdout
    assert [event for *_, event, _ in log_of(data)] == ["PostCreated", "PostLiked", "PostLiked"]
    assert "4 documents: 3 events imported, 0 already present; 0 posts or documents skipped." in done.stdout
    assert "1 posts checked at position 3: no differences." in done.stdout


def test_it_works_beside_a_running_service_and_can_be_run_again_when_there_is_more(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    collection.create(WHOLE)
    data = tmp_path / "data"
    with embedded(data) as (running, address):
        assert run(data, fresh_mongo_database).returncode == 0
        collection.add(WHOLE, 1, "PostLikedEvent")
        collection.create(MIXED)
        done = run(data, fresh_mongo_database, "--json")
        assert done.returncode == 0, done.stderr
        summary = {"documents": 3, "imported": 2, "present": 1, "leftOut": 0, "position": 3}
        assert summary.items() <= records(done.stdout)[0].items()
        for _ in ticks(20, running.printed):
            found = httpx.get(f"{address}/api/v1/posts").json()["posts"]
            if len(found) == 2:
                break
        assert {each["postId"]: each["likes"] for each in found} == {WHOLE: 1, MIXED: 0}


def test_without_a_read_database_the_import_is_done_and_says_that_it_was_not_audited(
    tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase
) -> None:
    collection.create(WHOLE)
    away = {
        "POSTLOG__READ_DB__ADAPTER": "postgres",
        "POSTLOG__READ_DB__POSTGRES__URL": "postgresql+psycopg://ann:s3cr3t@127.0.0.1:1/postlog",
    }
    done = run(tmp_path / "data", fresh_mongo_database, **away)
    assert done.returncode == 0, done.stderr
    assert "1 documents: 1 events imported" in done.stdout
    assert "Not audited: " in done.stderr
    assert "Run `postlog audit` when that is fixed." in done.stderr
    assert "s3cr3t" not in done.stderr
    assert len(log_of(tmp_path / "data")) == 1


def test_into_a_log_on_mongodb(tmp_path: Path, collection: Collection, fresh_mongo_database: MongoDatabase) -> None:
    fill(collection)
    log = f"{fresh_mongo_database.name}_log"
    env = {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__URL": fresh_mongo_database.url,
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": log,
    }
    try:
        without_keys = run(tmp_path, fresh_mongo_database, **env)
        assert without_keys.returncode == 2
        assert "run `postlog init`" in without_keys.stderr
        assert postlog("init", env=env | {"POSTLOG_DATA": str(tmp_path)}).returncode == 0

        assert run(tmp_path, fresh_mongo_database, "--json", **env).returncode == 1
        again = records(run(tmp_path, fresh_mongo_database, "--json", **env).stdout)

        summary = {"documents": 28, "imported": 0, "present": 18, "leftOut": 5, "position": 18}
        assert summary.items() <= again[-2].items()
        assert again[-1]["postsThatDiffer"] == 0
        stored = collection.documents.database.client[log]["commits"]
        removed = stored.find_one({"streamId": REMOVED, "version": 8})
        assert removed is not None
        assert removed["recordedAt"] == START + timedelta(minutes=15)
        assert json.loads(removed["events"]) == [{"type": "PostRemoved", "schemaVersion": 1, "data": {}}]
    finally:
        collection.documents.database.client.drop_database(log)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--collection", "events"], "has no events in {name}.events; select another one with --database and"),
        (["--on-duplicate", "second"], "Invalid value for '--on-duplicate'"),
    ],
)
def test_a_wrong_name_is_said(
    tmp_path: Path, fresh_mongo_database: MongoDatabase, arguments: list[str], sentence: str
) -> None:
    done = run(tmp_path, fresh_mongo_database, *arguments)
    assert done.returncode == 2
    assert sentence.format(name=fresh_mongo_database.name) in done.stderr


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "mongodb://ann:s3cr3t@127.0.0.1:1/",
            "Error: The source, MongoDB at mongodb://ann:***@127.0.0.1:1/ (--url-file), has no",
        ),
        ("postgres://ann:s3cr3t@h/", "--url-file must begin with mongodb://"),
    ],
)
def test_a_source_that_is_away_is_said_without_its_password(tmp_path: Path, url: str, sentence: str) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    done = postlog("import-dotnet", "--url-file", str(file), env={"POSTLOG_DATA": str(tmp_path)})
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout


def test_a_password_on_the_command_line_is_refused(tmp_path: Path) -> None:
    url = "mongodb://ann:s3cr3t@127.0.0.1:1/"
    done = postlog("import-dotnet", url, env={"POSTLOG_DATA": str(tmp_path)})
    assert done.returncode == 2
    assert "MONGO_URL contains a password, and every user of this machine can read command lines" in done.stderr
    assert "--url-file FILE" in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout


def long_messages(collection: Collection, posts: int) -> None:
    """Posts with messages of 3,000 characters and a comment of 500 each."""
    minute = iter(range(10 * posts))
    for begin in range(0, posts, 1_000):
        documents: list[dict[str, Any]] = []
        for number in range(begin, min(begin + 1_000, posts)):
            guid = Binary.from_uuid(uuid5(NAMESPACE_OID, f"{number}"), LEGACY)
            message = f"{number} " + "word " * 600
            commented = comment(LEGACY, "word " * 100, str(uuid4()), CommentDate=START)
            for version, event_type, data in (
                (
                    0,
                    "PostCreatedEvent",
                    {"Author": "Ann", "Message": message, "DatePosted": START},
                ),
                (1, "CommentAddedEvent", commented),
            ):
                documents.append(
                    {
                        "TimeStamp": START + timedelta(minutes=next(minute)),
                        "AggregateIdentifier": guid,
                        "AggregateType": "PostAggregate",
                        "Version": version,
                        "EventType": event_type,
                        "EventData": {"_t": event_type, "_id": guid, "Version": version, "Type": event_type, **data},
                    }
                )
        collection.documents.insert_many(documents)


def peak_memory(pid: int) -> int:
    """In kB, so far. A child's `ru_maxrss` begins with what its parent used."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_an_import_and_its_audit_take_bounded_memory(
    collection: Collection, fresh_mongo_database: MongoDatabase, tmp_path: Path
) -> None:
    """In a container of 250 MB: 30,000 posts, a hundred megabytes of text."""
    long_messages(collection, 30_000)
    arguments = ["import-dotnet", fresh_mongo_database.url, "--database", fresh_mongo_database.name, "--json"]
    with (tmp_path / "printed").open("wb") as printed:
        importing = subprocess.Popen(
            [POSTLOG, *arguments],
            env=environment({"POSTLOG_DATA": str(tmp_path / "data")}),
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        peak = 0
        while importing.poll() is None:
            peak = max(peak, peak_memory(importing.pid))
            time.sleep(0.05)
    lines = (tmp_path / "printed").read_text().splitlines()
    assert importing.returncode == 0, lines[-20:]
    assert any('"differences": []' in line or '"differences":[]' in line or '"posts"' in line for line in lines), lines
    assert 50_000 < peak < 250_000
