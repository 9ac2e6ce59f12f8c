"""The newest elements of a list, from its end, without holding the list."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from harness.checker.evidence import Reading, Run


def newest_first(reading: Reading, count: int) -> tuple[bytes, ...]:
    """At most `count` elements as the node sent them, the last one of the list first."""
    kept: deque[Run] = deque()
    elements = 0
    for run in reading.runs() if count > 0 else ():
        kept.append(run)
        elements += run.count
        while elements - kept[0].count >= count:
            elements -= kept.popleft().count
    return tuple(_take(kept, count))


def _take(runs: deque[Run], count: int) -> Iterator[bytes]:
    for run in reversed(runs):
        for offset in range(run.count - 1, max(run.count - 1 - count, -1), -1):
            yield run.raw if run.raw is not None else b"%d" % (run.first + offset)
        count -= run.count
        if count <= 0:
            return
