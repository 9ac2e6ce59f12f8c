"""Sorted sets with scores at the ends of what a double can hold, and one that is kept as a skip list."""

from __future__ import annotations

from itertools import chain

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

# In order, as the server keeps them.
_EXTREME = (
    (b"least", b"-inf"),
    (b"most negative", b"-1.7976931348623157e+308"),
    (b"b", b"0"),
    (b"smallest", b"5e-324"),
    (b"tenth", b"0.1"),
    (b"third", b"0.33333333333333331"),
    (b"exact", b"9007199254740993"),
    (b"most", b"1.7976931348623157e+308"),
    (b"greatest", b"inf"),
)
_MANY = tuple((b"member:%04d" % number, b"%d.5" % number) for number in range(600))


def build(prefix: bytes, now_ms: int) -> DataSet:
    extreme, many = prefix + b"sorted_set", prefix + b"sorted_set:many"
    sets = {extreme: _EXTREME, many: _MANY}
    writes = tuple(
        Write(("ZADD", key, *chain.from_iterable((score, member) for member, score in pairs)), reply=len(pairs))
        for key, pairs in sets.items()
    )
    facts = tuple(
        Fact(("ZRANGE", key, 0, -1, "WITHSCORES"), list(chain.from_iterable(pairs)), "scores")
        for key, pairs in sets.items()
    )
    return DataSet(writes, facts, keys(*sets), {many: ("skiplist",)})


FEATURE = Feature("sorted_set", "sorted sets, with extreme scores", build)
