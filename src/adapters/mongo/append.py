"""Append the commits of one call to the log, through lost positions, failed commits and lost replies.

`GroupWrite` works in rounds until every commit has its outcome or the time is up. One round:

1. resolve the commits whose last attempt ended without a reply (`stored_commits`, `resolve_outcome`);
2. take the longest run of pending commits that may be written now (`StreamVersions`);
3. send it as one ordered insert directly behind a committed position (`Positions`, `insert_group`);
4. check beside the insert that the log still holds what it builds on (`guard.LogGuard`);
5. record the outcomes.

What makes this safe whatever fails, and when:

- Positions are only built on committed ones, so an insert that arrives late leaves no gap either.
- An ordered insert stops at its first failure, so a commit is never in the log without the commits of its stream that
  precede it in the same call.
- A commit keeps its id through every attempt, so the log takes it once; before its outcome is returned, a commit whose
  attempt ended without a reply is looked up by that id.

docs/log-on-mongodb.md has the proof.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from adapters.mongo.database import COMMITS_REPLACED, MAJORITY, Document, MongoDatabase
from adapters.mongo.errors import is_driver_error
from adapters.mongo.guard import LogGuard, ReadFence
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.tip import CommitRef, read_tip
from adapters.mongo.writer_backoff import WriterBackoff
from adapters.wire.commit_bson import at_position, commit_from_document, encode_without_position, foreign_document
from application.envelopes import Commit, ProposedCommit
from application.errors import LogDamaged, StoreUnavailable
from application.ports.event_store import AlreadyStored, Appended, AppendOutcome, NotTried, Unsettled, VersionTaken
from domain.ids import PostId

MAX_COMMITS = 1_000
"""In one insert."""

MAX_BYTES = 16_000_000
"""The driver takes at most 16,793,598 in one command."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts while the store fails."""

_ROUND_SHARE = 0.6
"""Of the append's time; a server that hangs must not use up all of it. The server's own limit comes first, at half."""


@dataclass(frozen=True, slots=True)
class WriteTools:
    """Shared by all group writes of one process."""

    database: MongoDatabase
    positions: Positions
    guard: LogGuard
    stream_versions: StreamVersions
    backoff: WriterBackoff
    schema: SchemaCheck


@dataclass(slots=True)
class _Pending:
    """`in_doubt`: an attempt ended without a reply; the commit may be in the log, or may still arrive there."""

    index: int
    commit: ProposedCommit
    encoded: bytes
    in_doubt: bool = False


class GroupWrite:
    """The append of one call."""

    def __init__(self, tools: WriteTools, commits: Sequence[ProposedCommit]) -> None:
        self._tools = tools
        self._database = tools.database
        self._pending = [
            _Pending(index, commit, encode_without_position(commit)) for index, commit in enumerate(commits)
        ]
        self._outcomes: list[AppendOutcome | None] = [None] * len(commits)
        self._versions_loaded = False
        self._reason: str | None = None

    async def run(self) -> list[AppendOutcome]:
        """Raises `SchemaOutdated`, with nothing sent, when the unique keys are missing; `LogChanged` when the log lost
        what this process has built on: some of the commits may be in it, and none is acknowledged."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._database.append_timeout
        pause = _FIRST_PAUSE
        while self._pending and (left := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, _ROUND_SHARE * self._database.append_timeout)):
                    await self._round()
                pause = _FIRST_PAUSE
            except Exception as error:
                if not isinstance(error, StoreUnavailable) and not is_driver_error(error):
                    raise
                self._round_failed(error)
                await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
                pause = min(2 * pause, _LONGEST_PAUSE)
        unsettled = Unsettled(self._reason or "Other writers were faster until the time limit.")
        return [outcome or unsettled for outcome in self._outcomes]

    async def _round(self) -> None:
        await self._prepare()
        group = self._next_group()
        if group:
            await self._write(group)
        elif self._pending:
            await self._refuse_for_its_version(self._pending[0])
        self._drop_finished()

    async def _prepare(self) -> None:
        self._database.require_unchanged()
        await self._tools.schema.check()
        in_doubt = [pending for pending in self._pending if pending.in_doubt]
        if in_doubt:
            await self._resolve(in_doubt)
        if not self._versions_loaded:
            await self._tools.stream_versions.load(pending.commit for pending in self._pending)
            self._versions_loaded = True

    async def _resolve(self, in_doubt: Sequence[_Pending]) -> None:
        stored = await stored_commits(self._database, [pending.commit.commit_id for pending in in_doubt])
        if stored:
            refs = sorted(CommitRef(commit.position, commit.commit_id) for commit in stored.values())
            required = self._tools.guard.dependencies(refs[-1], [*self._stream_tails(in_doubt), *refs])
            await self._tools.guard.require_present(required, refs[-1])
        for pending in in_doubt:
            found = stored.get(pending.commit.commit_id)
            if found is not None and self._outcomes[pending.index] is None:
                self._finish(pending, resolve_outcome(pending.commit, found))
        self._drop_finished()

    def _next_group(self) -> list[_Pending]:
        """The longest run of pending commits that fits into one insert, each directly behind the last version of its
        stream."""
        group: list[_Pending] = []
        next_versions: dict[PostId, int] = {}
        size = 0
        for pending in self._pending[:MAX_COMMITS]:
            commit, size = pending.commit, size + len(pending.encoded)
            expected = next_versions.get(commit.stream_id)
            fits = self._tools.stream_versions.allows(commit) if expected is None else expected == commit.version
            if not fits or (group and size > MAX_BYTES):
                break
            next_versions[commit.stream_id] = commit.last_version + 1
            group.append(pending)
        return group

    async def _write(self, group: Sequence[_Pending]) -> None:
        tools = self._tools
        if await tools.backoff.wait_for_turn():
            tools.positions.invalidate()
        started = asyncio.get_running_loop().time()
        base = await tools.positions.base()
        inserted = await self._insert(group, base)
        for position, pending in enumerate(group[: inserted.count], base.position + 1):
            self._finish(pending, Appended(position))
        if inserted.refused_by == POSITION:
            tools.positions.invalidate()
            await tools.backoff.lost(asyncio.get_running_loop().time() - started)
            return
        tools.backoff.succeeded()
        if inserted.refused_by is not None:
            await self._finish_refused(group[inserted.count])

    async def _insert(self, group: Sequence[_Pending], base: CommitRef) -> Inserted:
        """Returns when the log is known to hold what was inserted together with all that it builds on."""
        guard = self._tools.guard
        if not guard.has_checked:
            await guard.require_whole_to(base)
        required = guard.dependencies(base, self._stream_tails(group))
        first = base.position + 1
        documents = [at_position(pending.encoded, position) for position, pending in enumerate(group, first)]
        inserting = asyncio.ensure_future(insert_group(self._database, documents))
        last = CommitRef(base.position + len(group), group[-1].commit.commit_id)
        try:
            try:
                is_checked = await guard.check_beside(inserting, required, last)
            except Exception:
                await inserting  # its error counts for more
                raise
            inserted = await inserting
            if inserted.count:
                last = CommitRef(base.position + inserted.count, group[inserted.count - 1].commit.commit_id)
                if not is_checked:
                    await guard.require_present({**required, last.position: last.commit_id}, last)
                guard.mark_checked(last)
                self._database.committed_tip.advance(*last)
        except BaseException:
            for pending in group:
                pending.in_doubt = True
            raise
        finally:
            if not inserting.done():
                inserting.cancel()
                await asyncio.gather(inserting, return_exceptions=True)
            elif not inserting.cancelled():
                inserting.exception()  # else asyncio logs it as never retrieved when the check was cancelled
        return inserted

    def _stream_tails(self, group: Sequence[_Pending]) -> list[CommitRef]:
        """The last commits of the streams that this group continues, as far as they are known."""
        tails = [self._tools.stream_versions.last(pending.commit.stream_id) for pending in group]
        return [tail.commit for tail in tails if tail is not None]

    async def _finish_refused(self, pending: _Pending) -> None:
        """The unique key of its version or of its commit id refused it."""
        try:
            found = await refusal(self._database, pending.commit)
        except LogDamaged as error:
            self._finish(pending, Unsettled(error.message))
            return
        if found is not None:
            await self._finish_by(pending, found)

    async def _refuse_for_its_version(self, pending: _Pending) -> None:
        """Its version does not follow the last one of its stream, as far as this process remembers that."""
        await self._tools.stream_versions.load([pending.commit])
        if self._tools.stream_versions.allows(pending.commit):
            return
        stored = await stored_commits(self._database, [pending.commit.commit_id])
        found = stored.get(pending.commit.commit_id)
        await self._finish_by(pending, AlreadyStored(found) if found else VersionTaken())

    async def _finish_by(self, pending: _Pending, refused: AlreadyStored | VersionTaken) -> None:
        if isinstance(refused, AlreadyStored):
            await self._tools.guard.require_whole_to(CommitRef(refused.commit.position, refused.commit.commit_id))
        self._finish(pending, self._own_or(refused, pending))

    def _own_or(self, refused: AlreadyStored | VersionTaken, pending: _Pending) -> AppendOutcome:
        """The stored commit with its id may be this very commit, from an attempt that ended without a reply."""
        if isinstance(refused, AlreadyStored) and pending.in_doubt:
            return resolve_outcome(pending.commit, refused.commit)
        return refused

    def _finish(self, pending: _Pending, outcome: AppendOutcome) -> None:
        self._outcomes[pending.index] = outcome
        stream_id = pending.commit.stream_id
        if isinstance(outcome, Appended):
            commit = CommitRef(outcome.position, pending.commit.commit_id)
            self._tools.stream_versions.record(stream_id, StreamVersion(pending.commit.last_version, commit))
            return
        for later in self._pending:
            if later.index > pending.index and later.commit.stream_id == stream_id:
                self._outcomes[later.index] = NotTried()

    def _drop_finished(self) -> None:
        self._pending = [pending for pending in self._pending if self._outcomes[pending.index] is None]

    def _round_failed(self, error: Exception) -> None:
        """The next round begins by reading the tip again."""
        self._tools.positions.invalidate()
        self._drop_finished()
        if self._reason is None or not isinstance(error, TimeoutError):
            failure = error if isinstance(error, StoreUnavailable) else self._database.unavailable(error)
            self._reason = failure.message


class Positions:
    """Where the next commit may be written: directly behind a position that is known to be majority-committed.

    Nothing else may ever be built on. A commit that the primary has and the majority has not can vanish in a failover,
    and the commit after it would then stay behind a gap. `tip_read_concern` is majority; a test passes another one to
    show this.
    """

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._concern = tip_read_concern
        self._base: CommitRef | None = None

    async def base(self) -> CommitRef:
        """A majority-committed commit, or position 0, as near to the tip as is known without a request. The store is
        asked the first time, and again after `invalidate`."""
        if self._base is None:
            # No linearizable read: a position that was majority-committed once stays so, and only costs a lost attempt
            # when it is not the newest. A primary that was deposed without knowing it can't commit what is built on it.
            self._base = await self._database.call(
                lambda session: read_tip(self._database.commits.with_options(read_concern=self._concern), session)
            )
        known = self._database.committed_tip.commit
        return known if known.position > self._base.position else self._base

    def invalidate(self) -> None:
        """Another writer was first, or the outcome of a write is unknown."""
        self._base = None


_TYPES = {"$ifNull": ["$types", "$events"]}
"""In a commit as Postlog 0.1 stored it, only `events` is an array."""

EVENT_COUNT = {"$cond": [{"$isArray": _TYPES}, {"$size": _TYPES}, None]}

EVENTS_COUNTED = {"version": 1, "commitId": 1, "events": EVENT_COUNT}
"""Projection of a commit for `stream_version_of`: how many events it has, in place of the events."""


class StreamVersion(NamedTuple):
    """The last version of a stream, and the commit that holds it."""

    version: int
    commit: CommitRef


def stream_version_of(document: Document) -> StreamVersion:
    """Raises `LogDamaged` for a document that is not a commit."""
    position, version, events = document["_id"], document.get("version"), document.get("events")
    if not (isinstance(position, int) and isinstance(version, int) and isinstance(events, int)):
        raise foreign_document(position)
    return StreamVersion(version + events - 1, CommitRef(int(position), document.get("commitId")))


class StreamVersions:
    """The last versions of streams, as reads and appends of this process have shown them; a bounded memory.

    The unique key (streamId, version) refuses a second commit that begins at a version, but not one that begins inside
    another, nor one behind a gap. So a commit is only sent when its version is 1 or follows the last version of a
    commit that is majority-committed. Together with the key this keeps every stream dense, whatever a caller believes.
    """

    def __init__(self, database: MongoDatabase, fence: ReadFence, capacity: int = 100_000) -> None:
        self._database = database
        self._fence = fence
        self._capacity = capacity
        self._last: dict[PostId, StreamVersion] = {}

    def record(self, stream_id: PostId, seen: StreamVersion) -> None:
        """This commit of the stream is majority-committed. Raises `LogChanged` when another one had its version."""
        known = self._last.pop(stream_id, seen)
        if known.version == seen.version and known != seen:
            raise self._database.log_changed(
                f"version {seen.version} of post {stream_id} is at position {seen.commit.position}, in another commit "
                f"than before, which was at {known.commit.position}"
            )
        self._last[stream_id] = max(known, seen, key=lambda each: each.version)
        if len(self._last) > self._capacity:
            del self._last[next(iter(self._last))]

    def last(self, stream_id: PostId) -> StreamVersion | None:
        """As far as it is known."""
        return self._last.get(stream_id)

    def allows(self, commit: ProposedCommit) -> bool:
        return self._last_version(commit.stream_id) == commit.version - 1

    async def load(self, commits: Iterable[ProposedCommit]) -> None:
        """Read what `allows` has to know of the first commit of each stream."""
        firsts: dict[PostId, ProposedCommit] = {}
        for commit in commits:
            firsts.setdefault(commit.stream_id, commit)
        if unknown := self._ahead_of_known(firsts.values()):
            await asyncio.gather(*(self._load(commit) for commit in unknown))
        if unknown := self._ahead_of_known(unknown):
            # The caller knows more than this read has shown: it is wrong, or the primary is a new one and lags.
            await self._fence.establish()
            await asyncio.gather(*(self._load(commit) for commit in unknown))

    def _ahead_of_known(self, commits: Iterable[ProposedCommit]) -> list[ProposedCommit]:
        return [commit for commit in commits if self._last_version(commit.stream_id) < commit.version - 1]

    def _last_version(self, stream_id: PostId) -> int:
        last = self._last.get(stream_id)
        return last.version if last else 0

    async def _load(self, commit: ProposedCommit) -> None:
        before = {"streamId": commit.stream_id, "version": {"$lt": commit.version}}
        last = await self._database.call(
            lambda session: self._database.commits.find_one(
                before, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        if last is not None:
            self.record(commit.stream_id, stream_version_of(last))


POSITION = ("_id",)
"""The key that refuses a commit whose position another writer took."""

_DUPLICATE_KEY = 11000
_ANOTHER_COLLECTION = 361


@dataclass(frozen=True, slots=True)
class Inserted:
    """The first `count` documents are majority-committed; the next, if any, was refused by the unique key on the fields
    `refused_by`, and those behind it were not tried."""

    count: int
    refused_by: tuple[str, ...] | None


async def insert_group(database: MongoDatabase, documents: Sequence[RawBSONDocument]) -> Inserted:
    """One ordered `insert` command, acknowledged by the majority's journals.

    It is the bare command, since the driver's own method can't name the collection's UUID: with it the server refuses
    the insert when the collection was dropped, replaced or renamed, where it would otherwise create a new one without
    the unique keys. The price is that the driver does not repeat the insert by itself after a failover; `GroupWrite`
    does.

    Raises `LogChanged`, with nothing inserted, when the collection is another one than at the start; after any other
    error it is unknown which of the documents are in the log, or will be.
    """
    command = {
        "insert": "commits",
        "documents": list(documents),
        "ordered": True,
        "writeConcern": database.database.write_concern.document,
    }
    if database.commits_uuid is not None:
        command["collectionUUID"] = database.commits_uuid
    reply = await database.shield(database.database.command(command))
    failures = _failures(reply)
    database.advance_operation_time(reply.get("operationTime"))
    if not failures:
        return Inserted(len(documents), None)
    if failures[0]["code"] == _ANOTHER_COLLECTION:
        raise database.log_changed(COMMITS_REPLACED)
    return Inserted(failures[0]["index"], tuple(failures[0]["keyPattern"]))


def _failures(reply: Mapping[str, Any]) -> list[Document]:
    """The failure of the first refused document, when it says what became of the others. Any other failure is raised:
    also when the server does not know whether all that it did will last."""
    if failure := reply.get("writeConcernError"):
        raise OperationFailure(failure["errmsg"], failure["code"])
    failures: list[Document] = reply.get("writeErrors", [])
    if failures and failures[0]["code"] not in (_DUPLICATE_KEY, _ANOTHER_COLLECTION):
        raise OperationFailure(failures[0]["errmsg"], failures[0]["code"])
    return failures


async def stored_commits(database: MongoDatabase, commit_ids: Sequence[str]) -> dict[str, Commit]:
    """Those that are majority-committed, by commit id. One that is missing may still arrive."""
    return {commit.commit_id: commit for commit in await _find(database, {"commitId": {"$in": list(commit_ids)}})}


async def refusal(database: MongoDatabase, commit: ProposedCommit) -> AlreadyStored | VersionTaken | None:
    """Which stored commit a unique key found in this commit's place; a repeated id wins over a taken version. None when
    there is no such commit: what refused it has vanished in a failover."""
    same_version = {"streamId": commit.stream_id, "version": commit.version}
    rivals = await _find(database, {"$or": [{"commitId": commit.commit_id}, same_version]})
    for rival in rivals:
        if rival.commit_id == commit.commit_id:
            return AlreadyStored(rival)
    return VersionTaken() if rivals else None


def resolve_outcome(commit: ProposedCommit, stored: Commit) -> Appended | AlreadyStored:
    """For a commit that was sent without a reply: is the stored one this commit, or was its id used before?"""
    return Appended(stored.position) if _same(commit, stored) else AlreadyStored(stored)


def _same(commit: ProposedCommit, stored: Commit) -> bool:
    return (
        commit.stream_id == stored.stream_id
        and commit.version == stored.version
        and commit.recorded_at == stored.recorded_at
        and commit.metadata == stored.metadata
        and commit.events == stored.events
    )


async def _find(database: MongoDatabase, wanted: Document) -> list[Commit]:
    documents = await database.call(lambda session: database.commits.find(wanted, session=session).to_list())
    return [commit_from_document(document) for document in documents]
