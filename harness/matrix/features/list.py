"""A short list, in order, with elements of several kinds."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_ELEMENTS = (
    *(b"%d" % number for number in range(1, 101)),
    b"",
    b"-1",
    b"9223372036854775807",
    b"\x00\xff\r\n",
    b"1",
    b"1",
)


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"list"
    writes = (Write(("RPUSH", key, *_ELEMENTS[:60])), Write(("RPUSH", key, *_ELEMENTS[60:]), reply=len(_ELEMENTS)))
    facts = (Fact(("LRANGE", key, 0, -1), list(_ELEMENTS)), Fact(("LLEN", key), len(_ELEMENTS)))
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("list", "a short list, in order", build)
