"""Which numbers one writer puts under one key: all of a range, or block after block of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Values:
    """`count` numbers: `block` consecutive ones from `first` on, the next block `stride` after the beginning of this
    one, and so on; the last block may be shorter. block 0: all are consecutive.
    """

    count: int
    first: int = 1
    block: int = 0
    stride: int = 0

    def __post_init__(self) -> None:
        if self.count < 0 or self.first < 1 or self.block < 0 or (self.block and self.stride < self.block):
            raise ValueError(f"no numbers can be laid out like this: {self}")

    def at(self, index: int) -> int:
        """The number with this index, counted from 0."""
        if not self.block:
            return self.first + index
        blocks, rest = divmod(index, self.block)
        return self.first + blocks * self.stride + rest

    def consecutive(self, index: int) -> int:
        """How many consecutive numbers there are from this index on."""
        left = self.count - index
        return min(left, self.block - index % self.block) if self.block else left

    def runs(self, index: int = 0, count: int | None = None) -> Iterator[tuple[int, int]]:
        """(first, count) of each stretch of consecutive numbers, from an index on."""
        stop = self.count if count is None else min(self.count, index + count)
        while index < stop:
            size = min(self.consecutive(index), stop - index)
            yield self.at(index), size
            index += size

    def index(self, number: int) -> int:
        """The index of one of these numbers."""
        if not self.block:
            return number - self.first
        blocks, rest = divmod(number - self.first, self.stride)
        return blocks * self.block + rest

    def __contains__(self, number: int) -> bool:
        if number < self.first or (self.block and (number - self.first) % self.stride >= self.block):
            return False
        return self.index(number) < self.count


def deal(count: int, keys: int, block: int) -> tuple[Values, ...]:
    """1..count dealt to so many keys, block by block in turn."""
    blocks, rest = divmod(count, block)
    dealt = []
    for key in range(keys):
        whole = len(range(key, blocks, keys))
        last = rest if blocks % keys == key else 0
        dealt.append(Values(whole * block + last, key * block + 1, block, keys * block))
    return tuple(dealt)


def split(count: int, parts: int) -> tuple[Values, ...]:
    """1..count cut into so many ranges, as equal as can be; empty ones are left out, but never all."""
    edges = [count * part // parts for part in range(parts + 1)]
    ranges = tuple(Values(stop - start, start + 1) for start, stop in pairwise(edges) if stop > start)
    return ranges or (Values(0),)
