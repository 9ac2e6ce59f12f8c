"""The same key in several databases, and a key that was moved from one to another."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write

_DATABASES = (0, 1, 7, 15)


def build(prefix: bytes, now_ms: int) -> DataSet:
    key, moved = prefix + b"databases", prefix + b"databases:moved"
    writes = (
        *(Write(("SET", key, f"in {db}"), db) for db in _DATABASES),
        Write(("SET", moved, "here"), 0),
        Write(("MOVE", moved, 7), 0, reply=1),
    )
    facts = (
        *(Fact(("GET", key), b"in %d" % db, db=db) for db in _DATABASES),
        Fact(("GET", moved), b"here", db=7),
        Fact(("EXISTS", moved), 0),
    )
    held = {db: frozenset({key, moved} if db == 7 else {key}) for db in _DATABASES}
    return DataSet(writes, facts, held)


FEATURE = Feature("databases", "several databases", build)
