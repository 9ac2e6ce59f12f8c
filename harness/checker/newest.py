"""The newest elements of a list, or of several that are merged, from their ends, without holding them."""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from harness.checker.evidence import Evidence, KeyState, Reading, Run

LONGEST_NUMBER = 18  # digits


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


def merged_newest(readings: Sequence[Reading], count: int) -> tuple[bytes, ...]:
    """At most `count` elements of several keys, the largest numbers first; within a key the order is its own."""
    newest = (newest_first(reading, count) for reading in readings if reading.state is KeyState.LIST)
    merged = heapq.merge(*(_ranked(values) for values in newest), key=lambda ranked: ranked[0])
    return tuple(value for _, value in islice(merged, count))


def _ranked(values: tuple[bytes, ...]) -> Iterator[tuple[int, bytes]]:
    """What is no number stays beside the element that is newer."""
    rank = -sys.maxsize
    for value in values:
        rank = max(rank, -int(value)) if value.isdigit() and len(value) <= LONGEST_NUMBER else rank
        yield rank, value


def whole(evidence: Evidence, workload: str) -> Iterator[tuple[str, list[Reading]]]:
    """A workload of several keys as it can be read from judged nodes: what it was read from, and one reading a key.

    The first of each shard's replicas together, then the second ones, and so on.
    """
    read = {(each.stream, each.node): each for each in evidence.readings}
    keys = {each.reading: each.nodes or evidence.nodes for each in evidence.streams if each.workload == workload}
    judged = {key: [node for node in nodes if node in evidence.nodes] for key, nodes in keys.items()}
    for index in range(max(map(len, judged.values()), default=0)):
        chosen = {key: nodes[min(index, len(nodes) - 1)] for key, nodes in judged.items() if nodes}
        found = [read[key, node] for key, node in chosen.items() if (key, node) in read]
        yield ", ".join(dict.fromkeys(chosen.values())), found


def _take(runs: deque[Run], count: int) -> Iterator[bytes]:
    for run in reversed(runs):
        for offset in range(run.count - 1, max(run.count - 1 - count, -1), -1):
            yield run.raw if run.raw is not None else b"%d" % (run.first + offset)
        count -= run.count
        if count <= 0:
            return
