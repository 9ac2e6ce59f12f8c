"""Counters of distinct elements, sparse and dense: the same bytes, and for few elements the exact count."""

from __future__ import annotations

from harness.matrix.features.base import FROM_A, DataSet, Fact, Feature, Write, keys


def build(prefix: bytes, now_ms: int) -> DataSet:
    few, many = prefix + b"hyperloglog:few", prefix + b"hyperloglog:many"
    writes = (
        Write(("PFADD", few, "a", "b", "c"), reply=1),
        Write(("PFCOUNT", few), reply=3),
        Write(("PFADD", many, *(b"element:%d" % number for number in range(5000)))),
        Write(("PFCOUNT", many)),
    )
    facts = (
        Fact(("GET", few), FROM_A),
        Fact(("PFCOUNT", few), 3),
        Fact(("GET", many), FROM_A),
        Fact(("PFCOUNT", many), FROM_A),
    )
    return DataSet(writes, facts, keys(few, many))


FEATURE = Feature("hyperloglog", "HyperLogLogs, sparse and dense", build)
