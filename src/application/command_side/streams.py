"""One decider for each post that somebody is changing: requests that wait together are decided one after the other on
the state in memory, and appended together. 64 people who like one post at once are one group write, not 64 conflicts.

What may be answered, and when. A commit is answered when it is durable. A refusal, or "already in effect", is answered
only if the state it was decided on was the log's own since the request came: because the head was read from the log in
this round, because a commit of this round was accepted on top of it, or because the stream's tail was read again.
Whatever stands behind a failed commit is decided again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from application.command_side.deciding import Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.heads import NOTHING, Head, HeadCache, HeadReader
from application.command_side.idempotency import answer_from, answer_from_receipt
from application.command_side.requests import InEffect, Proposed, Refused, Request
from application.command_side.rounds import Reached, RoundResult, pair
from application.command_side.snapshotting import Snapshotting, StoredState
from application.envelopes import Commit
from application.errors import StoreUnavailable, WriteConflict
from application.mediator import CommandResult
from application.ports.event_codec import EventCodec
from application.ports.event_store import AlreadyStored, AppendOutcome, EventStore, Receipt, Unsettled, VersionTaken
from application.ports.system import Metrics
from domain.errors import PostlogError
from domain.ids import PostId

logger = logging.getLogger(__name__)


class PostStreams:
    """`attempts` is how many times a request may lose its version to other writers before it is answered as a
    conflict.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        codec: EventCodec,
        committer: GroupCommitter,
        reader: HeadReader,
        cache: HeadCache,
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
        decided = self._decider.decide_all(requests, head)
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

    async def _head(self, post_id: PostId, first: Request) -> tuple[Head, bool]:
        """The head to decide on, and whether it was read from the log just now. A post whose id is new is not looked
        for: the log's keys refuse the commit if it is there after all.
        """
        head = self._cache.get(post_id)
        if head is None and first.is_new_id and not first.attempts:
            return NOTHING, False
        return (head, False) if head is not None else (await self._reader.read(post_id), True)

    async def _is_tail(self, post_id: PostId, head: Head) -> bool:
        tail = await self._store.stream_tail(post_id)
        return head.version == (tail.version if tail else 0)

    def _remember(self, post_id: PostId, before: Head, durable: Head, result: RoundResult) -> None:
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

    def _settle_appended(self, result: RoundResult) -> None:
        for each in result.reached:
            if isinstance(each.decided.decision, Proposed):
                each.decided.decision.request.settle(_result_at(each))

    def _settle_failed(self, post_id: PostId, result: RoundResult) -> list[Request]:
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

    async def _settle_quiet(self, quiet: Sequence[Reached]) -> None:
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


def _receipt_of(reached: Reached) -> Receipt | None:
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


def _result_at(reached: Reached) -> CommandResult:
    request = reached.decided.decision.request
    return CommandResult(
        post_id=request.post_id,
        version=reached.head.version,
        position=reached.head.position,
        comment_id=request.comment_id,
    )
