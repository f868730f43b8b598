"""What became of a command: every time comes with its source, and nothing is guessed."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.log import MemoryLog
from adapters.system import journal
from adapters.system.journal import LocalJournal
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import CommitNotFound, ReadDbUnavailable
from application.ports.relay_state import RelayStatus
from application.query_side.trace import CommandTrace, Source, Step, TraceCommand
from command_process import ANYBODY
from domain.commands import CreatePost, LikePost
from given import NOON, POST
from small_system import SmallSystem

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""Of the small system's clock, which steps by milliseconds; that of the journal steps by microseconds."""

FIRST = "0198c0de-0000-7000-8000-000000000001"
CREATED = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)


class JournalTime:
    def __init__(self) -> None:
        self.now = BEGIN

    def time(self) -> float:
        self.now += timedelta(microseconds=10)
        return self.now.timestamp()


@pytest.fixture(autouse=True)
def journal_time(monkeypatch: pytest.MonkeyPatch) -> JournalTime:
    journal_time = JournalTime()
    monkeypatch.setattr(journal, "time", journal_time)
    return journal_time


class Relay:
    def __init__(self, position: int) -> None:
        self.position = position

    async def state(self) -> RelayStatus:
        return RelayStatus(owner="r1", token=1, position=self.position)


class Traced:
    """A small system, and the trace of its commands: with the journal of its own process, or of another one."""

    def __init__(self, system: SmallSystem, noted: LocalJournal | None = None, relay: Relay | None = None) -> None:
        self.system = system
        self.journal = noted or system.journal
        process = system.process_with(journal=self.journal, bus_state=relay)
        self.sampler = process.pipeline_sampler()
        self._queries = process.query_dispatcher()

    async def create(self) -> str:
        await self.system.process.commands.handle(CREATED, ANYBODY)
        return (await self.system.commit_log.read(0))[0].commit_id

    async def project(self) -> None:
        async with self.system.projecting():
            await self.system.caught_up()

    async def trace(self, commit_id: str) -> CommandTrace:
        return await self._queries.ask(TraceCommand(commit_id))


def told(trace: CommandTrace) -> list[tuple[Step, bool, Source]]:
    return [(step.step, step.taken, step.source) for step in trace.steps]


async def test_in_one_process_every_step_has_its_own_time_in_order():
    traced = Traced(SmallSystem())
    commit_id = await traced.create()
    await traced.project()
    trace = await traced.trace(commit_id)
    assert told(trace) == [
        (Step.RECEIVED, True, Source.HERE),
        (Step.DECIDED, True, Source.LOG),
        (Step.DURABLE, True, Source.HERE),
        (Step.PROJECTED, True, Source.HERE),
        (Step.VISIBLE, True, Source.HERE),
    ]
    here = [step.at for step in trace.steps if step.source is Source.HERE]
    assert here == sorted(here)
    assert (trace.is_done, trace.row_version, trace.generation, trace.parked_at) == (True, 1, 1, None)


async def test_before_it_is_projected_the_way_ends_at_the_log():
    traced = Traced(SmallSystem())
    trace = await traced.trace(await traced.create())
    assert [step.step for step in trace.steps if step.taken] == [Step.RECEIVED, Step.DECIDED, Step.DURABLE]
    assert not trace.is_done


async def test_another_process_tells_between_which_of_its_looks_a_step_was_taken():
    traced = Traced(SmallSystem(), LocalJournal())
    before = await traced.sampler.sample()
    commit_id = await traced.create()
    await traced.project()
    after = await traced.sampler.sample()
    trace = await traced.trace(commit_id)
    assert told(trace) == [
        (Step.RECEIVED, True, Source.UNKNOWN),
        (Step.DECIDED, True, Source.LOG),
        (Step.DURABLE, True, Source.SEEN),
        (Step.PROJECTED, True, Source.SEEN),
        (Step.VISIBLE, True, Source.SEEN),
    ]
    assert {(step.after, step.at) for step in trace.steps if step.source is Source.SEEN} == {(before.at, after.at)}


async def test_what_was_done_before_the_first_look_has_no_time():
    traced = Traced(SmallSystem(), LocalJournal())
    commit_id = await traced.create()
    await traced.project()
    trace = await traced.trace(commit_id)
    assert [step.step for step in trace.steps if step.source is not Source.UNKNOWN] == [Step.DECIDED]
    assert trace.is_done


async def test_another_process_tells_how_far_log_relay_and_rows_are_whoever_took_the_steps():
    relay = Relay(0)
    traced = Traced(SmallSystem(), LocalJournal(), relay)
    commit_id = await traced.create()
    assert reached(await traced.trace(commit_id)) == [
        (Step.DURABLE, True, 1),
        (Step.PUBLISHED, False, 0),
        (Step.PROJECTED, False, 0),
        (Step.VISIBLE, False, 0),
    ]
    await traced.system.process.commands.handle(LikePost(post_id=POST, username="Bob"), ANYBODY)
    await traced.project()
    relay.position = 2
    await traced.sampler.sample()
    assert reached(await traced.trace(commit_id)) == [
        (Step.DURABLE, True, 2),
        (Step.PUBLISHED, True, 2),
        (Step.PROJECTED, True, 2),
        (Step.VISIBLE, True, 2),
    ]


def reached(trace: CommandTrace) -> list[tuple[Step, bool, int | None]]:
    return [(step.step, step.taken, step.reached) for step in trace.steps[2:]]


async def test_who_repeats_a_command_after_a_restart_is_not_the_one_who_did_it(journal_time: JournalTime):
    log = MemoryLog()
    commit_id = await Traced(SmallSystem(log)).create()
    later = Traced(SmallSystem(log))
    journal_time.now += timedelta(minutes=1)
    later.journal.record_received(commit_id)
    trace = await later.trace(commit_id)
    received, decided, durable, *_ = trace.steps
    assert (received.source, durable.source) == (Source.UNKNOWN, Source.UNKNOWN)
    assert decided.source is Source.LOG


@pytest.mark.parametrize(("position", "published"), [(0, False), (1, True)])
async def test_with_a_bus_the_relay_stands_between(position: int, published: bool):
    traced = Traced(SmallSystem(), relay=Relay(position))
    trace = await traced.trace(await traced.create())
    assert [(step.step, step.taken) for step in trace.steps[3:]] == [
        (Step.PUBLISHED, published),
        (Step.PROJECTED, False),
        (Step.VISIBLE, False),
    ]


async def test_what_is_in_the_rows_was_published_whatever_the_relay_s_checkpoint_says():
    traced = Traced(SmallSystem(), relay=Relay(0))
    commit_id = await traced.create()
    await traced.project()
    trace = await traced.trace(commit_id)
    assert all(step.taken for step in trace.steps)


async def test_a_parked_post_s_command_waits():
    traced = Traced(SmallSystem())
    await traced.create()
    newer = ProposedCommit(
        stream_id=POST,
        version=2,
        commit_id="00000000-0000-7000-8000-000000000002",
        recorded_at=NOON,
        metadata={},
        events=(StoredEvent("PostLiked", 9, {}),),
    )
    await traced.system.event_store.append([newer])
    await traced.project()
    trace = await traced.trace(newer.commit_id)
    assert (trace.parked_at, trace.is_done, trace.logged.unreadable is not None) == (2, True, True)
    assert [step.step for step in trace.steps if not step.taken] == [Step.PROJECTED, Step.VISIBLE]


async def test_one_that_is_under_way_here_is_known_before_the_log_has_it():
    traced = Traced(SmallSystem())
    traced.journal.record_received(FIRST)
    trace = await traced.trace(FIRST)
    assert [step.step for step in trace.steps if step.taken] == [Step.RECEIVED]
    assert (trace.logged, trace.is_done) == (None, False)


async def test_one_that_nobody_knows_is_not_found():
    with pytest.raises(CommitNotFound):
        await Traced(SmallSystem()).trace(FIRST)


async def test_while_the_read_database_is_away_the_log_still_tells():
    traced = Traced(SmallSystem())
    commit_id = await traced.create()

    async def away(*_: object) -> object:
        raise ReadDbUnavailable("The read database does not answer.")

    traced.system.views.post = traced.system.views.stamp = traced.system.store.live = away
    trace = await traced.trace(commit_id)
    assert trace.problems == ["The read database does not answer."]
    assert [step.step for step in trace.steps if step.taken] == [Step.RECEIVED, Step.DECIDED, Step.DURABLE]
    assert trace.logged.commit.recorded_at - trace.steps[0].at < timedelta(minutes=1)
