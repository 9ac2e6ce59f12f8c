"""A hash of which some fields expire, far in the future, at a moment that must arrive exactly."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_HOUR_MS = 3_600_000


def build(prefix: bytes, now_ms: int) -> DataSet:
    key, at = prefix + b"hash_field_ttl", now_ms + _HOUR_MS
    writes = (
        Write(("HSET", key, "stays", "1", "goes", "2", "goes too", "3"), reply=3),
        Write(("HPEXPIREAT", key, at, "FIELDS", 1, "goes"), reply=[1]),
        Write(("HPEXPIREAT", key, at + 1, "FIELDS", 1, "goes too"), reply=[1]),
    )
    facts = (
        Fact(("HGETALL", key), [b"stays", b"1", b"goes", b"2", b"goes too", b"3"], "pairs"),
        Fact(("HPEXPIRETIME", key, "FIELDS", 3, "goes", "goes too", "stays"), [at, at + 1, -1]),
    )
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("hash_field_ttl", "a hash with fields that expire", build, ("HPEXPIREAT", "HPEXPIRETIME"))
