"""A stream with deleted entries, two consumer groups, and entries that were delivered and not acknowledged."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys
from harness.resp.replies import Reply

_IDS = tuple(b"1700000000000-%d" % number for number in range(1, 201))
_DELETED = _IDS[3]


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"stream"
    read = ("XREADGROUP", "GROUP", "workers", "ada", "COUNT", 3, "STREAMS", key, ">")
    writes = (
        *(Write(("XADD", key, entry, "n", number, b"\x00", "v"), reply=entry) for number, entry in enumerate(_IDS)),
        Write(("XDEL", key, _DELETED), reply=1),
        Write(("XGROUP", "CREATE", key, "workers", "0")),
        Write(("XGROUP", "CREATE", key, "late", "$")),
        Write(read),
        Write(("XACK", key, "workers", _IDS[0]), reply=1),
        Write(("XCLAIM", key, "workers", "grace", 0, _IDS[1])),
    )
    entries: list[Reply] = [
        [entry, [b"n", b"%d" % number, b"\x00", b"v"]] for number, entry in enumerate(_IDS) if entry != _DELETED
    ]
    groups: list[Reply] = [
        [b"name", b"workers", b"consumers", 2, b"pending", 2, b"last-delivered-id", _IDS[2]],
        [b"name", b"late", b"consumers", 0, b"pending", 0, b"last-delivered-id", _IDS[-1]],
    ]
    facts = (
        Fact(("XRANGE", key, "-", "+"), entries),
        Fact(("XINFO", "GROUPS", key), groups, "groups"),
        Fact(
            ("XPENDING", key, "workers", "-", "+", 10), [[_IDS[1], b"grace", 0, 2], [_IDS[2], b"ada", 0, 1]], "pending"
        ),
        Fact(
            ("XINFO", "STREAM", key),
            [b"length", len(entries), b"last-generated-id", _IDS[-1], b"groups", 2],
            "stream",
        ),
    )
    return DataSet(writes, facts, keys(key), {key: ("stream",)})


FEATURE = Feature("stream", "a stream with groups and pending entries", build)
