"""Judges a key whose elements have no order of writing: a hash, a set, a sorted set.

Each element is there or not, with the right value or another one; the rules of which must be there are those of lists,
so the pass sees the elements by their numbers. A sorted set's own order, by score and member, is judged besides.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from harness.checker.evidence import KeyState, Run
from harness.checker.list_order import Judgement
from harness.checker.missing import Absent
from harness.checker.scan import Spot, Tally
from harness.checker.show import shown
from harness.checker.verdict import Anomaly, First, Kind
from harness.scores import score_text


@dataclass(frozen=True, slots=True)
class _Odd:
    """An element with another value than its own: which, what was found, and where."""

    number: int
    found: str
    index: int


class MemberJudgement(Judgement):
    """Indexes are positions in the server's order of a sorted set; a hash or a set has none."""

    def scan_reading(self) -> None:
        self.wrong: list[_Odd] = []
        self.disordered = Tally()
        self._elsewhere = 0  # elements that the pass does not see
        self._before_it = ""  # the first element that stands too far ahead of another
        if self.reading.state is not KeyState.LIST:
            return
        numbers = self._sorted_numbers()
        self.scan.read(Run(first, count) for first, count in numbers)
        self.scan.index += self._elsewhere

    def _sorted_numbers(self) -> list[tuple[int, int]]:
        """The numbers that can be there, in ascending order; what else the node sent is noted on the way."""
        pieces: list[tuple[int, int]] = []
        odd: list[_Odd] = []
        index, highest = 0, None
        for run in self.reading.runs():
            if run.others:
                self._elsewhere += run.count
            elif run.raw is None:
                highest = self._check_order(run, index, highest)
                pieces += self._known(run, index)
            elif (number := _member(run.raw)) is not None and self.order.find(number) is not None:
                odd.append(_Odd(number, shown(run.raw), index))
            else:
                self._foreign(1, shown(run.raw), index)
            index += run.count
        pieces.sort()
        self.wrong = list(self._really_wrong(odd, pieces))
        pieces += [(each.number, 1) for each in self.wrong]
        pieces.sort()
        return pieces

    def _known(self, run: Run, index: int) -> Iterator[tuple[int, int]]:
        value, left = run.first, run.count
        while left:
            segment = self.order.find(value)
            if segment is not None:
                count = min(left, segment.first + segment.count - value)
                yield value, count
            else:
                known = self.order.unknown_until(value)
                count = left if known is None else min(left, known - value)
                self._foreign(count, str(value), index + value - run.first)
            value, left = value + count, left - count

    def _foreign(self, count: int, found: str, index: int) -> None:
        self.scan.phantom.add(count, Spot(index, found, 0))
        self._elsewhere += count

    def _really_wrong(self, odd: list[_Odd], pieces: list[tuple[int, int]]) -> Iterator[_Odd]:
        """An element that is there rightly as well is one too many, not a wrong one."""
        taken: set[int] = set()
        for each in odd:
            if each.number in taken or _holds(pieces, each.number):
                self._foreign(1, each.found, each.index)
            else:
                taken.add(each.number)
                yield each

    # a sorted set's own order

    def _check_order(self, run: Run, index: int, highest: tuple[float, bytes] | None) -> tuple[float, bytes] | None:
        if self.stream.data_type.name != "zset":
            return None
        if self.stream.scores == "ids":
            late = 0 if highest is None else max(0, min(run.count, int(highest[1]) - run.first))
            self._note_disorder(late, Spot(index, str(run.first), 0), highest)
            return highest if late == run.count else self._rank(run.first + run.count - 1)
        for number in range(run.first, run.first + run.count):
            rank = self._rank(number)
            late = int(highest is not None and rank < highest)
            self._note_disorder(late, Spot(index + number - run.first, str(number), 0), highest)
            highest = highest if late else rank
        return highest

    def _note_disorder(self, count: int, spot: Spot, highest: tuple[float, bytes] | None) -> None:
        if count and highest is not None:
            self.disordered.add(count, spot)
            self._before_it = self._before_it or highest[1].decode()

    def _rank(self, number: int) -> tuple[float, bytes]:
        return float(score_text(self.stream.scores, number)), b"%d" % number

    # names

    def _anomalies(self) -> Iterator[Anomaly]:
        required = self.missing.required
        tail = [absent for absent in required if absent.opening is self.missing.tail]
        holes = [absent for absent in required if absent.opening is not self.missing.tail]
        if holes:
            yield self._absent(Kind.LOST, holes, 0, "while later ones are there")
        if tail or self.surplus:
            late = not self.known.caught_up
            what = "the newest ones" + (f"; {self.reading.node} had not caught up" if late else "")
            yield self._absent(Kind.STALE if late else Kind.TRUNCATED, tail, self.surplus, what)
        if self.wrong:
            first = min(self.wrong, key=lambda each: each.index)
            spot = First(self._index(first.index), str(first.number), first.found)
            text = f"{first.found} instead of {self._right(first.number)}"
            yield self._name(Kind.WRONG_VALUE, len(self.wrong), spot, "there with another value", text)
        yield from self._misplaced()
        if (late_one := self.disordered.first) is not None:
            spot = First(self._index(late_one.index), self._before_it, late_one.found)
            text = f"{late_one.found} stands after {self._before_it}, whose score is higher"
            yield self._name(Kind.REORDERED, self.disordered.count, spot, "out of the order of scores", text)

    def _misplaced(self) -> Iterator[Anomaly]:
        if (twice := self.scan.duplicated.first) is not None:
            spot = First(None, None, twice.found)
            count = self.scan.duplicated.count
            yield self._name(Kind.DUPLICATED, count, spot, "there more than once", f"{twice.found} came twice")
        if (first := self.phantom.first) is not None:
            spot = First(self._index(first.index), None, first.found)
            text = f"{first.found}: {self.origin(first.found)}"
            yield self._name(Kind.PHANTOM, self.phantom.count, spot, "there that must not be", text)

    def _absent(self, kind: Kind, absent: list[Absent], surplus: int, what: str) -> Anomaly:
        count = sum(piece.count for piece in absent) + surplus
        first = min(absent, key=lambda piece: piece.start, default=None)
        if first is None:
            return self._name(kind, count, First(None, None, None), "missing", "the primary holds more")
        ranked = self.stream.data_type.name == "zset" and self.stream.scores == "ids"
        spot = First(first.opening.index if ranked else None, str(first.value), None)
        return self._name(kind, count, spot, "missing", f"{first.value} is not there, {what}")

    def _index(self, index: int) -> int | None:
        return index if self.stream.data_type.name == "zset" else None

    def _right(self, number: int) -> str:
        if self.stream.data_type.name == "zset":
            return f"{number} with score {score_text(self.stream.scores, number)}"
        return f"{number} {number}"


def _member(raw: bytes) -> int | None:
    """The number that a member or field is, where what was read is one with another value."""
    member = raw.partition(b" ")[0]
    if not member.isdigit() or member[0] == 0x30 or len(member) > 18 or member == raw:
        return None
    return int(member)


def _holds(pieces: list[tuple[int, int]], number: int) -> bool:
    """Whether these ascending stretches hold the number."""
    at = bisect_right(pieces, (number, sys.maxsize)) - 1
    return at >= 0 and number < pieces[at][0] + pieces[at][1]
