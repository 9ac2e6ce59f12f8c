"""Sets in each of their encodings: numbers only, short strings, a table."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_NUMBERS = tuple(b"%d" % number for number in (-9223372036854775808, -1, 0, 1, 70000, 9223372036854775807))
_SHORT = (b"a", b"b", "ü".encode(), b"", b"\x00\xff", b"12")
_MANY = tuple(b"member:%d" % number for number in range(900))


def build(prefix: bytes, now_ms: int) -> DataSet:
    numbers, short, many = prefix + b"set:numbers", prefix + b"set:short", prefix + b"set:many"
    sets = {numbers: _NUMBERS, short: _SHORT, many: _MANY}
    writes = (*(Write(("SADD", key, *members), reply=len(members)) for key, members in sets.items()),)
    removed = Write(("SREM", many, "member:3"), reply=1)
    left = {**sets, many: tuple(member for member in _MANY if member != b"member:3")}
    facts = tuple(Fact(("SMEMBERS", key), list(members), "unordered") for key, members in left.items())
    encodings = {numbers: ("intset",), short: ("listpack", "hashtable"), many: ("hashtable",)}
    return DataSet((*writes, removed), facts, keys(*sets), encodings)


FEATURE = Feature("set", "sets: numbers, short strings, many members", build)
