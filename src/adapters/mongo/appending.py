"""Carry the commits of one call into the log, through lost positions, failed commits and lost answers.

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
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.mongo.database import MongoDatabase
from adapters.mongo.errors import is_drivers
from adapters.mongo.fairness import Turns
from adapters.mongo.group_insert import MAX_BYTES, MAX_COMMITS, POSITION, Inserted, insert_group
from adapters.mongo.guard import LogGuard
from adapters.mongo.known_tip import Place
from adapters.mongo.positions import Positions
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.settling import outcome_of, refusal, stored_commits
from adapters.mongo.stream_ends import StreamEnd, StreamEnds
from adapters.wire.commit_bson import at_position, encode_without_position
from application.envelopes import ProposedCommit
from application.errors import LogDamaged, StoreUnavailable
from application.ports.event_store import AlreadyStored, Appended, AppendOutcome, NotTried, Unsettled, VersionTaken
from domain.ids import PostId

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
    stream_ends: StreamEnds
    turns: Turns
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
                if not isinstance(error, StoreUnavailable) and not is_drivers(error):
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
            await self._tools.stream_ends.learn(pending.commit for pending in self._pending)
            self._ends_learned = True

    async def _settle(self, in_doubt: Sequence[_Pending]) -> None:
        stored = await stored_commits(self._database, [pending.commit.commit_id for pending in in_doubt])
        if stored:
            places = sorted(Place(commit.position, commit.commit_id) for commit in stored.values())
            relied = self._tools.guard.relied_on(places[-1], [*self._ends_of(in_doubt), *places])
            await self._tools.guard.check(relied, places[-1])
        for pending in in_doubt:
            found = stored.get(pending.commit.commit_id)
            if found is not None and self._outcomes[pending.place] is None:
                self._end(pending, outcome_of(pending.commit, found))
        self._drop_ended()

    def _next_group(self) -> list[_Pending]:
        """The longest run of what is pending that fits into one insert and stands right behind its streams' ends."""
        group: list[_Pending] = []
        next_versions: dict[PostId, int] = {}
        size = 0
        for pending in self._pending[:MAX_COMMITS]:
            commit, size = pending.commit, size + len(pending.encoded)
            expected = next_versions.get(commit.stream_id)
            fits = self._tools.stream_ends.allows(commit) if expected is None else expected == commit.version
            if not fits or (group and size > MAX_BYTES):
                break
            next_versions[commit.stream_id] = commit.last_version + 1
            group.append(pending)
        return group

    async def _write(self, group: Sequence[_Pending]) -> None:
        tools = self._tools
        if await tools.turns.my_turn():
            tools.positions.doubt()
        started = asyncio.get_running_loop().time()
        base = await tools.positions.committed()
        inserted = await self._insert(group, base)
        for position, pending in enumerate(group[: inserted.count], base.position + 1):
            self._end(pending, Appended(position))
        if inserted.refused_by == POSITION:
            tools.positions.doubt()
            await tools.turns.lost(asyncio.get_running_loop().time() - started)
            return
        tools.turns.won()
        if inserted.refused_by is not None:
            await self._end_refused(group[inserted.count])

    async def _insert(self, group: Sequence[_Pending], base: Place) -> Inserted:
        """Returns when what was inserted is known to stand on what it was built on."""
        guard = self._tools.guard
        if not guard.has_begun:
            await guard.reaches(base)
        relied = guard.relied_on(base, self._ends_of(group))
        first = base.position + 1
        documents = [at_position(pending.encoded, position) for position, pending in enumerate(group, first)]
        inserting = asyncio.ensure_future(insert_group(self._database, documents))
        last = Place(base.position + len(group), group[-1].commit.commit_id)
        looking = asyncio.ensure_future(guard.beside(inserting, relied, last))
        try:
            inserted = await inserting
            seen = await looking
            if inserted.count:
                last = Place(base.position + inserted.count, group[inserted.count - 1].commit.commit_id)
                if not seen:
                    await guard.check({**relied, last.position: last.commit_id}, last)
                guard.passed(last)
                self._database.known_tip.saw(*last)
        except BaseException:
            for pending in group:
                pending.in_doubt = True
            raise
        finally:
            for task in (inserting, looking):
                task.cancel()
            await asyncio.gather(inserting, looking, return_exceptions=True)
        return inserted

    def _ends_of(self, group: Sequence[_Pending]) -> list[Place]:
        """Where the streams end that this group continues."""
        ends = [self._tools.stream_ends.end(pending.commit.stream_id) for pending in group]
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
        await self._tools.stream_ends.learn([pending.commit])
        if self._tools.stream_ends.allows(pending.commit):
            return
        stored = await stored_commits(self._database, [pending.commit.commit_id])
        found = stored.get(pending.commit.commit_id)
        await self._end_by(pending, AlreadyStored(found) if found else VersionTaken())

    async def _end_by(self, pending: _Pending, refused: AlreadyStored | VersionTaken) -> None:
        if isinstance(refused, AlreadyStored):
            await self._tools.guard.reaches(Place(refused.commit.position, refused.commit.commit_id))
        self._end(pending, self._own_or(refused, pending))

    def _own_or(self, refused: AlreadyStored | VersionTaken, pending: _Pending) -> AppendOutcome:
        """What holds its id may be this very commit, from an attempt that ended without an answer."""
        if isinstance(refused, AlreadyStored) and pending.in_doubt:
            return outcome_of(pending.commit, refused.commit)
        return refused

    def _end(self, pending: _Pending, outcome: AppendOutcome) -> None:
        self._outcomes[pending.place] = outcome
        stream_id = pending.commit.stream_id
        if isinstance(outcome, Appended):
            place = Place(outcome.position, pending.commit.commit_id)
            self._tools.stream_ends.saw(stream_id, StreamEnd(pending.commit.last_version, place))
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
