"""Keys that are no text: every byte, line ends, invalid UTF-8, nothing after the prefix."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_NAMES = (b"", b"\x00", b"\r\n$1\r\n", b"\xff\xfe\xc3\x28", bytes(range(256)), b"{}[]*?\\", b"with blank")


def build(prefix: bytes, now_ms: int) -> DataSet:
    named = {prefix + name: b"%d" % number for number, name in enumerate(_NAMES)}
    writes = tuple(Write(("SET", key, value)) for key, value in named.items())
    facts = tuple(Fact(("GET", key), value) for key, value in named.items())
    return DataSet(writes, facts, keys(*named))


FEATURE = Feature("binary_keys", "keys that are no text", build)
