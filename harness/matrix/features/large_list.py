"""A list of many nodes, some of its elements larger than a node may be (8 KB)."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_ELEMENTS = tuple(
    b"%06d:" % number + (b"x" * 9000 if number % 250 == 0 else b"y" * (number % 40)) for number in range(3000)
)
_PUSH = 500


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"large_list"
    writes = tuple(
        Write(("RPUSH", key, *_ELEMENTS[start : start + _PUSH]), reply=start + _PUSH)
        for start in range(0, len(_ELEMENTS), _PUSH)
    )
    facts = (Fact(("LLEN", key), len(_ELEMENTS)), Fact(("LRANGE", key, 0, -1), list(_ELEMENTS)))
    return DataSet(writes, facts, keys(key), {key: ("quicklist",)})


FEATURE = Feature("large_list", "a list of many nodes, with elements over 8 KB", build)
