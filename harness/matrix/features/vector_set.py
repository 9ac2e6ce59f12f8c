"""Vectors with an attribute, where an engine has them."""

from __future__ import annotations

from harness.matrix.features.base import FROM_A, DataSet, Fact, Feature, Write, keys


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"vector_set"
    writes = (
        Write(("VADD", key, "VALUES", 3, "1", "0", "0", "east"), reply=1),
        Write(("VADD", key, "VALUES", 3, "0", "1", "0", "north"), reply=1),
        Write(("VADD", key, "VALUES", 3, "0.6", "0.8", "0", "between", "SETATTR", '{"year": 1959}'), reply=1),
    )
    facts = (
        Fact(("VCARD", key), 3),
        Fact(("VDIM", key), 3),
        Fact(("VGETATTR", key, "between"), b'{"year": 1959}'),
        Fact(("VEMB", key, "east"), FROM_A),
        Fact(("VSIM", key, "ELE", "between", "COUNT", 3), [b"between", b"north", b"east"]),
    )
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("vector_set", "vectors and their attributes", build, ("VADD", "VGETATTR", "VEMB"))
