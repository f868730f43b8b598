"""What became of a command, step by step, and when: what readers can ask, and what they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from application.mediator import Query
from application.query_side.log_queries import LoggedCommit


class Step(StrEnum):
    """In this order. DECIDED is the commit's `recordedAt`. VISIBLE: whoever asks for rows of this position gets
    them."""

    RECEIVED = "received"
    DECIDED = "decided"
    DURABLE = "durable"
    PUBLISHED = "published"
    PROJECTED = "projected"
    VISIBLE = "visible"


class Source(StrEnum):
    """How a time is known. LOG: it stands in the log. HERE: this process took the step, and noted when. SEEN: this
    process saw that it was taken, and not long before that it was not. None of these: UNKNOWN."""

    LOG = "log"
    HERE = "here"
    SEEN = "seen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStep:
    """`at` is None when it is not taken yet, and when its time is UNKNOWN. What was SEEN was not so yet at `after`.
    `reached` is the last position for which this step is taken, whichever process takes it; None: not known."""

    step: Step
    taken: bool
    source: Source
    at: datetime | None = None
    after: datetime | None = None
    reached: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTrace:
    """`logged` is None as long as the command is under way in this process. `partition` is the projector's.
    `row_version` is that of the post's row now, None without one; `parked_at` the position from which on it waits."""

    commit_id: str
    logged: LoggedCommit | None
    steps: Sequence[TracedStep]
    partition: int
    generation: int | None
    row_version: int | None
    parked_at: int | None
    problems: Sequence[str]

    @property
    def is_done(self) -> bool:
        """Nothing more happens: it is visible, or its post waits."""
        return self.parked_at is not None or (bool(self.steps) and self.steps[-1].taken)


@dataclass(frozen=True, slots=True)
class TraceCommand(Query[CommandTrace]):
    """Raises `CommitNotFound` when neither the log nor this process knows it, `StoreUnavailable`."""

    commit_id: str
