"""Where the next commit may go: directly behind a position that is known to be majority-committed.

Nothing else may ever be built on. A commit that the primary has and the majority has not can vanish in a failover, and
what stands behind it would then stand behind a gap.

Does a commit stand directly behind the commits of its stream that are in the log?

The unique key (streamId, version) refuses a second commit that begins at a version, but not one that begins inside
another, nor one behind a gap. So a commit is only sent when its version is 1 or follows the last version of a commit
that is majority-committed. Together with the key this keeps every stream dense, whatever a caller believes.

One group write: one `insert` command, ordered, acknowledged by the majority's journals.

It is the bare command, since the driver's own method can't name the collection's UUID: with it the server refuses the
insert when somebody dropped, replaced or renamed the collection, where it would otherwise make a new one without the
unique keys. The price is that the driver does not repeat the insert by itself after a failover; `appending` does.

What became of a commit, asked by its id: the one question that a lost answer leaves.

Carry the commits of one call into the log, through lost positions, failed commits and lost answers.

One round is: settle what is in doubt, take the longest run of commits that may stand in the log, send it as one insert
behind a committed position, and note what became of it. Rounds are repeated until every commit has its outcome or the
time is up. What keeps this safe at any point of failure:

- Positions are only built on committed ones (`positions`), so an insert that arrives late leaves no gap either.
- An ordered insert stops at its first failure, so a commit never stands in the log without those of its stream that
  went before it in the same call.
- A commit keeps its id through every attempt, so the log takes it once; before it is answered for, a commit whose
  attempt ended without an answer is looked up by that id.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from adapters.mongo.database import COMMITS_REPLACED, MAJORITY, Document, MongoDatabase
from adapters.mongo.errors import is_driver_error
from adapters.mongo.guard import LogGuard, ReadFence
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.tip import START, CommitRef
from adapters.mongo.writer_backoff import WriterBackoff
from adapters.wire.commit_bson import at_position, commit_from_document, encode_without_position, foreign_document
from application.envelopes import Commit, ProposedCommit
from application.errors import LogDamaged, StoreUnavailable
from application.ports.event_store import AlreadyStored, Appended, AppendOutcome, NotTried, Unsettled, VersionTaken
from domain.ids import PostId

_POSITIONS = {"_id": {"$gt": 0, "$type": ["int", "long"]}}
"""Documents with another kind of `_id` are none of the log's."""


async def read_tip(
    database: MongoDatabase, session: AsyncClientSession, read_concern: ReadConcern = MAJORITY
) -> CommitRef:
    """Raises what the driver raises."""
    commits = database.commits.with_options(read_concern=read_concern)
    tip = await commits.find_one(_POSITIONS, {"commitId": 1}, sort=[("_id", -1)], session=session)
    return CommitRef(int(tip["_id"]), tip.get("commitId")) if tip else START


class Positions:
    """`tip_read_concern` is majority; another one is for the test that shows why."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._concern = tip_read_concern
        self._base: CommitRef | None = None

    async def committed(self) -> CommitRef:
        """A majority-committed commit, or position 0, as near to the tip as is known without asking. The store is
        asked the first time, and again after `doubt`."""
        if self._base is None:
            # No linearizable read: a position that was majority-committed once stays so, and only costs a lost attempt
            # when it is not the newest. A primary that was deposed without knowing it can't commit what is built on it.
            self._base = await self._database.call(lambda session: read_tip(self._database, session, self._concern))
        known = self._database.committed_tip.place
        return known if known.position > self._base.position else self._base

    def doubt(self) -> None:
        """Another writer was first, or what became of a write is unknown."""
        self._base = None


EVENTS_COUNTED = {
    "version": 1,
    "commitId": 1,
    "events": {"$cond": [{"$isArray": "$events"}, {"$size": "$events"}, None]},
}
"""Projection of a commit for `stream_end_of`: how many events it has, in place of the events."""


class StreamVersion(NamedTuple):
    """The last version of a stream, and the commit that holds it."""

    version: int
    place: CommitRef


def stream_version_of(document: Document) -> StreamVersion:
    """Raises `LogDamaged` for a document that is no commit."""
    position, version, events = document["_id"], document.get("version"), document.get("events")
    if not (isinstance(position, int) and isinstance(version, int) and isinstance(events, int)):
        raise foreign_document(position)
    return StreamVersion(version + events - 1, CommitRef(int(position), document.get("commitId")))


class StreamVersions:
    """Bounded memory of the last versions that reads and appends of this process have shown."""

    def __init__(self, database: MongoDatabase, fence: ReadFence, capacity: int = 100_000) -> None:
        self._database = database
        self._fence = fence
        self._capacity = capacity
        self._ends: dict[PostId, StreamVersion] = {}

    def saw(self, stream_id: PostId, end: StreamVersion) -> None:
        """This commit of the stream is majority-committed. Raises `LogChanged` when another one held its version."""
        known = self._ends.pop(stream_id, end)
        if known.version == end.version and known != end:
            raise self._database.log_changed(
                f"version {end.version} of post {stream_id} stands at position {end.place.position} and is another "
                f"commit than before, which stood at {known.place.position}"
            )
        self._ends[stream_id] = max(known, end, key=lambda each: each.version)
        if len(self._ends) > self._capacity:
            del self._ends[next(iter(self._ends))]

    def end(self, stream_id: PostId) -> StreamVersion | None:
        """As far as it is known."""
        return self._ends.get(stream_id)

    def allows(self, commit: ProposedCommit) -> bool:
        return self._last_version(commit.stream_id) == commit.version - 1

    async def learn(self, commits: Iterable[ProposedCommit]) -> None:
        """Look up what has to be known to `allow` the first commit of each stream."""
        firsts: dict[PostId, ProposedCommit] = {}
        for commit in commits:
            firsts.setdefault(commit.stream_id, commit)
        if unknown := self._beyond_what_is_known(firsts.values()):
            await asyncio.gather(*(self._learn(commit) for commit in unknown))
        if unknown := self._beyond_what_is_known(unknown):
            # The caller knows more than this read has shown: it is wrong, or the primary is a new one and lags.
            await self._fence.passed()
            await asyncio.gather(*(self._learn(commit) for commit in unknown))

    def _beyond_what_is_known(self, commits: Iterable[ProposedCommit]) -> list[ProposedCommit]:
        return [commit for commit in commits if self._last_version(commit.stream_id) < commit.version - 1]

    def _last_version(self, stream_id: PostId) -> int:
        end = self._ends.get(stream_id)
        return end.version if end else 0

    async def _learn(self, commit: ProposedCommit) -> None:
        before = {"streamId": commit.stream_id, "version": {"$lt": commit.version}}
        last = await self._database.call(
            lambda session: self._database.commits.find_one(
                before, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        if last is not None:
            self.saw(commit.stream_id, stream_version_of(last))


MAX_COMMITS = 1_000
MAX_BYTES = 16_000_000
"""The driver takes at most 16,793,598 in one command."""

POSITION = ("_id",)
_DUPLICATE_KEY = 11000
_ANOTHER_COLLECTION = 361


@dataclass(frozen=True, slots=True)
class Inserted:
    """The first `count` documents are majority-committed; the next, if any, was refused by the unique key on the fields
    `refused_by`, and those behind it were not tried."""

    count: int
    refused_by: tuple[str, ...] | None


async def insert_group(database: MongoDatabase, documents: Sequence[RawBSONDocument]) -> Inserted:
    """Raises `LogChanged`, with nothing inserted, when the collection is another one than at the start; whatever else
    is raised leaves open which of the documents are in the log, or will be."""
    command = {
        "insert": "commits",
        "documents": list(documents),
        "ordered": True,
        "writeConcern": database.database.write_concern.document,
    }
    if database.commits_uuid is not None:
        command["collectionUUID"] = database.commits_uuid
    failures = await database.call(lambda session: _insert(database, command, session))
    if not failures:
        return Inserted(len(documents), None)
    if failures[0]["code"] == _ANOTHER_COLLECTION:
        raise database.log_changed(COMMITS_REPLACED)
    return Inserted(failures[0]["index"], tuple(failures[0]["keyPattern"]))


async def _insert(database: MongoDatabase, command: Document, session: AsyncClientSession) -> list[Document]:
    """Why the first document that was refused was refused, when it says what became of the others. Else that is
    raised: also when the server does not know whether all that it did will last."""
    answer = await database.database.command(command, session=session)
    if failure := answer.get("writeConcernError"):
        raise OperationFailure(failure["errmsg"], failure["code"])
    failures: list[Document] = answer.get("writeErrors", [])
    if failures and failures[0]["code"] not in (_DUPLICATE_KEY, _ANOTHER_COLLECTION):
        raise OperationFailure(failures[0]["errmsg"], failures[0]["code"])
    return failures


async def stored_commits(database: MongoDatabase, commit_ids: Sequence[str]) -> dict[str, Commit]:
    """Those that are majority-committed, by commit id. One that is missing may still arrive."""
    return {commit.commit_id: commit for commit in await _found(database, {"commitId": {"$in": list(commit_ids)}})}


async def refusal(database: MongoDatabase, commit: ProposedCommit) -> AlreadyStored | VersionTaken | None:
    """Why the log holds something in this commit's place; a repeated id wins over a taken version. None when there is
    nothing of the kind: what refused it has vanished in a failover."""
    same_version = {"streamId": commit.stream_id, "version": commit.version}
    rivals = await _found(database, {"$or": [{"commitId": commit.commit_id}, same_version]})
    for rival in rivals:
        if rival.commit_id == commit.commit_id:
            return AlreadyStored(rival)
    return VersionTaken() if rivals else None


def resolve_outcome(commit: ProposedCommit, stored: Commit) -> Appended | AlreadyStored:
    """For a commit that was sent and not answered: is it what stands in the log, or did somebody use its id before?"""
    return Appended(stored.position) if _same(commit, stored) else AlreadyStored(stored)


def _same(commit: ProposedCommit, stored: Commit) -> bool:
    return (
        commit.stream_id == stored.stream_id
        and commit.version == stored.version
        and commit.recorded_at == stored.recorded_at
        and commit.metadata == stored.metadata
        and commit.events == stored.events
    )


async def _found(database: MongoDatabase, wanted: Document) -> list[Commit]:
    documents = await database.call(lambda session: database.whole_commits.find(wanted, session=session).to_list())
    return [commit_from_document(document) for document in documents]


_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts while the store fails."""

_ROUND_SHARE = 0.6
"""Of the append's time; a server that hangs must not use up all of it. The server's own limit comes first, at half."""


@dataclass(frozen=True, slots=True)
class WriteTools:
    """What every group write of one process shares."""

    database: MongoDatabase
    positions: Positions
    guard: LogGuard
    stream_versions: StreamVersions
    backoff: WriterBackoff
    schema: SchemaCheck


@dataclass(slots=True)
class _Pending:
    """`in_doubt`: an attempt ended without an answer, and it may be in the log, or arrive there yet."""

    place: int
    commit: ProposedCommit
    encoded: bytes
    in_doubt: bool = False


class GroupWrite:
    """The append of one call."""

    def __init__(self, tools: WriteTools, commits: Sequence[ProposedCommit]) -> None:
        self._tools = tools
        self._database = tools.database
        self._pending = [
            _Pending(place, commit, encode_without_position(commit)) for place, commit in enumerate(commits)
        ]
        self._outcomes: list[AppendOutcome | None] = [None] * len(commits)
        self._ends_learned = False
        self._reason: str | None = None

    async def run(self) -> list[AppendOutcome]:
        """Raises `SchemaOutdated`, with nothing sent, when the unique keys are not there; `LogChanged` when the log
        lost what this process has built on: some of the commits may be in it, and none is acknowledged."""
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
                self._note_failure(error)
                await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
                pause = min(2 * pause, _LONGEST_PAUSE)
        unsettled = Unsettled(self._reason or "Other writers were faster until the time was up.")
        return [outcome or unsettled for outcome in self._outcomes]

    async def _round(self) -> None:
        await self._prepare()
        group = self._next_group()
        if group:
            await self._write(group)
        elif self._pending:
            await self._refuse_for_its_version(self._pending[0])
        self._drop_ended()

    async def _prepare(self) -> None:
        self._database.require_unchanged()
        await self._tools.schema.check()
        in_doubt = [pending for pending in self._pending if pending.in_doubt]
        if in_doubt:
            await self._settle(in_doubt)
        if not self._ends_learned:
            await self._tools.stream_versions.learn(pending.commit for pending in self._pending)
            self._ends_learned = True

    async def _settle(self, in_doubt: Sequence[_Pending]) -> None:
        stored = await stored_commits(self._database, [pending.commit.commit_id for pending in in_doubt])
        if stored:
            places = sorted(CommitRef(commit.position, commit.commit_id) for commit in stored.values())
            relied = self._tools.guard.relied_on(places[-1], [*self._ends_of(in_doubt), *places])
            await self._tools.guard.check(relied, places[-1])
        for pending in in_doubt:
            found = stored.get(pending.commit.commit_id)
            if found is not None and self._outcomes[pending.place] is None:
                self._end(pending, resolve_outcome(pending.commit, found))
        self._drop_ended()

    def _next_group(self) -> list[_Pending]:
        """The longest run of what is pending that fits into one insert and stands right behind its streams' ends."""
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
        if await tools.backoff.my_turn():
            tools.positions.doubt()
        started = asyncio.get_running_loop().time()
        base = await tools.positions.committed()
        inserted = await self._insert(group, base)
        for position, pending in enumerate(group[: inserted.count], base.position + 1):
            self._end(pending, Appended(position))
        if inserted.refused_by == POSITION:
            tools.positions.doubt()
            await tools.backoff.lost(asyncio.get_running_loop().time() - started)
            return
        tools.backoff.won()
        if inserted.refused_by is not None:
            await self._end_refused(group[inserted.count])

    async def _insert(self, group: Sequence[_Pending], base: CommitRef) -> Inserted:
        """Returns when what was inserted is known to stand on what it was built on."""
        guard = self._tools.guard
        if not guard.has_begun:
            await guard.reaches(base)
        relied = guard.relied_on(base, self._ends_of(group))
        first = base.position + 1
        documents = [at_position(pending.encoded, position) for position, pending in enumerate(group, first)]
        inserting = asyncio.ensure_future(insert_group(self._database, documents))
        last = CommitRef(base.position + len(group), group[-1].commit.commit_id)
        looking = asyncio.ensure_future(guard.beside(inserting, relied, last))
        try:
            inserted = await inserting
            seen = await looking
            if inserted.count:
                last = CommitRef(base.position + inserted.count, group[inserted.count - 1].commit.commit_id)
                if not seen:
                    await guard.check({**relied, last.position: last.commit_id}, last)
                guard.passed(last)
                self._database.committed_tip.saw(*last)
        except BaseException:
            for pending in group:
                pending.in_doubt = True
            raise
        finally:
            for task in (inserting, looking):
                task.cancel()
            await asyncio.gather(inserting, looking, return_exceptions=True)
        return inserted

    def _ends_of(self, group: Sequence[_Pending]) -> list[CommitRef]:
        """Where the streams end that this group continues."""
        ends = [self._tools.stream_versions.end(pending.commit.stream_id) for pending in group]
        return [end.place for end in ends if end is not None]

    async def _end_refused(self, pending: _Pending) -> None:
        """The key of its version or of its commit id refused it."""
        try:
            found = await refusal(self._database, pending.commit)
        except LogDamaged as error:
            self._end(pending, Unsettled(error.message))
            return
        if found is not None:
            await self._end_by(pending, found)

    async def _refuse_for_its_version(self, pending: _Pending) -> None:
        """It does not stand right behind the end of its stream, as far as this process remembers that."""
        await self._tools.stream_versions.learn([pending.commit])
        if self._tools.stream_versions.allows(pending.commit):
            return
        stored = await stored_commits(self._database, [pending.commit.commit_id])
        found = stored.get(pending.commit.commit_id)
        await self._end_by(pending, AlreadyStored(found) if found else VersionTaken())

    async def _end_by(self, pending: _Pending, refused: AlreadyStored | VersionTaken) -> None:
        if isinstance(refused, AlreadyStored):
            await self._tools.guard.reaches(CommitRef(refused.commit.position, refused.commit.commit_id))
        self._end(pending, self._own_or(refused, pending))

    def _own_or(self, refused: AlreadyStored | VersionTaken, pending: _Pending) -> AppendOutcome:
        """What holds its id may be this very commit, from an attempt that ended without an answer."""
        if isinstance(refused, AlreadyStored) and pending.in_doubt:
            return resolve_outcome(pending.commit, refused.commit)
        return refused

    def _end(self, pending: _Pending, outcome: AppendOutcome) -> None:
        self._outcomes[pending.place] = outcome
        stream_id = pending.commit.stream_id
        if isinstance(outcome, Appended):
            place = CommitRef(outcome.position, pending.commit.commit_id)
            self._tools.stream_versions.saw(stream_id, StreamVersion(pending.commit.last_version, place))
            return
        for later in self._pending:
            if later.place > pending.place and later.commit.stream_id == stream_id:
                self._outcomes[later.place] = NotTried()

    def _drop_ended(self) -> None:
        self._pending = [pending for pending in self._pending if self._outcomes[pending.place] is None]

    def _note_failure(self, error: Exception) -> None:
        """The next round begins by asking the store where it stands."""
        self._tools.positions.doubt()
        self._drop_ended()
        if self._reason is None or not isinstance(error, TimeoutError):
            failure = error if isinstance(error, StoreUnavailable) else self._database.unavailable(error)
            self._reason = failure.message
