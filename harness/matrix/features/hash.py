"""Hashes: a small one and one that is kept as a table, changed after it was made."""

from __future__ import annotations

from itertools import chain

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys
from harness.resp.replies import Reply

_LARGE = {b"field:%d" % number: b"v" * (number % 90) for number in range(700)}


def build(prefix: bytes, now_ms: int) -> DataSet:
    small, large = prefix + b"hash", prefix + b"hash:large"
    left = {field: value for field, value in _LARGE.items() if field != b"field:7"}
    writes = (
        Write(("HSET", small, "name", "Ada", "bytes", b"\x00\xff", "empty", ""), reply=3),
        Write(("HINCRBY", small, "count", 7), reply=7),
        Write(("HSET", large, *chain.from_iterable(_LARGE.items())), reply=len(_LARGE)),
        Write(("HDEL", large, "field:7"), reply=1),
    )
    expected: list[Reply] = [b"name", b"Ada", b"bytes", b"\x00\xff", b"empty", b"", b"count", b"7"]
    facts = (
        Fact(("HGETALL", small), expected, "pairs"),
        Fact(("HGETALL", large), list(chain.from_iterable(left.items())), "pairs"),
    )
    return DataSet(writes, facts, keys(small, large), {large: ("hashtable",)})


FEATURE = Feature("hash", "hashes, small and large", build)
