"""What every list of parked streams must do. An adapter adopts it with a subclass named `Test…` and the fixture
`open_read_db`.
"""

from application.ports.read_db import RowChanges
from contracts.read_db_handle import TEXTS, ReadDbFixtures, ReadDbHandle, parked, post_id


class ParkedStreamsContract(ReadDbFixtures):
    async def test_none_is_parked_at_first(self, read_db: ReadDbHandle) -> None:
        assert await read_db.parked.parked() == []
        assert await read_db.parked.parked_stream(post_id(1)) is None

    async def test_a_parked_stream_comes_back_as_it_was_written(self, read_db: ReadDbHandle) -> None:
        stream = parked(1, version=2**40, position=2**41, waiting_version=2**42, reason=TEXTS["emoji"] * 500)
        await read_db.write(RowChanges(parked=[stream, parked(2)]))
        assert await read_db.parked.parked_stream(post_id(1)) == stream
        assert await read_db.parked.parked_stream(post_id(3)) is None

    async def test_they_are_listed_by_post_id_page_by_page(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(parked=[parked(n) for n in (300, 1, 255, 16)]))
        assert await read_db.parked.parked() == [parked(1), parked(16), parked(255), parked(300)]
        assert await read_db.parked.parked(limit=2) == [parked(1), parked(16)]
        assert await read_db.parked.parked(limit=2, after=post_id(16)) == [parked(255), parked(300)]
        assert await read_db.parked.parked(after=post_id(20)) == [parked(255), parked(300)]
        assert await read_db.parked.parked(after=post_id(300)) == []

    async def test_a_page_has_a_hundred_unless_told_otherwise(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(parked=[parked(n) for n in range(101)]))
        assert await read_db.parked.parked() == [parked(n) for n in range(100)]

    async def test_one_that_was_freed_is_not_listed(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(parked=[parked(1), parked(2)]))
        await read_db.write(RowChanges(unparked=[post_id(1)]))
        assert await read_db.parked.parked() == [parked(2)]

    async def test_only_those_of_the_live_generation_are_listed(self, read_db: ReadDbHandle) -> None:
        await read_db.write(RowChanges(parked=[parked(1)]))
        await read_db.swap()
        await read_db.write(RowChanges(parked=[parked(2)]), generation=2)
        assert await read_db.parked.parked() == [parked(2)]
        assert await read_db.parked.parked_stream(post_id(1)) is None
