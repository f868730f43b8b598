"""One request to change a post on its way through decision and append, and what came of its decision.

Decide waiting requests on one post, one after the other, each on the state that the one before it leads to.

What came of one round on one post: who is answered with what, and who must be decided again.

One decider for each post that somebody is changing: requests that wait together are decided one after the other on
the state in memory, and appended together. 64 people who like one post at once are one group write, not 64 conflicts.

What may be answered, and when. A commit is answered when it is durable. A refusal, or "already in effect", is answered
only if the state it was decided on was the log's own since the request came: because the head was read from the log in
this round, because a commit of this round was accepted on top of it, or because the stream's tail was read again.
Whatever stands behind a failed commit is decided again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from application.command_side.group_commit import GroupCommitter
from application.command_side.idempotency import REQUEST_DIGEST, answer_from, answer_from_receipt
from application.command_side.stream_state import (
    NOTHING,
    Snapshotting,
    StateCache,
    StateLoader,
    StoredState,
    StreamState,
)
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
from domain.commands import AddComment, CreatePost, PostCommand
from domain.errors import PostlogError
from domain.events import PostEvent
from domain.ids import CommentId, PostId
from domain.limits import Limits
from domain.post import PostState, decide, evolve


@dataclass(eq=False, slots=True)
class Request:
    """Commands on one post that become one commit, all or nothing. `attempts` counts the versions lost to others.
    `is_new_id`: the post's id was made for this request, so the log can't hold anything of it."""

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
            "actor": context.actor or _actor_of(self.commands[0]),
            "correlationId": context.correlation_id,
            "causationId": context.causation_id,
            "traceparent": context.traceparent,
            REQUEST_DIGEST: key.request_digest if key else None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def settle(self, result: CommandResult | BaseException) -> None:
        """Answer the caller, unless he has gone."""
        if self.answer.done():
            return
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


def _actor_of(command: PostCommand) -> str | None:
    return command.author if isinstance(command, CreatePost) else command.username


@dataclass(frozen=True, slots=True)
class Proposed:
    """It leads to this commit."""

    request: Request
    commit: ProposedCommit


@dataclass(frozen=True, slots=True)
class InEffect:
    """It is in effect already; nothing is appended."""

    request: Request


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule, or `If-Match`, says no."""

    request: Request
    error: PostlogError = field(repr=False)


Decision = Proposed | InEffect | Refused


@dataclass(frozen=True, slots=True)
class Decided:
    """`state` and `version` are what the stream comes to when this and all before it become durable."""

    decision: Decision
    state: PostState
    version: int


class Decider:
    def __init__(self, codec: EventCodec, clock: Clock, limits: Limits) -> None:
        self._codec = codec
        self._clock = clock
        self._limits = limits

    def decide_batch(self, requests: Sequence[Request], head: StreamState) -> list[Decided]:
        decided: list[Decided] = []
        state, version = head.state, head.version
        for request in requests:
            try:
                events, after = self._decide(request, state, version)
                decision: Decision = InEffect(request)
                if events:
                    commit = self._propose(request, version, events)
                    decision, state, version = Proposed(request, commit), after, commit.last_version
            except PostlogError as error:
                decision = Refused(request, error)
            decided.append(Decided(decision, state, version))
        return decided

    def _decide(self, request: Request, state: PostState, version: int) -> tuple[list[PostEvent], PostState]:
        expected = request.context.expected_version
        if expected not in (None, version) and version:
            raise VersionMismatch(
                f"If-Match names version {expected}, but the post stands at {version}; read it and decide again.",
                current_version=version,
            )
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


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision on which nothing failed before it, and where the stream stands, durably, behind it."""

    decided: Decided
    head: StreamState


@dataclass(slots=True)
class BatchResult:
    """`failed` begins with the first commit that was not appended; all that was decided behind it is void. Its outcome
    is None for those that proposed no commit."""

    reached: list[Settled] = field(default_factory=list)
    failed: list[tuple[Request, AppendOutcome | None]] = field(default_factory=list)

    @property
    def quiet(self) -> list[Settled]:
        """Those that appended nothing: refusals, and commands already in effect."""
        return [each for each in self.reached if not isinstance(each.decided.decision, Proposed)]


def pair(decided: Sequence[Decided], outcomes: Sequence[AppendOutcome], head: StreamState) -> BatchResult:
    """Walk the decisions in order with the outcomes of those that proposed a commit."""
    result = BatchResult()
    remaining = iter(outcomes)
    for each in decided:
        outcome = next(remaining, NotTried()) if isinstance(each.decision, Proposed) else None
        if result.failed or not (outcome is None or isinstance(outcome, Appended)):
            result.failed.append((each.decision.request, outcome))
            continue
        if isinstance(outcome, Appended) and isinstance(each.decision, Proposed):
            head = StreamState(each.state, each.version, outcome.position, each.decision.commit.commit_id)
        result.reached.append(Settled(each, head))
    return result


logger = logging.getLogger(__name__)


class CommandQueue:
    """`attempts` is how many times a request may lose its version to other writers before it is answered as a
    conflict.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        codec: EventCodec,
        committer: GroupCommitter,
        reader: StateLoader,
        cache: StateCache,
        decider: Decider,
        snapshotting: Snapshotting,
        metrics: Metrics,
        attempts: int,
    ) -> None:
        self._store = store
        self._codec = codec
        self._committer = committer
        self._reader = reader
        self._cache = cache
        self._decider = decider
        self._snapshotting = snapshotting
        self._metrics = metrics
        self._attempts = attempts
        self._waiting: dict[PostId, deque[Request]] = {}
        self._deciders: set[asyncio.Task[None]] = set()

    def submit(self, request: Request) -> None:
        """Queue the request; its future gets the answer. Requests on one post are decided in the order they came."""
        queue = self._waiting.get(request.post_id)
        if queue is not None:
            queue.append(request)
            return
        self._waiting[request.post_id] = deque([request])
        task = asyncio.create_task(self._decide_until_idle(request.post_id), name=f"decider-{request.post_id}")
        self._deciders.add(task)
        task.add_done_callback(self._deciders.discard)

    async def drain(self) -> None:
        """Return when every submitted request has its answer and nothing is written any more."""
        while self._deciders:
            await asyncio.wait(list(self._deciders))
        await self._committer.drain()
        await self._snapshotting.drain()

    async def _decide_until_idle(self, post_id: PostId) -> None:
        queue = self._waiting[post_id]
        while queue:
            requests = _take_distinct(queue)
            try:
                again = await self._round(post_id, requests)
            except Exception as error:
                self._fail(post_id, requests, error)
            else:
                queue.extendleft(reversed(again))
        del self._waiting[post_id]

    async def _round(self, post_id: PostId, requests: Sequence[Request]) -> list[Request]:
        """Read, fold, decide, append, settle. What must be decided again comes back, in order."""
        requests = [each for each in await self._answer_spent(requests) if not each.answer.done()]
        if not requests:
            return []
        head, fresh = await self._head(post_id, requests[0])
        decided = self._decider.decide_batch(requests, head)
        commits = [each.decision.commit for each in decided if isinstance(each.decision, Proposed)]
        result = pair(decided, await self._committer.append(commits) if commits else [], head)
        durable = result.reached[-1].head if result.reached else head
        self._remember(post_id, head, durable, result)
        self._settle_appended(result)
        again = self._settle_failed(post_id, result)
        if result.quiet and not (fresh or durable is not head or await self._is_tail(post_id, head)):
            self._cache.drop(post_id)
            return [each.decided.decision.request for each in result.quiet] + again
        await self._settle_quiet(result.quiet)
        return again

    async def _head(self, post_id: PostId, first: Request) -> tuple[StreamState, bool]:
        """The head to decide on, and whether it was read from the log just now. A post whose id is new is not looked
        for: the log's keys refuse the commit if it is there after all.
        """
        head = self._cache.get(post_id)
        if head is None and first.is_new_id and not first.attempts:
            return NOTHING, False
        return (head, False) if head is not None else (await self._reader.read(post_id), True)

    async def _is_tail(self, post_id: PostId, head: StreamState) -> bool:
        tail = await self._store.stream_tail(post_id)
        return head.version == (tail.version if tail else 0)

    def _remember(self, post_id: PostId, before: StreamState, durable: StreamState, result: BatchResult) -> None:
        if result.failed:
            self._cache.drop(post_id)
            return
        if durable.version:
            self._cache.put(post_id, durable)
        if durable is not before:
            self._snapshotting.consider(
                post_id,
                before.version,
                StoredState(durable.state, durable.version, durable.position, durable.commit_id),
            )

    async def _answer_spent(self, requests: Sequence[Request]) -> list[Request]:
        """Answer those whose commit is in the log, or a receipt of them; the others come back."""
        keyed = [each for each in requests if each.context.idempotency_key is not None]
        if not keyed:
            return list(requests)
        commits, receipts = await asyncio.gather(
            asyncio.gather(*(self._store.find_commit(each.commit_id) for each in keyed)),
            asyncio.gather(*(self._store.find_receipt(each.commit_id) for each in keyed)),
        )
        spent: set[Request] = set()
        for each, commit, receipt in zip(keyed, commits, receipts, strict=True):
            if (found := commit or receipt) is not None:
                self._settle_from(found, each)
                spent.add(each)
        return [each for each in requests if each not in spent]

    def _settle_appended(self, result: BatchResult) -> None:
        for each in result.reached:
            if isinstance(each.decided.decision, Proposed):
                each.decided.decision.request.settle(_result_at(each))

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
                    WriteConflict(f"Others kept changing post {post_id}; nothing of this was stored. Send it again.")
                )
            case VersionTaken():
                request.attempts += 1
                self._metrics.count("version_conflicts")
                return True
            case _:
                return True
        return False

    async def _settle_quiet(self, quiet: Sequence[Settled]) -> None:
        """The head is confirmed. Receipts are kept before anybody is answered; then keys are looked up again, since
        another process may have used one in the meantime.
        """
        receipts = [receipt for each in quiet if (receipt := _receipt_of(each)) is not None]
        if receipts:
            await self._store.keep_receipts(receipts)
        unspent = set(await self._answer_spent([each.decided.decision.request for each in quiet]))
        for each in quiet:
            decision = each.decided.decision
            if decision.request in unspent:
                decision.request.settle(decision.error if isinstance(decision, Refused) else _result_at(each))

    def _settle_from(self, stored: Commit | Receipt, request: Request) -> None:
        key = request.context.idempotency_key
        try:
            if isinstance(stored, Receipt):
                request.settle(answer_from_receipt(stored, key))
            else:
                request.settle(answer_from(stored, key, self._codec))
        except PostlogError as error:
            request.settle(error)

    def _fail(self, post_id: PostId, requests: Sequence[Request], error: Exception) -> None:
        self._cache.drop(post_id)
        if not isinstance(error, PostlogError):
            logger.error("deciding on post %s failed", post_id, exc_info=error)
        for request in requests:
            request.settle(error)


def _take_distinct(queue: deque[Request]) -> list[Request]:
    """All that wait, but only the first of those with one commit id: its twin is answered from the log later."""
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


def _receipt_of(reached: Settled) -> Receipt | None:
    """Of a request with a key that is in effect already. A refusal needs none: delivered again it is refused again, or
    the caller's wrong is righted."""
    decision = reached.decided.decision
    key = decision.request.context.idempotency_key
    if key is None or not isinstance(decision, InEffect):
        return None
    return Receipt(
        commit_id=decision.request.commit_id,
        request_digest=key.request_digest,
        stream_id=decision.request.post_id,
        version=reached.head.version,
        position=reached.head.position,
    )


def _result_at(reached: Settled) -> CommandResult:
    request = reached.decided.decision.request
    return CommandResult(
        post_id=request.post_id,
        version=reached.head.version,
        position=reached.head.position,
        comment_id=request.comment_id,
    )
