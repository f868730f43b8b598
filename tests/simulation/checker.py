"""Whether what clients were told, and what readers saw, can be true of the log as it is in the end.

Every check is sound: a run in which nothing is wrong never fails one. Where the exact moment of an answer is not known,
it is enough that there is one between question and answer at which the answer was true.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from application.envelopes import Commit
from application.partitioning import partition_of
from application.ports.read_db import Checkpoint, LiveGeneration, ParkedStream
from application.rows import CommentRow, PostRow, PostStatus
from domain.commands import AddComment, PostCommand
from domain.ids import CommentId, PostId
from simulation.model import EVENTS, NO_POST, NOTHING, Model, answer_all, fold

_STATUS = {"none": PostStatus.EMPTY, "live": PostStatus.LIVE, "removed": PostStatus.REMOVED}


class Violation(AssertionError):
    """A promise was broken."""


def require(holds: object, sentence: str, *parts: object) -> None:
    if not holds:
        raise Violation(sentence.format(*parts))


@dataclass(slots=True)
class Operation:
    """What a client asks for, with all its attempts: from `invoked` to `returned`. Several commands become one commit.
    `outcome` is "ok", "fail" (with `code`) or "unknown"."""

    number: int
    commands: Sequence[PostCommand]
    correlation_id: str
    key: str | None
    expected_version: int | None
    invoked: float
    returned: float = 0.0
    outcome: str = "unknown"
    code: str = ""
    version: int = 0
    position: int = 0
    comment_id: CommentId | None = None
    reuses: "Operation | None" = None
    """Another operation, whose key this one has, with another digest."""
    refused_twins: Sequence[str] = ()
    """Codes of refusals of the same request, sent at the same time."""
    in_doubt: bool = False
    """An earlier attempt, whose outcome is unknown, may still take effect after the answer (docs/adr/0015)."""

    @property
    def post_id(self) -> PostId:
        return self.commands[0].post_id

    def __str__(self) -> str:
        told = f"{self.outcome} {self.code}" if self.outcome != "ok" else f"version {self.version} at {self.position}"
        key = f" key {self.key}" if self.key else ""
        expected = f" if-match {self.expected_version}" if self.expected_version is not None else ""
        times = f"{self.invoked:7.3f} to {self.returned:7.3f} s"
        return f"{times}  #{self.number} {list(self.commands)}{key}{expected}: {told}"


@dataclass(slots=True)
class Read:
    """A query for a post. `outcome` is "ok", "absent" or the code of an error."""

    number: int
    post_id: PostId
    min_position: int | None
    invoked: float
    returned: float = 0.0
    outcome: str = ""
    post: PostRow | None = None
    comments: Sequence[CommentRow] | None = None

    def __str__(self) -> str:
        version = f" version {self.post.version}" if self.post else ""
        asked = f"read {self.post_id} from {self.min_position}"
        return f"{self.invoked:7.3f} to {self.returned:7.3f} s  #{self.number} {asked}: {self.outcome}{version}"


@dataclass(slots=True)
class Newest:
    """The highest value by a time; values are added in the order of their times."""

    _times: list[float] = field(default_factory=list)
    _values: list[int] = field(default_factory=list)

    def add(self, time: float, value: int) -> None:
        self._times.append(time)
        self._values.append(max(value, self._values[-1] if self._values else 0))

    def before(self, time: float) -> int:
        """0: there was none yet."""
        index = bisect_left(self._times, time)
        return self._values[index - 1] if index else 0


@dataclass(slots=True)
class Stream:
    """A post's history: `versions[i]` is the last version of its commit at `positions[i]`, `states[i]` the post."""

    versions: list[int] = field(default_factory=lambda: [0])
    positions: list[int] = field(default_factory=lambda: [0])
    states: list[Model] = field(default_factory=lambda: [NO_POST])

    def at_version(self, version: int) -> Model | None:
        index = bisect_right(self.versions, version) - 1
        return self.states[index] if self.versions[index] == version else None

    def at_position(self, position: int) -> int:
        """The last version at or before the position."""
        return self.versions[bisect_right(self.positions, position) - 1]

    def between(self, low: int, high: int) -> Iterator[tuple[int, Model]]:
        """From version `low` to `high`."""
        return ((v, s) for v, s in zip(self.versions, self.states, strict=True) if low <= v <= high)

    @property
    def stuck_at(self) -> int | None:
        """The index of the first commit that rows can't have."""
        return next((i for i, state in enumerate(self.states) if state.stuck), None)


class History:
    """The log so far, folded. `foreign` are the correlation ids of commits that no client asked for."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.streams: dict[PostId, Stream] = {}
        self.visible_at: list[float] = []

    def add(self, commits: Sequence[Commit], at: float) -> None:
        for commit in commits:
            require(
                commit.position == len(self.commits) + 1, "position {} after {}", commit.position, len(self.commits)
            )
            stream = self.streams.setdefault(commit.stream_id, Stream())
            require(
                commit.version == stream.versions[-1] + 1,
                "post {}: version {} after {}",
                commit.stream_id,
                commit.version,
                stream.versions[-1],
            )
            post = stream.states[-1]
            for event in commit.events:
                post = fold(post, event.type, event.data)
            stream.versions.append(commit.last_version)
            stream.positions.append(commit.position)
            stream.states.append(post)
            self.commits.append(commit)
            self.visible_at.append(at)

    def stream(self, post_id: PostId) -> Stream:
        return self.streams.get(post_id) or Stream()

    def known_at(self, time: float) -> int:
        """The newest position that could be read by then."""
        return bisect_right(self.visible_at, time)


def row_of(post_id: PostId, version: int, post: Model) -> PostRow:
    return PostRow(
        post_id,
        _STATUS[post.status],
        post.author,
        datetime.fromisoformat(post.date),
        post.message,
        post.likes,
        len(post.comments),
        version,
    )


def comments_of(post_id: PostId, post: Model) -> dict[CommentId, CommentRow]:
    return {
        CommentId(key): CommentRow(post_id, CommentId(key), writer, text, datetime.fromisoformat(date), edited)
        for key, (text, writer, date, edited) in post.comments.items()
    }


def check_row(history: History, row: PostRow, comments: Mapping[CommentId, CommentRow]) -> None:
    """The row is the post at its version, and no event before that is one that rows can't have."""
    post = history.stream(row.post_id).at_version(row.version)
    require(post is not None, "a row of post {} has version {}, which ends no commit", row.post_id, row.version)
    assert post is not None
    require(post.stuck is None, "post {} has a row past the event that can't be applied", row.post_id)
    expected = row_of(row.post_id, row.version, post)
    require(row == expected, "the row is {}, and should be {}", row, expected)
    require(dict(comments) == comments_of(row.post_id, post), "the comments of {} are {}", row, comments)


def check_checkpoints(
    history: History,
    live: LiveGeneration,
    checkpoints: Mapping[int, Checkpoint],
    rows: Mapping[PostId, PostRow],
    parked: Mapping[PostId, ParkedStream],
) -> None:
    """Whatever a checkpoint claims is in the rows, or waits."""
    for checkpoint in checkpoints.values():
        require(checkpoint.position <= len(history.commits), "{} is beyond the log", checkpoint)
        at = checkpoint.commit_position
        named = history.commits[at - 1].commit_id if at else ""
        require(named == checkpoint.commit_id, "{} names another commit than the log", checkpoint)
    for post_id, stream in history.streams.items():
        at_partition = checkpoints.get(partition_of(post_id, live.partitions))
        if at_partition is None:
            continue
        due = stream.at_position(at_partition.position)
        found = rows[post_id].version if post_id in rows else 0
        waits = parked[post_id].waiting_version if post_id in parked else 0
        require(
            max(found, waits) >= due, "{} claims version {} of {}; the row has {}", at_partition, due, post_id, found
        )


def check_parked(history: History, parked: Mapping[PostId, ParkedStream]) -> None:
    """Only for a reason, and at the event that is the reason."""
    for post_id, each in parked.items():
        stream = history.stream(post_id)
        index = stream.stuck_at
        require(index is not None, "{} is parked without a reason", each)
        assert index is not None
        found = (each.position, each.version, each.code)
        expected = (stream.positions[index], stream.versions[index - 1] + 1, stream.states[index].stuck)
        require(found == expected, "{} is parked at {}, and should be at {}", each, found, expected)


@dataclass(slots=True)
class Acknowledged:
    """What clients had been told by a time: positions, and versions of each post."""

    positions: Newest = field(default_factory=Newest)
    versions: dict[PostId, Newest] = field(default_factory=dict)


def check_commands(history: History, operations: Sequence[Operation], foreign: set[str]) -> None:
    by_correlation = {each.correlation_id: each for each in operations}
    commits: dict[str, Commit] = {}
    for commit in history.commits:
        asked = commit.metadata.get("correlationId", "")
        if asked in foreign:
            continue
        require(asked in by_correlation, "nobody asked for {}", commit)
        require(
            asked not in commits, "{} had two effects: {} and {}", by_correlation[asked], commits.get(asked), commit
        )
        commits[asked] = commit
        _check_effect(history, by_correlation[asked], commit)
    acknowledged = Acknowledged()
    for each in sorted((each for each in operations if each.outcome == "ok"), key=lambda each: each.returned):
        acknowledged.positions.add(each.returned, each.position)
        acknowledged.versions.setdefault(each.post_id, Newest()).add(each.returned, each.version)
    for each in operations:
        _check_answer(history, each, commits.get(each.correlation_id), acknowledged)


def _check_effect(history: History, operation: Operation, commit: Commit) -> None:
    """The commit is what the command asked for, and what the rules allow after what was before it."""
    require(operation.outcome != "fail" or operation.in_doubt, "{}, but it is in the log: {}", operation, commit)
    require(operation.reuses is None, "{} reused a key and is in the log: {}", operation, commit)
    require(commit.stream_id == operation.post_id, "{} is in another stream: {}", operation, commit)
    require(history.visible_at[commit.position - 1] >= operation.invoked, "{} is older than its request", operation)
    before = history.stream(commit.stream_id).at_version(commit.version - 1)
    assert before is not None
    allowed, events = answer_all(operation.commands, before)
    require(allowed == EVENTS, "{} was stored at version {}, but the rules say {}", operation, commit.version, allowed)
    expected = operation.expected_version
    require(expected in (None, commit.version - 1) or commit.version == 1, "{} ignored If-Match: {}", operation, commit)
    stored = [(event.type, dict(event.data)) for event in commit.events]
    require(stored == events, "{} is stored as {}", operation, stored)


def _check_answer(history: History, operation: Operation, commit: Commit | None, acknowledged: Acknowledged) -> None:
    if operation.outcome == "unknown":
        return
    post_id = operation.post_id
    stream = history.stream(post_id)
    low = acknowledged.versions.get(post_id, Newest()).before(operation.invoked)
    high = stream.at_position(history.known_at(operation.returned))
    if operation.outcome == "fail":
        if commit is not None:  # of another attempt: what the request itself led to is no reason to refuse it
            high = min(high, commit.version - 1)
        _check_refusal(operation, stream, low, high)
        return
    require(
        operation.position <= history.known_at(operation.returned), "{}, which the log did not have then", operation
    )
    stored = history.commits[operation.position - 1] if operation.position else None
    require(
        stored is not None and (stored.stream_id, stored.last_version) == (post_id, operation.version),
        "{}, but the log has {} there",
        operation,
        stored,
    )
    require(operation.reuses is None, "{} had the key of another request, and was not refused", operation)
    is_of_earlier_attempt = commit is not None and operation.in_doubt and operation.version < commit.version
    if commit is not None and not is_of_earlier_attempt:
        require(stored == commit, "{}, but it is {}", operation, commit)
        newest = acknowledged.positions.before(operation.invoked)
        _check_twins(operation, stream, commit)
        require(commit.position > newest, "{} came after {} was acknowledged", operation, newest)
        first = operation.commands[0]
        wanted = first.comment_id if isinstance(first, AddComment) else None
        told_right = len(operation.commands) > 1 or operation.comment_id == wanted
        require(told_right, "{} was told comment {}", operation, operation.comment_id)
        return
    state = stream.at_version(operation.version)
    assert state is not None, operation
    require(
        operation.version >= low, "{} rests on version {}, but {} was acknowledged", operation, operation.version, low
    )
    said, _ = answer_all(operation.commands, state)
    require(said == NOTHING, "{} was acknowledged without a commit, but the rules say {}", operation, said)


def _check_twins(operation: Operation, stream: Stream, commit: Commit) -> None:
    """What the request itself led to is no reason to refuse it."""
    for code in operation.refused_twins:
        if code not in ("write-conflict", "version-mismatch", "event-not-readable"):
            said = [answer_all(operation.commands, state)[0] for _, state in stream.between(0, commit.version - 1)]
            require(code in said, "{} was refused, too, with {}: before it, the rules say {}", operation, code, said)


def _check_refusal(operation: Operation, stream: Stream, low: int, high: int) -> None:
    """There is a version between question and answer at which it is so."""
    code, expected = operation.code, operation.expected_version
    states = list(stream.between(low, high))
    match code:
        case "write-conflict":
            return
        case "idempotency-key-reused":
            require(operation.reuses is not None, "{} did not reuse a key", operation)
        case "version-mismatch":
            require(
                operation.version != expected and any(version == operation.version for version, _ in states),
                "{}: the post was at versions {} to {}",
                operation,
                low,
                high,
            )
        case "event-not-readable":
            require(any(state.stuck == code for _, state in states), "{}: every event is readable", operation)
        case _:
            said = [answer_all(operation.commands, state)[0] for _, state in states]
            require(code in said, "{}: at versions {} to {} the rules say {}", operation, low, high, said)


def check_reads(history: History, reads: Sequence[Read], seen: dict[PostId, Newest] | None = None) -> None:
    """No read is older than its position, and none is older than one that had ended before it began. `seen` are the
    versions of earlier reads, to which these are added."""
    seen = {} if seen is None else seen
    for read in sorted(reads, key=lambda each: each.returned):
        if read.outcome not in ("ok", "absent"):
            _check_error(history, read)
            continue
        stream = history.stream(read.post_id)
        earlier = seen.setdefault(read.post_id, Newest())
        low = max(earlier.before(read.invoked), stream.at_position(read.min_position or 0))
        high = stream.at_position(history.known_at(read.returned))
        if read.outcome == "absent":
            hidden = [version for version, state in stream.between(low, high) if state.status != "live"]
            require(hidden, "{}, but versions {} to {} were there", read, low, high)
            version = hidden[0]
        else:
            assert read.post is not None
            version = read.post.version
            require(low <= version <= high, "{}, but it must be {} to {}", read, low, high)
            comments = {each.comment_id: each for each in read.comments or ()}
            check_row(history, read.post, comments)
        earlier.add(read.returned, version)


def _check_error(history: History, read: Read) -> None:
    if read.outcome == "post-parked":
        require(history.stream(read.post_id).stuck_at is not None, "{}: every event can be projected", read)
    require(read.outcome != "position-beyond-log", "{}: the position had been acknowledged", read)
