"""Partitions are computed as Kafka does."""

import pytest

from application.partitioning import murmur2, partition_of
from domain.ids import PostId


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
        ("1", -1993445489),
        ("12", 126087238),
        ("123", -267702483),
        ("1234", -1614185708),
        ("12345", -1188365604),
    ],
)
def test_murmur2_agrees_with_kafka_s_own_test_vectors(text: str, expected: int) -> None:
    """The vectors of `UtilsTest.testMurmur2` in Apache Kafka, and one for each number of bytes beyond whole words."""
    assert murmur2(text.encode()) == expected & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("text", "partitions", "expected"),
    [
        ("019b0000-0000-7000-8000-00000000000a", 1, 0),
        ("019b0000-0000-7000-8000-00000000000a", 3, 2),
        ("019b0000-0000-7000-8000-00000000000b", 3, 1),
        ("019b0000-0000-7000-8000-000000000005", 3, 0),
        ("019b0000-0000-7000-8000-00000000000d", 4, 3),
    ],
)
def test_a_post_stays_in_its_partition(text: str, partitions: int, expected: int) -> None:
    assert partition_of(PostId(text), partitions) == expected
