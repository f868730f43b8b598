"""Commits that do not follow those before them are found in whatever pieces, and in whatever order, a log is read."""

import random

import pytest

from application.envelopes import CommitEvents, StoredEvent
from application.maintenance import events_check as module
from application.maintenance.events_check import StreamLinks, StreamReader
from domain.ids import PostId

LIKED = StoredEvent("PostLiked", 2, {"username": None})


def post(number: int) -> PostId:
    return PostId(f"0198c0de-0000-7000-8000-{number:012x}")


def commit(position: int, stream: int, version: int, events: int = 1) -> CommitEvents:
    return CommitEvents(position, post(stream), version, str(position), (LIKED,) * events)


def whole_log(seed: int, streams: int = 40, commits: int = 600) -> list[CommitEvents]:
    drawn = random.Random(seed)
    ends = dict.fromkeys(range(streams), 0)
    log = []
    for position in range(1, commits + 1):
        stream, events = drawn.randrange(streams), drawn.randint(1, 3)
        log.append(commit(position, stream, ends[stream] + 1, events))
        ends[stream] += events
    return log


def broken(log: list[CommitEvents], seed: int, workers: int = 3, page: int = 50) -> list[int]:
    """Pages in a random order, each read by some worker."""
    drawn = random.Random(seed)
    readers = [StreamReader() for _ in range(workers)]
    links = StreamLinks()
    pages = [log[begin : begin + page] for begin in range(0, len(log), page)]
    drawn.shuffle(pages)
    for each in pages:
        reader = drawn.choice(readers)
        for part in each:
            reader.follow(part.position, part.stream_id, part.version, len(part.events))
        links.add(reader.take())
    for reader in readers:
        links.add(reader.take_all())
    return list(links.broken())


@pytest.fixture(params=[3, 200_000], autouse=True)
def _remembered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", request.param)
    monkeypatch.setattr(module, "_KEPT", 100)


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_log_has_none(seed: int) -> None:
    assert broken(whole_log(seed), seed) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_commit_behind_a_gap_is_found(seed: int) -> None:
    log = whole_log(seed)
    gone = log.pop(random.Random(seed).randrange(len(log) // 2))
    following = [each.position for each in log if each.stream_id == gone.stream_id and each.version > gone.version]
    assert broken(log, seed) == following[:1]


@pytest.mark.parametrize("seed", range(20))
def test_a_commit_inside_another_and_one_without_events_are_found(seed: int) -> None:
    log = whole_log(seed)
    twice = next(each for each in log if len(each.events) == 3)
    log.append(CommitEvents(len(log) + 1, twice.stream_id, twice.version + 1, "inside", (LIKED,)))
    log.append(commit(len(log) + 1, 1_000, 1, events=0))
    assert broken(log, seed) == [len(log) - 1, len(log)]
