"""After the pass: which of the elements that were not seen must be there, and which need not.

An acknowledged element must be. Of commands without an answer, an element must be there when another of its command is
(commands are atomic), or a later command of a connection that executed its first k; more are demanded where the
primary's list length says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from harness.checker.expected import Segment
from harness.checker.scan import Opening, Scan, Spot


@dataclass(frozen=True, slots=True)
class Absent:
    """Positions start..stop (exclusive) that were not seen; segment holds the first of them; all share `open`."""

    start: int
    stop: int
    segment: Segment
    opening: Opening

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def open(self) -> int | None:
        return self.segment.open

    @property
    def value(self) -> int:
        """The first of the elements."""
        return self.segment.value(self.start)


class Missing:
    """The absent elements of a pass, split into `required` and `optional`, both by position.

    tail: stands for the place after the furthest element seen.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        strays = scan.strays
        ends_short = scan.cursor < scan.order.total
        replaced = strays.first if strays.count == 1 and strays.alone and ends_short else None
        self.tail = Opening(scan.index, 0, replaced)
        if strays.first is not None and replaced is None:
            scan.phantom.add(strays.count, strays.first)
        self.required: list[Absent] = []
        self.optional: list[Absent] = []
        self._counts: Counter[int | None] = Counter()  # required elements by open commands
        for absent in self._absent():
            self._sort(absent)

    def required_of(self, opens: Collection[int | None]) -> int:
        return sum(self._counts[number] for number in opens)

    def demand(self, opens: Collection[int], count: int, caught_up: bool) -> int:
        """Require `count` more of these open commands' absent elements; return how many more there were none of.

        Nothing says which. Where the list ends early anyway, or the node had not caught up, those at the end come
        first, and those that may have been executed late count as missing there; else the order is that of positions.
        """
        ends_early = not caught_up or any(absent.opening is self.tail for absent in self.required)
        if ends_early:
            count = self._demand_where(lambda absent: absent.open in opens and self._may_be_last(absent), count, True)
        count = self._demand_where(lambda absent: absent.open in opens, count, False)
        self.required.sort(key=lambda absent: absent.start)
        return count

    def _may_be_last(self, absent: Absent) -> bool:
        floating = absent.open is not None and self._scan.order.opens[absent.open].floating
        return floating or absent.opening is self.tail

    def _demand_where(self, meant: Callable[[Absent], bool], count: int, at_the_end: bool) -> int:
        kept: list[Absent] = []
        for absent in self.optional:
            if count == 0 or not meant(absent):
                kept.append(absent)
                continue
            taken, rest = self._split(absent, min(absent.stop, absent.start + count))
            count -= taken.count
            self._require(replace(taken, opening=self.tail) if at_the_end else taken)
            kept += rest
        self.optional = kept
        return count

    def replaced(self) -> list[tuple[Absent, Spot]]:
        """The places of wrong_value: one element is missing, and one foreign element stands exactly there."""
        by_opening: dict[int, list[Absent]] = {}
        for absent in self.required:
            if absent.opening.stray is not None and not absent.opening.late:
                by_opening.setdefault(id(absent.opening), []).append(absent)
        return [
            (group[0], group[0].opening.stray)
            for group in by_opening.values()
            if len(group) == 1 and group[0].count == 1 and group[0].opening.stray is not None
        ]

    def unattached(self) -> list[Spot]:
        """Foreign elements kept as candidates for wrong_value that turned out to stand in nobody's place."""
        used = {spot.index for _, spot in self.replaced()}
        strays = (opening.stray for opening in (*self._scan.candidates, self.tail))
        return [stray for stray in strays if stray is not None and stray.index not in used]

    def expected_from(self, position: int) -> str | None:
        """The element that stands, or must stand, at this position or next after it."""
        for absent in self.optional:
            if absent.start <= position < absent.stop:
                position = absent.stop
        order = self._scan.order
        return str(order.segments[order.at(position)].value(position)) if position < order.total else None

    def _absent(self) -> Iterator[Absent]:
        for start, stop, opening in self._scan.gaps.ranges():
            yield from self._pieces(start, stop, opening)
        yield from self._pieces(self._scan.cursor, self._scan.order.total, self.tail)

    def _pieces(self, start: int, stop: int, opening: Opening) -> Iterator[Absent]:
        """Cut at segments; neighbours that must be there stay one piece."""
        segments, number = self._scan.order.segments, self._scan.order.at(start)
        while start < stop:
            segment = segments[number]
            until = min(stop, segment.stop)
            number += 1
            while segment.open is None and until < stop and segments[number].open is None:
                until = min(stop, segments[number].stop)
                number += 1
            yield Absent(start, until, segment, opening)
            start = until

    def _sort(self, absent: Absent) -> None:
        if absent.open is None:
            self._require(absent)
        elif self._scan.order.opens[absent.open].prefix:
            executed, rest = self._split(absent, self._executed_until(absent))
            self._require(executed)
            self.optional += rest
        else:
            self._sort_by_command(absent)

    def _executed_until(self, absent: Absent) -> int:
        """How far the connection's first k commands reach into this piece, as the furthest element seen shows."""
        newest = self._scan.newest[absent.open] if absent.open is not None else -1
        if newest < 0:
            return absent.start
        order = self._scan.order
        command_stop = order.segments[order.at(newest)].command_stop(newest)
        return absent.stop if newest > absent.start else max(absent.start, min(absent.stop, command_stop))

    def _sort_by_command(self, absent: Absent) -> None:
        """A command of which the piece holds a part only was executed: what is beside the piece was seen."""
        segment, begin, end = absent.segment, absent.start, absent.stop
        if begin != segment.command_start(begin):
            begin = min(end, segment.command_stop(begin))
        if end != segment.command_stop(end - 1):
            end = max(begin, segment.command_start(end - 1))
        self._require(replace(absent, stop=begin))
        if begin < end:
            self.optional.append(replace(absent, start=begin, stop=end))
        self._require(replace(absent, start=end))

    def _require(self, absent: Absent) -> None:
        if absent.count > 0:
            self.required.append(absent)
            self._counts[absent.open] += absent.count

    @staticmethod
    def _split(absent: Absent, at: int) -> tuple[Absent, list[Absent]]:
        """The piece before position `at` (perhaps empty), and the rest if there is any."""
        rest = [replace(absent, start=at)] if at < absent.stop else []
        return replace(absent, stop=at), rest
