"""Transactions: what was executed, in order, and nothing of what was discarded."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys
from harness.resp.replies import OK, QUEUED


def build(prefix: bytes, now_ms: int) -> DataSet:
    key, other, gone = prefix + b"transactions", prefix + b"transactions:other", prefix + b"transactions:gone"
    writes = (
        Write(("MULTI",), reply=OK),
        Write(("RPUSH", key, "a", "b"), reply=QUEUED),
        Write(("SELECT", 3), reply=QUEUED),
        Write(("INCRBY", other, 5), reply=QUEUED),
        Write(("SELECT", 0), reply=QUEUED),
        Write(("RPUSH", key, "c"), reply=QUEUED),
        Write(("EXEC",), reply=[2, OK, 5, OK, 3]),
        Write(("MULTI",), reply=OK),
        Write(("SET", gone, "1"), reply=QUEUED),
        Write(("DISCARD",), reply=OK),
    )
    facts = (
        Fact(("LRANGE", key, 0, -1), [b"a", b"b", b"c"]),
        Fact(("GET", other), b"5", db=3),
        Fact(("EXISTS", gone), 0),
    )
    return DataSet(writes, facts, {**keys(key), **keys(other, db=3)})


FEATURE = Feature("transactions", "transactions, executed and discarded", build)
