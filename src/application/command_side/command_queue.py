"""How a command becomes a commit: the algorithm of the command side, in five steps.

A request is one or more commands on one post that become one commit, or nothing. Each post with waiting requests has a
queue, and one batch of them at a time goes through these steps:

1. Take    all requests that wait, so that 64 people who like one post at once cost one group write, not 64 conflicts.
2. Load    the state of the post's stream, from the cache if it is there.
3. Decide  the requests in order, each on the state that the one before it leads to. Nothing is written yet.
4. Append  the proposed commits, together with those of other posts. The log's unique keys check what the cache claimed.
5. Settle  each request, and put those that must be decided again back at the head of the queue.

The rule of step 5: no answer relies on stale data. A commit is reported when it is durable. A request that appends
nothing (it was refused, or is already in effect) is answered only if the log confirmed the state that it was decided on
after the request came: because a commit of this batch was accepted on top of it, or because the end of the stream was
read. A state that was loaded just now is confirmed, too: right after a failover, a read of the stream may be older than
what was acknowledged; only the read of its end is not. Everything after a failed commit is decided again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from application.command_side.group_commit import GroupCommitter
from application.command_side.idempotency import REQUEST_DIGEST, result_of_commit, result_of_receipt
from application.command_side.stream_state import EMPTY_STREAM, Snapshotting, StateCache, StateLoader, StreamState
from application.envelopes import Commit, ProposedCommit
from application.errors import StoreUnavailable, VersionMismatch, WriteConflict
from application.mediator import CommandContext, CommandResult
from application.ports.event_codec import EventCodec
from application.ports.event_store import (
    AlreadyStored,
    Appended,
    AppendOutcome,
    EventStore,
    NotTried,
    Receipt,
    Unsettled,
    VersionTaken,
)
from application.ports.system import Clock, Metrics
from domain.commands import AddComment, PostCommand
from domain.errors import PostlogError
from domain.events import PostEvent
from domain.ids import CommentId, PostId
from domain.limits import Limits
from domain.post import PostState, decide, evolve
from domain.rules import name_of

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Request:
    """Commands on one post that become one commit, all or nothing. `answer` is the caller's future. `attempts` counts
    how often another writer took its version. `is_new_id`: the post's id was generated for this request, so the log
    can't hold anything of it.
    """

    post_id: PostId
    commands: tuple[PostCommand, ...]
    context: CommandContext
    commit_id: str
    answer: asyncio.Future[CommandResult]
    attempts: int = 0
    is_new_id: bool = False

    @property
    def comment_id(self) -> CommentId | None:
        first = self.commands[0]
        return first.comment_id if isinstance(first, AddComment) else None

    def metadata(self) -> Mapping[str, str]:
        key, context = self.context.idempotency_key, self.context
        known = {
            "actor": _actor_of(self.commands[0]),
            "correlationId": context.correlation_id,
            "causationId": context.causation_id,
            "traceparent": context.traceparent,
            REQUEST_DIGEST: key.request_digest if key else None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def settle(self, result: CommandResult | BaseException) -> None:
        """Answer the caller, unless they were cancelled."""
        if self.answer.done():
            return
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


def _actor_of(command: PostCommand) -> str | None:
    """The authenticated user, else the one whom the command names."""
    return command.caller.name if command.caller else name_of(command)


@dataclass(slots=True)
class Decided:
    """A request and what it leads to: a `commit` to append, an `error` (a rule or `If-Match` refused it), or neither:
    it is already in effect. `stream` is the state when this and everything before it is durable; `match_outcomes`
    fills in its position, which only the append knows.
    """

    request: Request
    stream: StreamState
    commit: ProposedCommit | None = None
    error: PostlogError | None = None

    def result(self) -> CommandResult:
        return CommandResult(
            post_id=self.request.post_id,
            version=self.stream.version,
            position=self.stream.position,
            comment_id=self.request.comment_id,
        )


@dataclass(slots=True)
class BatchResult:
    """`settled` are the decisions before the first commit that was not appended. `failed` are the requests from there
    on, whose decisions are void, each with its outcome: None if it proposed no commit.
    """

    settled: list[Decided] = field(default_factory=list)
    failed: list[tuple[Request, AppendOutcome | None]] = field(default_factory=list)

    @property
    def without_events(self) -> list[Decided]:
        """Refusals, and requests that were already in effect."""
        return [each for each in self.settled if each.commit is None]


@dataclass(eq=False, slots=True)
class Batch:
    """The requests on one post that are decided together, on the state `stream`."""

    post_id: PostId
    requests: list[Request]
    stream: StreamState = EMPTY_STREAM
    decided: list[Decided] = field(default_factory=list)


class CommandQueue:
    """`attempts` is how often other writers may take a request's version before it is answered with a conflict.

    A batch goes through the steps by plain calls, and the group commit calls back with its outcomes. Only what reads
    the store has a task: most commands need none.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        codec: EventCodec,
        committer: GroupCommitter,
        loader: StateLoader,
        cache: StateCache,
        decider: "Decider",
        snapshotting: Snapshotting,
        metrics: Metrics,
        attempts: int,
    ) -> None:
        self._store = store
        self._codec = codec
        self._committer = committer
        self._loader = loader
        self._cache = cache
        self._decider = decider
        self._snapshotting = snapshotting
        self._metrics = metrics
        self._attempts = attempts
        self._queues: dict[PostId, deque[Request]] = {}
        """Of each post with a batch in progress or about to begin: the requests that wait for the next one."""
        self._ready: list[PostId] = []
        self._reading: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, request: Request) -> None:
        """Queue the request; its future receives the answer. Requests on one post are decided in
        the order of arrival.
        """
        queue = self._queues.get(request.post_id)
        if queue is not None:
            queue.append(request)
            return
        self._queues[request.post_id] = deque((request,))
        self._idle.clear()
        if not self._ready:  # those that arrive in the same turn of the event loop go together
            asyncio.get_running_loop().call_soon(self._begin_ready, context=Context())
        self._ready.append(request.post_id)

    async def drain(self) -> None:
        """Return when every submitted request has its answer and no write is in flight."""
        await self._idle.wait()
        await self._committer.drain()
        await self._snapshotting.drain()

    def _begin_ready(self) -> None:
        ready, self._ready = self._ready, []
        for post_id in ready:
            self._begin(post_id)

    def _begin(self, post_id: PostId) -> None:
        taken = _take_distinct(self._queues[post_id])  # 1. Take
        batch = Batch(post_id, [each for each in taken if not each.answer.done()])
        if not batch.requests:
            self._finish(batch)
            return
        first = batch.requests[0]
        stream = self._cache.get(post_id)
        if stream is None and first.is_new_id and not first.attempts:
            # Not read: the log's keys refuse the commit if the post exists after all.
            stream = EMPTY_STREAM
        if stream is None or _has_key(batch.requests):
            self._start(batch, self._load_and_decide(batch, stream))
        else:
            batch.stream = stream
            self._decide(batch)

    async def _load_and_decide(self, batch: Batch, stream: StreamState | None) -> None:
        await self._load(batch, stream)
        self._decide(batch)

    async def _load(self, batch: Batch, stream: StreamState | None) -> None:
        """2. Load, unless `stream` is the state; and look up idempotency keys before anything is decided."""
        unanswered = await self._answer_already_committed(batch.requests)
        batch.requests = [each for each in unanswered if not each.answer.done()]
        if batch.requests:
            batch.stream = stream if stream is not None else await self._loader.load(batch.post_id)

    def _decide(self, batch: Batch) -> None:
        try:
            batch.decided = self._decider.decide_batch(batch.requests, batch.stream)  # 3. Decide
        except Exception as error:
            self._fail(batch, error)
            return
        commits = [each.commit for each in batch.decided if each.commit is not None]
        if commits:
            self._committer.append(commits, partial(self._settle, batch))  # 4. Append
        else:
            self._settle(batch, [])

    def _settle(self, batch: Batch, outcomes: Sequence[AppendOutcome] | BaseException) -> None:
        """5. Settle"""
        if isinstance(outcomes, BaseException):
            self._fail(batch, outcomes)
            return
        try:
            result = match_outcomes(batch.decided, outcomes, batch.stream)
            durable = result.settled[-1].stream if result.settled else batch.stream
            self._remember(batch.post_id, batch.stream, durable, result)
            self._settle_appended(result)
            again = self._settle_failed(batch.post_id, result)
        except Exception as error:
            self._fail(batch, error)
            return
        without_events = result.without_events
        is_confirmed = durable is not batch.stream
        if without_events and not (is_confirmed and not _has_key([each.request for each in without_events])):
            self._start(batch, self._confirm(batch, without_events, again, is_confirmed=is_confirmed))
            return
        for each in without_events:
            each.request.settle(each.error or each.result())
        self._finish(batch, again)

    async def _confirm(
        self, batch: Batch, without_events: Sequence[Decided], again: list[Request], *, is_confirmed: bool
    ) -> None:
        """The part of step 5 that needs the store: does the log confirm the state that these were decided on?"""
        if is_confirmed or await self._is_current(batch.post_id, batch.stream):
            await self._settle_without_events(without_events)
        else:
            self._cache.drop(batch.post_id)
            again = [each.request for each in without_events] + again
        self._finish(batch, again)

    def _finish(self, batch: Batch, again: Sequence[Request] = ()) -> None:
        """`again` must be decided again, before all that wait."""
        queue = self._queues[batch.post_id]
        queue.extendleft(reversed(again))
        if queue:
            self._begin(batch.post_id)
            return
        del self._queues[batch.post_id]
        if not self._queues:
            self._idle.set()

    def _start(self, batch: Batch, step: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await step
            except Exception as error:
                self._fail(batch, error)

        task = asyncio.create_task(run(), name=f"decider-{batch.post_id}")
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _is_current(self, post_id: PostId, stream: StreamState) -> bool:
        tail = await self._store.stream_tail(post_id)
        return stream.version == (tail.version if tail else 0)

    def _remember(self, post_id: PostId, before: StreamState, durable: StreamState, result: BatchResult) -> None:
        if result.failed:
            self._cache.drop(post_id)
            return
        if durable.version:
            self._cache.put(post_id, durable)
        if durable is not before:
            self._snapshotting.consider(post_id, before.version, durable)

    def _settle_appended(self, result: BatchResult) -> None:
        for each in result.settled:
            if each.commit is not None:
                each.request.settle(each.result())

    def _settle_failed(self, post_id: PostId, result: BatchResult) -> list[Request]:
        return [request for request, outcome in result.failed if self._must_repeat(post_id, request, outcome)]

    def _must_repeat(self, post_id: PostId, request: Request, outcome: AppendOutcome | None) -> bool:
        match outcome:
            case AlreadyStored(commit):
                self._settle_from(commit, request)
            case Unsettled(reason):
                request.settle(StoreUnavailable(f"{reason} Send it again with the same Idempotency-Key."))
            case VersionTaken() if request.attempts >= self._attempts:
                request.settle(
                    WriteConflict(f"Other writers kept changing post {post_id}; nothing was stored. Send it again.")
                )
            case VersionTaken():
                request.attempts += 1
                self._metrics.count("version_conflicts")
                return True
            case _:
                return True
        return False

    async def _settle_without_events(self, decided: Sequence[Decided]) -> None:
        """The log has confirmed the state. Receipts are stored before any request is answered; then keys are looked up
        again, because another process may have used one in the meantime.
        """
        receipts = [receipt for each in decided if (receipt := _receipt_of(each)) is not None]
        if receipts:
            await self._store.keep_receipts(receipts)
        unanswered = set(await self._answer_already_committed([each.request for each in decided]))
        for each in decided:
            if each.request in unanswered:
                each.request.settle(each.error or each.result())

    async def _answer_already_committed(self, requests: Sequence[Request]) -> list[Request]:
        """Answer requests whose commit is in the log, or a receipt of it; return the others."""
        keyed = [each for each in requests if each.context.idempotency_key is not None]
        commits, receipts = await asyncio.gather(
            asyncio.gather(*(self._store.find_commit(each.commit_id) for each in keyed)),
            asyncio.gather(*(self._store.find_receipt(each.commit_id) for each in keyed)),
        )
        answered: set[Request] = set()
        for each, commit, receipt in zip(keyed, commits, receipts, strict=True):
            if (found := commit or receipt) is not None:
                self._settle_from(found, each)
                answered.add(each)
        return [each for each in requests if each not in answered]

    def _settle_from(self, stored: Commit | Receipt, request: Request) -> None:
        key = request.context.idempotency_key
        try:
            if isinstance(stored, Receipt):
                request.settle(result_of_receipt(stored, key))
            else:
                request.settle(result_of_commit(stored, key, self._codec))
        except PostlogError as error:
            request.settle(error)

    def _fail(self, batch: Batch, error: BaseException) -> None:
        self._cache.drop(batch.post_id)
        if isinstance(error, Exception) and not isinstance(error, PostlogError):
            logger.error("deciding on post %s failed", batch.post_id, exc_info=error)
        for request in batch.requests:
            request.settle(error)
        self._finish(batch)


def _has_key(requests: Iterable[Request]) -> bool:
    return any(each.context.idempotency_key is not None for each in requests)


class Decider:
    """Step 3: pure, apart from the time that a commit is stamped with."""

    def __init__(self, codec: EventCodec, clock: Clock, limits: Limits) -> None:
        self._codec = codec
        self._clock = clock
        self._limits = limits

    def decide_batch(self, requests: Sequence[Request], stream: StreamState) -> list[Decided]:
        decided: list[Decided] = []
        for request in requests:
            each = self._decide(request, stream)
            decided.append(each)
            stream = each.stream
        return decided

    def _decide(self, request: Request, stream: StreamState) -> Decided:
        try:
            _require_expected_version(request, stream.version)
            events, state = self._events_of(request, stream.state)
            if not events:
                return Decided(request, stream)
            commit = self._propose(request, stream.version, events)
        except PostlogError as error:
            return Decided(request, stream, error=error)
        return Decided(request, StreamState(state, commit.last_version, 0, commit.commit_id), commit=commit)

    def _events_of(self, request: Request, state: PostState) -> tuple[list[PostEvent], PostState]:
        events: list[PostEvent] = []
        for command in request.commands:
            new = decide(command, state, self._limits)
            for event in new:
                state = evolve(state, event)
            events += new
        return events, state

    def _propose(self, request: Request, version: int, events: Sequence[PostEvent]) -> ProposedCommit:
        return ProposedCommit(
            stream_id=request.post_id,
            version=version + 1,
            commit_id=request.commit_id,
            recorded_at=self._clock.now(),
            metadata=request.metadata(),
            events=self._codec.encode(events),
        )


def _require_expected_version(request: Request, version: int) -> None:
    expected = request.context.expected_version
    if expected not in (None, version) and version:
        raise VersionMismatch(
            f"If-Match names version {expected}, but the post is at version {version}; read it and decide again.",
            current_version=version,
        )


def match_outcomes(decided: Sequence[Decided], outcomes: Sequence[AppendOutcome], stream: StreamState) -> BatchResult:
    """Pair the decisions, in order, with the outcomes of the commits that they proposed."""
    result = BatchResult()
    remaining = iter(outcomes)
    for each in decided:
        outcome = next(remaining, NotTried()) if each.commit is not None else None
        if result.failed or not (outcome is None or isinstance(outcome, Appended)):
            result.failed.append((each.request, outcome))
            continue
        if isinstance(outcome, Appended):
            stream = StreamState(each.stream.state, each.stream.version, outcome.position, each.stream.commit_id)
        each.stream = stream
        result.settled.append(each)
    return result


def _take_distinct(queue: deque[Request]) -> list[Request]:
    """All waiting requests, but only the first of those with the same commit id: its twin stays in the queue, and is
    answered from the log.
    """
    taken: dict[str, Request] = {}
    later: list[Request] = []
    while queue:
        request = queue.popleft()
        if request.commit_id in taken:
            later.append(request)
        else:
            taken[request.commit_id] = request
    queue.extend(later)
    return list(taken.values())


def _receipt_of(decided: Decided) -> Receipt | None:
    """For a request with a key that is already in effect. A refusal needs no receipt: sent again, it is refused again,
    or the reason for the refusal is gone.
    """
    request = decided.request
    key = request.context.idempotency_key
    if key is None or decided.error is not None:
        return None
    return Receipt(
        commit_id=request.commit_id,
        request_digest=key.request_digest,
        stream_id=request.post_id,
        version=decided.stream.version,
        position=decided.stream.position,
    )
