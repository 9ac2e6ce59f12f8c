"""A key of 64 KB, a value and an element of 1 MB."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_MB = 1 << 20


def build(prefix: bytes, now_ms: int) -> DataSet:
    long_key = prefix + b"k" * 65_536
    value, fields = prefix + b"large_values", prefix + b"large_values:hash"
    pattern = bytes(range(251)) * (_MB // 251 + 1)
    writes = (
        Write(("SET", value, pattern)),
        Write(("SET", long_key, "1")),
        Write(("HSET", fields, b"f" * 70_000, pattern[:_MB], "small", "2"), reply=2),
    )
    facts = (
        Fact(("GET", value), pattern),
        Fact(("GET", long_key), b"1"),
        Fact(("HGETALL", fields), [b"f" * 70_000, pattern[:_MB], b"small", b"2"], "pairs"),
    )
    return DataSet(writes, facts, keys(value, long_key, fields))


FEATURE = Feature("large_values", "large keys, values and fields", build)
