"""A JSON document, where an engine has them."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_DOCUMENT = b'{"name":"Ada","born":1815,"tags":["a",null,true,1.5]}'


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"json"
    writes = (Write(("JSON.SET", key, "$", _DOCUMENT)), Write(("JSON.NUMINCRBY", key, "$.born", 1)))
    facts = (
        Fact(("JSON.GET", key, "$.born"), b"[1816]"),
        Fact(("JSON.GET", key, "$.tags"), b'[["a",null,true,1.5]]'),
        Fact(("JSON.GET", key, "$.name"), b'["Ada"]'),
    )
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("json", "a JSON document", build, ("JSON.SET", "JSON.GET"))
