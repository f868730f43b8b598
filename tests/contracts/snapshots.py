"""What every snapshot store must do. An adapter adopts it with a subclass named `Test…` and the fixture `snapshots`,
which yields the opened adapter on a fresh store.
"""

from dataclasses import replace

from application.ports.event_store import Snapshot, Snapshots
from contracts.log_handle import POST_A, POST_B
from domain.ids import PostId


def snapshot(stream_id: PostId = POST_A, version: int = 100, state: bytes = b"state") -> Snapshot:
    return Snapshot(stream_id=stream_id, version=version, position=version + 1_000, format="post/1", state=state)


class SnapshotsContract:
    async def test_a_stream_without_a_snapshot_has_none(self, snapshots: Snapshots) -> None:
        await snapshots.store(snapshot(POST_B))
        assert await snapshots.load(POST_A) is None

    async def test_a_snapshot_comes_back_as_it_was_stored(self, snapshots: Snapshots) -> None:
        every_byte = snapshot(state=bytes(range(256)))
        await snapshots.store(every_byte)
        assert await snapshots.load(POST_A) == every_byte

    async def test_an_empty_state_comes_back(self, snapshots: Snapshots) -> None:
        await snapshots.store(snapshot(state=b""))
        assert await snapshots.load(POST_A) == snapshot(state=b"")

    async def test_a_state_of_several_megabytes_comes_back(self, snapshots: Snapshots) -> None:
        large = snapshot(state=b"0123456789abcdef" * 250_000)
        await snapshots.store(large)
        assert await snapshots.load(POST_A) == large

    async def test_a_state_larger_than_a_document_of_mongodb_comes_back(self, snapshots: Snapshots) -> None:
        large = snapshot(state=b"0123456789abcdef" * 1_250_000)
        await snapshots.store(large)
        assert await snapshots.load(POST_A) == large
        await snapshots.store(snapshot(version=200, state=b"small"))
        assert await snapshots.load(POST_A) == snapshot(version=200, state=b"small")

    async def test_a_newer_snapshot_replaces_an_older_one(self, snapshots: Snapshots) -> None:
        await snapshots.store(snapshot(version=100, state=b"old"))
        await snapshots.store(snapshot(version=200, state=b"new"))
        assert await snapshots.load(POST_A) == snapshot(version=200, state=b"new")

    async def test_an_older_snapshot_never_replaces_a_newer_one(self, snapshots: Snapshots) -> None:
        await snapshots.store(snapshot(version=200, state=b"new"))
        await snapshots.store(snapshot(version=100, state=b"old"))
        assert await snapshots.load(POST_A) == snapshot(version=200, state=b"new")

    async def test_a_snapshot_of_the_same_version_replaces_one_of_another_format(self, snapshots: Snapshots) -> None:
        other_format = Snapshot(stream_id=POST_A, version=100, position=1_100, format="post/2", state=b"other")
        await snapshots.store(snapshot())
        await snapshots.store(other_format)
        assert await snapshots.load(POST_A) == other_format

    async def test_a_stream_has_one_for_each_name(self, snapshots: Snapshots) -> None:
        """A large one is replaced without a trace in the others."""
        states = {"": b"x" * 20_000_000, "1": b"y" * 20_000_000, "10": b"z" * 20_000_000, "complete": b"c"}
        for name, state in states.items():
            await snapshots.store(replace(snapshot(version=500, state=state), name=name))
        await snapshots.store(replace(snapshot(version=600, state=b"small"), name="1"))
        for name, state in (states | {"1": b"small"}).items():
            found = await snapshots.load(POST_A, name)
            assert found is not None
            assert (found.name, found.version, found.state) == (name, 600 if name == "1" else 500, state)
        assert await snapshots.load(POST_A, "2") is None
        assert await snapshots.load(POST_B, "1") is None

    async def test_each_stream_has_its_own(self, snapshots: Snapshots) -> None:
        await snapshots.store(snapshot(POST_A, state=b"a"))
        await snapshots.store(snapshot(POST_B, state=b"b"))
        assert await snapshots.load(POST_A) == snapshot(POST_A, state=b"a")
        assert await snapshots.load(POST_B) == snapshot(POST_B, state=b"b")
