"""Keys that several producers write: each producer's own elements are judged by its own ledger, wherever others stand.

What no producer wrote belongs to the one whose element stands before it, so that it is told once, in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from harness.checker.evidence import KeyState, Reading, Run, Stream
from harness.checker.expected import ExpectedOrder
from harness.checker.verdict import Anomaly, First, Kind
from harness.values import Values


def producers(streams: Sequence[Stream]) -> dict[str, list[Stream]]:
    """The streams of each key, by the name under which it was read."""
    found: dict[str, list[Stream]] = {}
    for stream in streams:
        found.setdefault(stream.reading, []).append(stream)
    return found


def own_part(reading: Reading, stream: Stream, together: Sequence[Stream]) -> Reading:
    """The reading as it looks to one of the key's producers."""
    if len(together) == 1:
        return replace(reading, stream=stream.name)
    numbers = [each.numbers for each in together]
    runs = partial(_own_runs, reading, numbers, together.index(stream))
    return replace(reading, stream=stream.name, runs=runs)


def _own_runs(reading: Reading, numbers: Sequence[Values], mine: int) -> Iterator[Run]:
    others = 0
    for owner, run in _owned(reading, numbers):
        if owner != mine:
            others += run.count
            continue
        if others:
            yield Run(0, others)
            others = 0
        yield run
    if others:
        yield Run(0, others)


def _owned(reading: Reading, numbers: Sequence[Values]) -> Iterator[tuple[int, Run]]:
    """Each run, cut where the producer changes, with the producer that it belongs to."""
    last = 0
    for run in reading.runs():
        if run.raw is not None:
            yield last, run
            continue
        value, left = run.first, run.count
        while left:
            owner = next((index for index, each in enumerate(numbers) if value in each), None)
            count = 1 if owner is None else min(left, numbers[owner].consecutive(numbers[owner].index(value)))
            last = last if owner is None else owner
            yield last, Run(value, count)
            value, left = value + count, left - count


def own_length(
    total: int | None, stream: Stream, together: Sequence[Stream], orders: Mapping[str, ExpectedOrder]
) -> int | None:
    """How many of the elements that the primary held are this producer's; None where nothing is open in its ledger, or
    the others leave it open.
    """
    others = [each for each in together if each is not stream]
    if others and stream.name in orders and not orders[stream.name].opens:
        return None
    if total is None or any(each.name not in orders or orders[each.name].opens for each in others):
        return None
    return total - sum(orders[each.name].must for each in others)


def shortfall(reading: Reading, stream: Stream, total: int, caught_up: bool) -> Anomaly | None:
    """A key that holds fewer elements than the primary's, although no producer's ledger tells which are missing."""
    missing = total - reading.length
    if missing <= 0 or reading.state not in (KeyState.LIST, KeyState.ABSENT):
        return None
    kind = Kind.TRUNCATED if caught_up else Kind.STALE
    message = f"{stream.key} on {reading.node} has {reading.length} elements, and the primary held {total}"
    return Anomaly(kind, reading.node, stream.db, stream.key, missing, First(reading.length, None, None), message)
