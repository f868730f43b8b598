"""A post whose history has a gap, or a double, in the log: it alone stops, everything else flows, and everybody who
meets it says the same. Its adapter gives `open_log`, and `rewrite`, which changes a stored commit behind its back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.memory.log import MemoryLog, MemorySnapshots
from application.command_side.stream_state import FORMAT, Snapshotting, StateLoader, encode_state
from application.envelopes import ProposedCommit
from application.errors import StreamDamaged
from application.maintenance import events_check
from application.maintenance.events_check import EventsCheck, RangeCheck
from application.ports.event_store import Appended, Snapshot, Snapshots
from application.ports.generations import BuildState
from application.query_side.history import ListEvents
from application.query_side.posts import GetPost
from application.query_side.posts_as_of import GetPostAsOf
from command_process import ANYBODY, CODEC, CommandProcess, RecordedMetrics
from contracts.log_handle import POST_A, POST_B, POST_C, LogHandle, OpenLog, commit_id, liked, proposed
from contracts.rebuilding import sharded_batches
from domain.commands import CreatePost, LikePost
from domain.errors import PostNotFound
from domain.events import PostCreated
from domain.persistent_map import PersistentMap
from domain.post import LivePost
from given import NOON
from small_system import SmallSystem

Rewrite = Callable[..., Awaitable[None]]
"""`rewrite(position, stream_id=…, version=…, events=…)`: the commit there is another one from now on."""

CREATED = CODEC.encode([PostCreated(author="Ann", message="Hello", date_posted=NOON)])


def rewrite_in_memory(log: MemoryLog, position: int, **changes: Any) -> None:
    if "events" in changes:
        changes["events"] = tuple(changes["events"])
    commits = log.page(0, log.tip)
    log._entries.clear()
    log._streams.clear()
    for commit in commits:
        _, *proposed = commit._replace(**changes) if commit.position == position else commit
        log.add(ProposedCommit(*proposed))
    for stream in log._streams.values():
        stream.sort(key=lambda entry: entry.commit.version)


def loader(log: LogHandle, snapshots: Snapshots) -> StateLoader:
    return StateLoader(log.store, CODEC, Snapshotting(snapshots, RecordedMetrics(), every=100))


async def filled(log: LogHandle) -> None:
    """Positions 1 to 6: A at versions 1, 2 (two likes), 4 and 5, and B at 1 and 2 between them."""
    commits = [
        proposed(POST_A, 1, *CREATED),
        proposed(POST_B, 1, *CREATED),
        proposed(POST_A, 2, liked("Bob"), liked("Cid")),
        proposed(POST_A, 4, liked("Dan")),
        proposed(POST_B, 2, liked("Bob")),
        proposed(POST_A, 5, liked("Eve")),
    ]
    assert all(isinstance(outcome, Appended) for outcome in await log.store.append(commits))


KINDS: dict[str, tuple[tuple[int, dict[str, Any]], str, int]] = {
    "the first version is missing": (
        (1, {"stream_id": POST_C}),
        "version 1 is missing before position 3",
        0,
    ),
    "versions in the middle are missing": (
        (3, {"stream_id": POST_C}),
        "versions 2 to 3 are missing before position 4",
        1,
    ),
    "one version is missing": (
        (3, {"events": [liked("Bob")]}),
        "version 3 is missing before position 4",
        2,
    ),
    "a commit begins inside another": (
        (4, {"version": 3, "events": [liked("Dan"), liked("Fay")]}),
        "the commit at position 4 begins with version 3, but an earlier one ends with version 3",
        3,
    ),
    "a commit has no event": (
        (4, {"events": []}),
        "version 4 is missing: the commit at position 4 has no event",
        3,
    ),
}


class DamagedStreamsContract:
    @pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
    async def damage(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    async def test_the_post_is_parked_and_says_what_is_missing_and_the_others_flow(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, version = damage
        async with open_log() as log:
            await filled(log)
            await rewrite(position, **changes)
            system = SmallSystem(on=log, batch_size=2)
            async with system.projecting():
                await system.caught_up()
                assert (await log.store.append([proposed(POST_B, 3, liked("Cid"))]))[0] == Appended(7)
                await system.caught_up()

            rows = system.read_db.live_rows.posts
            assert (rows[POST_B].version, rows[POST_B].likes) == (3, 2)
            assert (rows[POST_A].version if POST_A in rows else 0) == version
            parked = {each.post_id: each for each in await system.parked_streams.parked()}
            assert (parked[POST_A].code, parked[POST_A].waiting_version) == ("stream-damaged", 5)
            assert f"The log is damaged at post {POST_A}: {sentence}. " in parked[POST_A].reason
            assert f"`postlog parked retry {POST_A}`" in parked[POST_A].reason

    async def test_commands_on_it_are_refused_and_nothing_is_written(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            await rewrite(position, **changes)
        async with open_log() as log:
            handle = SmallSystem(on=log).process.commands.handle
            with pytest.raises(StreamDamaged, match=sentence):
                await handle(LikePost(post_id=POST_A, username="Gus"), ANYBODY)
            assert await log.commits.tip() == 6
            assert (await handle(LikePost(post_id=POST_B, username="Gus"), ANYBODY)).version == 3

    async def test_an_import_of_the_post_does_not_begin_it_again(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        """An import derives the post's id, so that its first commit may meet what is left of the post."""
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            await rewrite(position, **changes)
        async with open_log() as log:
            commands = SmallSystem(on=log).process.commands
            create = CreatePost(post_id=POST_A, author="Ann", message="Hello", date_posted=NOON)
            with pytest.raises(StreamDamaged, match=sentence):
                await commands.commit(POST_A, [create], ANYBODY, commit_id("imported"))
            assert await log.commits.tip() == 6

    async def test_a_snapshot_beyond_the_damage_does_not_hide_it(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            snapshots = MemorySnapshots(MemoryLog())
            state = LivePost(author="Ann", message="Hello", likers=PersistentMap.of({}), comments=PersistentMap.of({}))
            [commit] = await log.commits.read(5, 1)
            stored = encode_state(state, commit.commit_id)
            await snapshots.store(Snapshot(stream_id=POST_A, version=5, position=6, format=FORMAT, state=stored))
            like = LikePost(post_id=POST_A, username="Gus")
            assert (await loader(log, snapshots).load(POST_A)).state == state
            process = CommandProcess(log.store, snapshots, every=100)
            await rewrite(position, **changes)
            with pytest.raises(StreamDamaged, match=sentence):
                await process.commands.handle(like, ANYBODY)

    async def test_a_snapshot_that_the_log_does_not_bear_out_is_ignored(self, open_log: OpenLog) -> None:
        """The log was restored to an older state, and has gone another way since."""
        async with open_log() as log:
            await filled(log)
            eve = LivePost(author="Eve", message="Other", likers=PersistentMap.of({}), comments=PersistentMap.of({}))
            commit_ids = {commit.position: commit.commit_id for commit in await log.commits.read(0)}
            for version, position, named in ((9, 9, 9), (5, 4, 4), (3, 6, 6), (2, 3, 3), (4, 4, 6), (4, 4, 4)):
                state = encode_state(eve, commit_ids.get(named, "of nobody"))
                snapshot = Snapshot(stream_id=POST_A, version=version, position=position, format=FORMAT, state=state)
                snapshots = MemorySnapshots(MemoryLog())
                await snapshots.store(snapshot)
                head = await loader(log, snapshots).load(POST_A)
                is_borne_out = (version, position, named) == (4, 4, 4)
                assert isinstance(head.state, LivePost)
                assert (head.version, head.position) == (5, 6)
                assert (head.state.author == "Eve") is is_borne_out

    async def test_history_is_shown_up_to_the_damage_and_then_says_so(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, version = damage
        async with open_log() as log:
            await filled(log)
            await rewrite(position, **changes)
            queries = SmallSystem(on=log).queries
            if version:
                page = await queries.ask(ListEvents(post_id=POST_A, limit=100))
                assert [event.version for event in page.events] == list(range(1, version + 1))
                assert page.next_after == version
                as_of = await queries.ask(GetPostAsOf(post_id=POST_A, version=version))
                assert as_of.post.version == version
            missing = sentence.partition(" before")[0]
            with pytest.raises(StreamDamaged, match=missing):
                await queries.ask(ListEvents(post_id=POST_A, limit=100, after=version))
            with pytest.raises(StreamDamaged, match=missing):
                await queries.ask(GetPostAsOf(post_id=POST_A, version=version + 1))
            with pytest.raises(StreamDamaged, match=missing):
                await queries.ask(GetPostAsOf(post_id=POST_A, at=NOON.replace(year=2030)))
            behind = await queries.ask(ListEvents(post_id=POST_A, limit=100, after=4))
            assert [event.version for event in behind.events] == [5]

    async def test_an_audit_finds_it_in_a_post_whose_row_is_beyond_it(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            system = SmallSystem(on=log)
            async with system.projecting():
                await system.caught_up()
            await rewrite(position, **changes)
            audit = system.container.audit()
            for report in (await audit.run(), await audit.sample(10)):
                [found] = [each for each in report.differences if each.post_id == POST_A]
                assert found.field == "log"
                assert sentence in found.found
            repaired = await system.container.repair().repair(POST_A)
            assert repaired.problem is not None
            assert sentence in repaired.problem

    async def test_an_audit_names_it_also_when_it_is_parked(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            await rewrite(position, **changes)
            system = SmallSystem(on=log)
            async with system.projecting():
                await system.caught_up()
            audit = system.container.audit()
            report = await audit.run()
            assert POST_A in report.parked
            assert [sentence in each.found for each in report.differences if each.post_id == POST_A] == [True]

    @pytest.mark.parametrize("workers", [1, 3])
    async def test_a_rebuild_parks_it_and_goes_on(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any, workers: int
    ) -> None:
        (position, changes), sentence, version = damage
        async with open_log() as log:
            await filled(log)
            system = SmallSystem(on=log)
            async with system.projecting():
                await system.caught_up()
            await rewrite(position, **changes)

            async def retry_nothing() -> None:
                """A retry reads the stream, where a commit without events does not show, and replaces the reason."""

            rebuild = system.container.rebuild(
                batch_events=2,
                batches=sharded_batches(system, 2, workers) if workers > 1 else None,
                retry_parked=retry_nothing,
            )
            builds = [build async for build in rebuild.run()]
            assert builds[-1].state is BuildState.LIVE
            rows = system.read_db.live_rows.posts
            assert rows[POST_B].version == 2
            assert (rows[POST_A].version if POST_A in rows else 0) == version
            parked = {each.post_id: each.reason for each in await system.parked_streams.parked()}
            assert sentence in parked[POST_A]

    @pytest.mark.parametrize("is_in_the_rows", [True, False])
    async def test_the_continuous_audit_says_it(
        self,
        open_log: OpenLog,
        rewrite: Rewrite,
        damage: Any,
        is_in_the_rows: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)
            system = SmallSystem(on=log)
            if not is_in_the_rows:
                await rewrite(position, **changes)
            async with system.projecting():
                await system.caught_up()
            if is_in_the_rows:
                await rewrite(position, **changes)
            caplog.clear()
            worker = system.container.continuous_audit(commits_per_second=1_000_000)
            running = asyncio.create_task(worker.run())
            try:
                async with asyncio.timeout(20):
                    while not any(f"{POST_A}: {sentence}" in record.getMessage() for record in caplog.records):
                        await asyncio.sleep(0.001)
            finally:
                running.cancel()
                await asyncio.wait([running])

    @pytest.mark.parametrize("workers", [1, 2])
    async def test_events_check_names_it(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any, workers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events_check, "COMMITS_A_RANGE", 2)
        (position, changes), sentence, _ = damage
        async with open_log() as log:
            await filled(log)

            def new_check() -> EventsCheck:
                each = [RangeCheck(log.commits, CODEC) for _ in range(workers)]
                return EventsCheck(log.commits, log.past_events, each, 20)

            whole = await new_check().run(lambda _: None)
            assert (whole.damaged, whole.damages) == (0, [])
            await rewrite(position, **changes)
            tally = await new_check().run(lambda _: None)
            reasons = {each.post_id: each.reason for each in tally.damages}
            assert f"The log is damaged at post {POST_A}: {sentence}." in reasons[POST_A]
            assert POST_B not in reasons
            assert tally.damaged >= 1

    async def test_put_back_from_a_backup_it_is_healed_by_a_retry_and_takes_commands(
        self, open_log: OpenLog, rewrite: Rewrite, damage: Any
    ) -> None:
        (position, changes), _, _ = damage
        async with open_log() as log:
            await filled(log)
            [backup] = await log.commits.read(position - 1, 1)
            await rewrite(position, **changes)
            system = SmallSystem(on=log)
            async with system.projecting():
                await system.caught_up()
            assert (await system.retry.retry(POST_A)).still is not None

            await rewrite(position, stream_id=POST_A, version=backup.version, events=backup.events)
            assert (await system.retry.retry(POST_A)).still is None
            row = system.read_db.live_rows.posts[POST_A]
            assert (row.version, row.likes) == (5, 4)
            handle = SmallSystem(on=log).process.commands.handle
            assert (await handle(LikePost(post_id=POST_A, username="Gus"), ANYBODY)).version == 6

    async def test_what_was_parked_for_a_commit_that_is_gone_now_is_freed_by_a_retry(
        self, open_log: OpenLog, rewrite: Rewrite
    ) -> None:
        """A commit of another post was written into this one; it is put back where it belongs."""
        async with open_log() as log:
            await filled(log)
            await log.store.append([proposed(POST_C, 1, *CREATED)])
            await rewrite(7, stream_id=POST_B, version=9)
            system = SmallSystem(on=log)
            async with system.projecting():
                await system.caught_up()
            assert (await system.retry.retry(POST_B)).still is not None
            await rewrite(7, stream_id=POST_C, version=1)
            assert (await system.retry.retry(POST_B)).still is None
            assert system.read_db.live_rows.posts[POST_B].version == 2

    async def test_a_post_that_is_not_there_is_no_damage(self, open_log: OpenLog) -> None:
        async with open_log() as log:
            await filled(log)
            system = SmallSystem(on=log)
            with pytest.raises(PostNotFound):
                await system.queries.ask(GetPostAsOf(post_id=POST_C, version=1))
            handle = system.process.commands.handle
            create = CreatePost(post_id=POST_C, author="Ann", message="Hello", date_posted=NOON)
            assert (await handle(create, ANYBODY)).version == 1
            async with system.projecting():
                await system.caught_up()
                assert (await system.queries.ask(GetPost(post_id=POST_C))).post.version == 1
