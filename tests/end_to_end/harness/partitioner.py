"""Kafka's default partitioner, written down a second time: murmur2 over the key."""

from typing import Final

SEED: Final = 0x9747B28C
M: Final = 0x5BD1E995
MASK: Final = 0xFFFFFFFF

# Magic byte 0 and the four bytes of the schema's id, which are not part of what is hashed.
HEADER_BYTES: Final = 5


def partition_of(key: bytes | None, partitions: int) -> int:
    """Where a record with this key (as it is in Kafka) must be; without a key it is partition 0."""
    if key is None:
        return 0
    return (murmur2(key[HEADER_BYTES:]) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    value = (SEED ^ len(data)) & MASK
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * M & MASK
        k = (k ^ k >> 24) * M & MASK
        value = (value * M & MASK) ^ k
    rest = data[whole:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * M & MASK
    value = (value ^ value >> 13) * M & MASK
    return value ^ value >> 15
