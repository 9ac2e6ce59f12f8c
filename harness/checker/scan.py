"""One pass over a node's list against the expected order: what is in place, late, twice there, or never sent.

A cursor stands after the furthest position seen. An element ahead of it opens a gap; one behind it either fills an
open gap or was there before. Nothing is enumerated: a run of 100 million consecutive values is one step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.checker.evidence import Run
from harness.checker.expected import ExpectedOrder, Segment
from harness.checker.show import shown

MAX_GAPS = 100_000


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something was found: the index in the node's list, what stands there, and the position expected there."""

    index: int
    found: str
    cursor: int


@dataclass(eq=False, slots=True)
class Opening:
    """An element that stood ahead of the cursor. stray: the one foreign element that stands in the gap's place, if it
    is exactly one, between two neighbours in place; late: elements of the gap that came later, out of order.
    """

    index: int
    value: int
    stray: Spot | None
    late: int = 0


class Gaps:
    """The positions passed over and not seen, as ranges in ascending order, at most `limit` of them.

    overflowed: some ranges were dropped, so what lies in none of them need not have been seen.
    """

    def __init__(self, limit: int = MAX_GAPS) -> None:
        self.limit = limit
        self.overflowed = False
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._openings: list[Opening] = []

    def ranges(self) -> Iterable[tuple[int, int, Opening]]:
        """(start, stop, opening) of each range still open."""
        return zip(self._starts, self._stops, self._openings, strict=True)

    def open(self, start: int, stop: int, opening: Opening) -> bool:
        """Add a range above all others; False where there is no room for it."""
        if len(self._starts) >= self.limit:
            self.overflowed = True
            return False
        self._starts.append(start)
        self._stops.append(stop)
        self._openings.append(opening)
        return True

    def take(self, start: int, stop: int) -> tuple[Opening | None, int]:
        """Fill from start on, up to stop at most: the opening it fills (None: seen before), and where that ends."""
        number = bisect_right(self._starts, start) - 1
        if number < 0 or start >= self._stops[number]:
            following = number + 1
            return None, min(stop, self._starts[following]) if following < len(self._starts) else stop
        opening, until = self._openings[number], min(stop, self._stops[number])
        self._cut(number, start, until)
        return opening, until

    def _cut(self, number: int, start: int, until: int) -> None:
        left, right = self._starts[number] < start, until < self._stops[number]
        if left and right:
            if len(self._starts) < self.limit:
                self._starts.insert(number + 1, until)
                self._stops.insert(number + 1, self._stops[number])
                self._openings.insert(number + 1, self._openings[number])
            else:
                self.overflowed = True
            self._stops[number] = start
        elif left:
            self._stops[number] = start
        elif right:
            self._starts[number] = until
        else:
            del self._starts[number], self._stops[number], self._openings[number]


@dataclass(slots=True)
class Tally:
    """How often something was found, and where first."""

    count: int = 0
    first: Spot | None = None

    def add(self, count: int, spot: Spot) -> None:
        self.count += count
        if self.first is None or spot.index < self.first.index:
            self.first = spot


@dataclass(slots=True)
class Strays:
    """Foreign elements since the cursor last moved; one alone may turn out to stand in another's place."""

    count: int = 0
    first: Spot | None = None
    alone: bool = True  # nothing else out of place stands beside them


@dataclass(eq=False)
class Scan:
    """The state of a pass, and after read() its result.

    index: elements read; cursor: the position after the furthest one seen; present, newest: by open commands, how many
    of their elements were seen and the furthest position. reordered.first.cursor is the position that came late.
    candidates: the openings that have a stray.
    """

    order: ExpectedOrder
    gaps: Gaps = field(default_factory=Gaps)
    index: int = 0
    cursor: int = 0
    duplicated: Tally = field(default_factory=Tally)
    reordered: Tally = field(default_factory=Tally)
    phantom: Tally = field(default_factory=Tally)
    strays: Strays = field(default_factory=Strays)
    candidates: list[Opening] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.present = [0] * len(self.order.opens)
        self.newest = [-1] * len(self.order.opens)
        self._previous = -1  # position of the last element that is one of the expected

    def read(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.count <= 0:
                raise ValueError(f"a run of {run.count} elements in a reading")
            if run.others:
                self.index += run.count
            elif run.raw is not None:
                self._stray(run.count, shown(run.raw))
                self.index += run.count
            else:
                self._numbers(run.first, run.count)

    def _numbers(self, value: int, left: int) -> None:
        while left:
            segment = self.order.find(value)
            if segment is None:
                known = self.order.unknown_until(value)
                count = left if known is None else min(left, known - value)
                self._stray(count, str(value))
            else:
                count = min(left, segment.first + segment.count - value)
                self._expected(segment, segment.start + value - segment.first, count)
            self.index += count
            value += count
            left -= count

    def _expected(self, segment: Segment, position: int, count: int) -> None:
        index = self.index
        if position < self.cursor:
            behind = min(count, self.cursor - position)
            self._behind(segment, position, behind)
            if behind == count:
                return
            index, position, count = index + behind, position + behind, count - behind
        if position > self.cursor or self.strays.count or not self.strays.alone:
            self._advance(index, position, segment.value(position))
        self.cursor = position + count
        self._previous = self.cursor - 1
        if segment.open is not None:
            self._seen(segment.open, position, count)

    def _advance(self, index: int, position: int, value: int) -> None:
        """The cursor moves on after strays, or over a gap."""
        strays, self.strays = self.strays, Strays()
        replaced = strays.first if strays.count == 1 and strays.alone and position > self.cursor else None
        if len(self.candidates) >= self.gaps.limit:
            replaced = None
        opening = Opening(index, value, replaced)
        kept = position > self.cursor and self.gaps.open(self.cursor, position, opening)
        if replaced is not None and kept:
            self.candidates.append(opening)
        elif strays.first is not None:
            self.phantom.add(strays.count, strays.first)

    def _seen(self, number: int, position: int, count: int) -> None:
        self.present[number] += count
        self.newest[number] = max(self.newest[number], position + count - 1)

    def _stray(self, count: int, found: str) -> None:
        if self.strays.first is None:
            self.strays.first = Spot(self.index, found, self.cursor)
        self.strays.count += count

    def _behind(self, segment: Segment, position: int, count: int) -> None:
        begin, stop = position, position + count
        while position < stop:
            opening, until = self.gaps.take(position, stop)
            if opening is not None:
                self._late(segment, opening, position, until - position)
            elif not self.gaps.overflowed:
                spot = Spot(self.index + position - begin, str(segment.value(position)), self.cursor)
                self.duplicated.add(until - position, spot)
                self.strays.alone = False
            position = until

    def _late(self, segment: Segment, opening: Opening, position: int, count: int) -> None:
        misplaced = self._misplaced(segment, position, count)
        if segment.open is not None:
            self._seen(segment.open, position, count)
        self._previous = position + count - 1
        if misplaced:
            opening.late += misplaced
            self.strays.alone = False
            known = self.reordered.first
            if known is None or (opening.index, position) < (known.index, known.cursor):
                self.reordered.first = Spot(opening.index, str(opening.value), position)
            self.reordered.count += misplaced

    def _misplaced(self, segment: Segment, position: int, count: int) -> int:
        """How many of these late elements may not stand here. Those of an unfenced connection may be late, but in their
        own order, each command in one piece and none inside another command.
        """
        if segment.open is None or not self.order.opens[segment.open].floating or position < self.newest[segment.open]:
            return count
        if position != segment.command_start(position):
            in_one_piece = self._previous == position - 1
            return 0 if in_one_piece else min(count, segment.command_stop(position) - position)
        return 0 if self._between_commands() else count

    def _between_commands(self) -> bool:
        if self._previous < 0:
            return True
        segment = self.order.segments[self.order.at(self._previous)]
        return segment.command_stop(self._previous) == self._previous + 1
