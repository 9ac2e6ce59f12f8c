"""Many small words at once: patterns that pass over them in a fraction of a Python step each."""

from __future__ import annotations

import re
from typing import Final

BULK: Final = re.compile(rb"\$(0|[1-9]\d{0,9})\r\n")


def _one_short_bulk() -> str:
    """A bulk of 0 to 99 bytes, found by its length's digits, so that no alternative is tried in vain."""
    tens = (
        f"{ten}(?:\\r\\n.{{{ten}}}\\r\\n|" + "|".join(f"{one}\\r\\n.{{{ten}{one}}}\\r\\n" for one in range(10)) + ")"
        for ten in range(1, 10)
    )
    return r"\$(?:" + "|".join(tens) + r"|0\r\n\r\n)"


# Runs of short bulks, so that a command of many small values costs a fraction of a Python step a value.
RUNS: Final = [(size, re.compile(f"(?:{_one_short_bulk()}){{{size}}}+".encode(), re.DOTALL)) for size in (256, 32)]


class _Alike:
    """Patterns for commands in a row that begin alike and have short values, so that pipelines of small commands cost
    a step a read and not one a command. Made for beginnings that come often; they are the same for all clients.
    """

    OFTEN: Final = 64
    MOST: Final = 128  # patterns, and beginnings that are counted
    WORDS: Final = 32

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        self._patterns: dict[bytes, re.Pattern[bytes]] = {}

    def end(self, data: bytes, at: int, head: bytes, arguments: int) -> int:
        """Where the last of the commands ends that follow from here, all of them with this head; -1 where none does."""
        pattern = self._patterns.get(head)
        if pattern is None:
            self._count(head, arguments)
            return -1
        found = pattern.match(data, at)
        return found.end() if found else -1

    def _count(self, head: bytes, arguments: int) -> None:
        seen = self._seen[head] = self._seen.get(head, 0) + 1
        if seen == self.OFTEN and len(self._patterns) < self.MOST:
            bulks_after = f"(?:{_one_short_bulk()}){{{arguments}}}+".encode()
            self._patterns[head] = re.compile(b"(?:" + re.escape(head) + bulks_after + b")++", re.DOTALL)
        elif len(self._seen) > self.MOST:
            self._seen.clear()


ALIKE: Final = _Alike()
WORTH: Final = 8  # equal bulks in a row
_MOST_EQUAL: Final = 1 << 14


def equal_bulks(data: bytes, at: int, first: re.Match[bytes], left: int) -> int:
    """How many bulks from here on, `left` at most, have the first one's length. Every column of their frames is looked
    at in one step.
    """
    head = first[0]
    width = len(head) + int(first[1]) + 2
    count = min(left, _MOST_EQUAL, (len(data) - at) // width)
    columns = (*enumerate(head), (width - 2, 13), (width - 1, 10))
    for offset, sign in columns:
        if count < WORTH:
            return 0
        start = at + offset
        column = data[start : start + count * width : width]
        same = bytes((sign,)) * count
        if column != same:
            count -= len(column.lstrip(same[:1]))
    return count
