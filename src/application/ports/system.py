"""What this process offers to all rooms: time, new ids, metrics, traces, and the memory of what happened lately."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC, truncated to whole milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, for durations and deadlines."""
        ...


class Ids(Protocol):
    def new(self) -> str:
        """A UUIDv7 as lower-case text: later ids sort later."""
        ...


class Metrics(Protocol):
    """Names are in snake_case; the adapter adds the prefix `postlog_`."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        """Set a value that goes up and down. It is dropped after `good_for` seconds, unless it is set again."""
        ...

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Record a duration in seconds."""
        ...


class Step(StrEnum):
    """What a span may be of; its name begins with it."""

    REQUEST = "request"
    COMMAND = "command"
    LOAD = "load"
    DECIDE = "decide"
    APPEND = "append"
    PUBLISH = "publish"
    PROJECT = "project"
    QUERY = "query"
    READ_ROWS = "read rows"
    REBUILD = "rebuild"
    REBUILD_STEP = "rebuild step"
    AUDIT = "audit"


class Span(Protocol):
    """A step of one trace, or of several."""

    @property
    def traceparent(self) -> str:
        """By it another process continues the trace below this span (W3C Trace Context)."""
        ...

    def set(self, **attributes: str | float | None) -> None:
        """None is left out."""
        ...

    def rename(self, subject: str) -> None:
        """When the subject is known only now."""
        ...

    def fail(self, error: str) -> None:
        """Mark it as failed; `error` is a code or a type."""
        ...


class Tracer(Protocol):
    """Distributed traces. Each method opens a span for a block. An error that leaves the block is recorded by its code
    or type, not by its message, and marks the span as failed unless it is a refusal. `subject` tells steps of one kind
    apart.

    Spans go to another system, so attributes hold ids, positions and counts: no names, no texts, no secrets. Attributes
    are named in snake_case; the adapter gives them the names that OpenTelemetry expects. A `traceparent` may come from
    anywhere: an invalid one counts as None.
    """

    def span(
        self,
        step: Step,
        subject: str = "",
        *,
        parent: str | None = None,
        inner: bool = False,
        **attributes: str | float | None,
    ) -> AbstractContextManager[Span]:
        """Below the span of the block around it, else below `parent`, a traceparent, else the first of a new trace.
        `inner`: only in the block of another span, else there is no span."""
        ...

    def shared(
        self, step: Step, traceparents: Iterable[str | None], **attributes: str | float | None
    ) -> AbstractContextManager[Span]:
        """A step that was taken once for several traces, like the write of a group: a span below each of these
        traceparents, all of them with the same times and attributes, and linked. Without any, the first of a new trace.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """None: the step did not happen in this process, or longer ago than the journal keeps."""

    received: datetime | None
    durable: datetime | None
    published: datetime | None
    projected: datetime | None


class Journal(Protocol):
    """When the steps of a command happened in this process, for the trace of a command. Recording is cheap, and only
    the latest steps are kept. Other processes have journals of their own.
    """

    def record_received(self, commit_id: str) -> None:
        """A command arrived whose commit, if it makes one, has this id. A repeated command has the same id."""
        ...

    def record_durable(self, first: int, last: int) -> None:
        """The store acknowledged a write of this process whose commits are between these positions."""
        ...

    def record_published(self, after: int, position: int) -> None:
        """The bus acknowledged the commits after `after` and up to `position`."""
        ...

    def record_projected(self, partition: int, after: int, position: int) -> None:
        """The rows have this partition's commits after `after` and up to `position`: the transaction is committed."""
        ...

    def times(self, commit_id: str, position: int, partition: int) -> StepTimes:
        """For the commit at this position, whose post belongs to this partition. `durable` is known only if `received`
        is, because other processes' commits may be between the positions of a write.
        """
        ...


class RowsMoved(Protocol):
    """A projector in this process signals queries that wait for a position."""

    @property
    def position(self) -> int | None:
        """The highest position that a projector of this process has written; None: none has written yet. Rows may be
        older, since other partitions may be behind, and newer, since other processes project, too.
        """
        ...

    def notify(self, position: int | None = None) -> None:
        """Wake all waiting queries. `position` is what was written, if the rows moved on."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return at the next `notify`, at the latest after `timeout` seconds."""
        ...
