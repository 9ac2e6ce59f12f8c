"""Hash slots of a cluster: the slot of a key, the slots of a shard, and keys named so that every shard has some.

Pure.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from itertools import pairwise

SLOTS = 16384


def hash_tag(key: bytes) -> bytes:
    """The part of a key that decides its slot: what stands in its first braces, where that is not nothing."""
    opening = key.find(b"{")
    closing = key.find(b"}", opening + 1) if opening >= 0 else -1
    return key[opening + 1 : closing] if closing > opening + 1 else key


def slot_of(key: bytes) -> int:
    return crc_hqx(hash_tag(key), 0) % SLOTS


def shard_ranges(shards: int) -> tuple[range, ...]:
    """The slots of each shard, as equal as can be."""
    edges = [SLOTS * shard // shards for shard in range(shards + 1)]
    return tuple(range(start, stop) for start, stop in pairwise(edges))


def shard_of(slot: int, shards: int) -> int:
    """Which shard gets this slot when a cluster is made."""
    return next(shard for shard, slots in enumerate(shard_ranges(shards)) if slot in slots)


def key_names(pattern: str, keys: int, shards: int) -> tuple[str, ...]:
    """`keys` names of this pattern, dealt to the shards in turn: in place of ``{n}`` each has a number in braces, its
    hash tag, the smallest that was not used and that belongs to its shard.

    Where the pattern has a hash tag of its own before ``{n}``, all keys have one slot, and numbers are given as they
    come.
    """
    if hash_tag(pattern.replace("{n}", "{0}").encode()) != b"0" or shards == 1:
        return tuple(pattern.replace("{n}", f"{{{number}}}") for number in range(keys))
    numbers = _numbers_by_shard(keys, shards)
    return tuple(pattern.replace("{n}", f"{{{numbers[key % shards][key // shards]}}}") for key in range(keys))


def _numbers_by_shard(keys: int, shards: int) -> Sequence[Sequence[int]]:
    wanted = [len(range(shard, keys, shards)) for shard in range(shards)]
    found: list[list[int]] = [[] for _ in range(shards)]
    number = 0
    while any(len(found[shard]) < wanted[shard] for shard in range(shards)):
        found[shard_of(slot_of(b"%d" % number), shards)].append(number)
        number += 1
    return found
