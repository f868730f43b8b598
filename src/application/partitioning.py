"""The partition of the bus for a post's events: Kafka's default for messages with a key, so that other producers and
consumers, in any language, compute the same.

Relay, projectors and both buses share this function, because the meaning of a partition's checkpoint depends on it.
"""

from functools import lru_cache
from struct import unpack_from

from domain.ids import PostId

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_31_BITS = 0x7FFFFFFF


@lru_cache(maxsize=100_000)
def partition_of(post_id: PostId, partitions: int) -> int:
    """0 to `partitions` - 1, for the post's id as UTF-8."""
    return (murmur2(post_id.encode()) & _31_BITS) % partitions


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of `org.apache.kafka.common.utils.Utils.murmur2`, as an unsigned number."""
    length = len(data)
    mixed = _SEED ^ length
    for word in unpack_from(f"<{length // 4}I", data):
        word = word * _MIX & _32_BITS
        mixed = (mixed * _MIX ^ (word ^ word >> 24) * _MIX) & _32_BITS
    if rest := data[length & ~3 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _MIX & _32_BITS
    mixed = (mixed ^ mixed >> 13) * _MIX & _32_BITS
    return mixed ^ mixed >> 15
