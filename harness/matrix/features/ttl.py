"""Keys that expire: at a given moment, after a time, and one while the replica synchronises."""

from __future__ import annotations

from harness.matrix.features.base import FROM_A, DataSet, Fact, Feature, Write, keys

_HOUR_MS = 3_600_000
_SOON_MS = 40  # about as long as a sync takes
_PASSED_MS = 5  # between the servers' clocks and their notice


def build(prefix: bytes, now_ms: int) -> DataSet:
    at, after, soon, never = prefix + b"ttl:at", prefix + b"ttl:after", prefix + b"ttl:soon", prefix + b"ttl:never"
    writes = (
        Write(("SET", at, "1")),
        Write(("PEXPIREAT", at, now_ms + _HOUR_MS), reply=1),
        Write(("SET", after, "2", "EX", 7200)),
        Write(("SET", never, "3", "EX", 10)),
        Write(("PERSIST", never), reply=1),
        Write(("RPUSH", soon, "4")),
        Write(("PEXPIREAT", soon, now_ms + _SOON_MS)),
    )
    facts = (
        Fact(("GET", at), b"1"),
        Fact(("PEXPIRETIME", at), now_ms + _HOUR_MS),
        Fact(("GET", after), b"2"),
        Fact(("PEXPIRETIME", after), FROM_A),
        Fact(("GET", never), b"3"),
        Fact(("PTTL", never), -1),
        Fact(("EXISTS", soon), 0, after_ms=now_ms + _SOON_MS + _PASSED_MS),
    )
    return DataSet(writes, facts, keys(at, after, never), expiring=(soon,))


FEATURE = Feature("ttl", "keys that expire, one of them during the sync", build)
