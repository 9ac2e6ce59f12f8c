"""Strings as numbers, as text, as any bytes; `large` has one of 64 MB beside them."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys
from harness.resp.replies import OK

_VALUES = {
    b"number": b"-9223372036854775808",
    b"text": "Grüße, 世界".encode(),
    b"bytes": bytes(range(256)) * 4,
    b"empty": b"",
    b"zeros": b"\x00" * 5000,  # what a snapshot compresses
}
LARGE_BYTES = 64 << 20


def build(prefix: bytes, now_ms: int) -> DataSet:
    return _built(prefix, _VALUES)


def build_large(prefix: bytes, now_ms: int) -> DataSet:
    return _built(prefix, {**_VALUES, b"64mb": bytes(range(251)) * (LARGE_BYTES // 251)})


def _built(prefix: bytes, values: dict[bytes, bytes]) -> DataSet:
    named = {prefix + name: value for name, value in values.items()}
    counter = prefix + b"counter"
    writes = (
        *(Write(("SET", key, value), reply=OK) for key, value in named.items()),
        Write(("SET", counter, 41)),
        Write(("INCR", counter), reply=42),
    )
    facts = tuple(Fact(("GET", key), value) for key, value in {**named, counter: b"42"}.items())
    return DataSet(writes, facts, keys(*named, counter))


FEATURE = Feature("string", "strings: numbers, text, any bytes", build)
LARGE = Feature("string", "strings: numbers, text, any bytes, one of 64 MB", build_large)
