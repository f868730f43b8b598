"""Commits of some partitions, read from the log by position where the bus did not bring them: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.envelopes import Commit
from application.partitioning import partition_of
from application.pipeline.assembling import PartitionReader


@dataclass(frozen=True, slots=True)
class Span:
    """What is behind the reader's position and up to `until` is read from the log; then the bus is taken up again at
    `offset`."""

    reader: PartitionReader
    until: int
    offset: int

    @property
    def done(self) -> bool:
        return self.reader.position >= self.until


def behind(spans: Sequence[Span]) -> tuple[int, int]:
    """From which position on, and up to which, the spans need the log."""
    return min(span.reader.position for span in spans), max(span.until for span in spans)


def hand_out(page: Sequence[Commit], spans: Mapping[int, Span], partitions: int) -> list[Commit]:
    """The commits of a page of the log that the spans, by partition, lack; their readers move over it. The page begins
    at or before the first position that any of them lacks."""
    lacking: list[Commit] = []
    for commit in page:
        span = spans.get(partition_of(commit.stream_id, partitions))
        if span is not None and span.reader.position < commit.position <= span.until:
            lacking.append(commit)
    for span in spans.values():
        _move(span, page)
    return lacking


def _move(span: Span, page: Sequence[Commit]) -> None:
    reached = min(page[-1].position, span.until) if page else 0
    if reached > span.reader.position:
        span.reader.read_from_log(reached, page[reached - page[0].position])
