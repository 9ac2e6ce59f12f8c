"""The kinds of workload: the type of key that each writes, and how a server counts what is in it.

A table that writers, readers, checkers and reports share. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DataType:
    """A type of key. name: as TYPE answers; title: in sentences ("a list"); length: the command that counts; unit: what
    one element adds to that count.

    ordered: elements stand in the order in which they were written; else each is there or not, wherever it stands.
    variadic: one command can write many elements.
    """

    name: str
    title: str
    length: str
    unit: int = 1
    ordered: bool = True
    variadic: bool = True

    @property
    def article(self) -> str:
        """ "a list", "a sorted set"."""
        return f"a {self.title}"


@dataclass(frozen=True)
class KeyRef:
    """A key on a node, and how its elements are counted there."""

    db: int
    key: bytes
    data_type: DataType


STRING_ELEMENT = 11  # bytes: ten digits and a line feed

LIST = DataType("list", "list", "LLEN")
SORTED_SET = DataType("zset", "sorted set", "ZCARD", ordered=False)
STRING = DataType("string", "string", "STRLEN", unit=STRING_ELEMENT)
HASH = DataType("hash", "hash", "HLEN", ordered=False)
SET = DataType("set", "set", "SCARD", ordered=False)
STREAM = DataType("stream", "stream", "XLEN", variadic=False)

KINDS: Mapping[str, DataType] = {
    "list_append": LIST,
    "sorted_set": SORTED_SET,
    "string": STRING,
    "hash": HASH,
    "set": SET,
    "stream": STREAM,
    "sharded_list": LIST,
    "sharded_sorted_set": SORTED_SET,
}
SHARDED = frozenset({"sharded_list", "sharded_sorted_set"})  # they write several keys
