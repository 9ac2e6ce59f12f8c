"""Judges one list, or another key whose elements have an order: is it what the ledger allows? Each place that is not
gets one name.

The pass (scan) tells what was seen where, `missing` which absent elements must be there; here the primary's list length
is weighed and the anomalies are named.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.checker.evidence import KeyState, Reading, Stream
from harness.checker.expected import MAX_FLOATING, ExpectedOrder
from harness.checker.missing import Absent, Missing
from harness.checker.scan import Scan, Spot, Tally
from harness.checker.show import elements
from harness.checker.verdict import Anomaly, First, Kind


@dataclass(frozen=True)
class Findings:
    """What is said of one list on one node.

    must: elements that must be there; read: elements read. Of open commands that no node can have executed late, and
    that therefore are the same on every node: held, how many elements are there, by connection, where the first k were
    executed; skipped, which are not there, as (start, stop) of positions by the ledger's open commands, elsewhere.
    """

    anomalies: tuple[Anomaly, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    must: int = 0
    read: int = 0
    held: Mapping[int, int] = field(default_factory=dict)
    skipped: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Circumstances:
    """What is known beside the list: the primary's list length at the target (None: never asked), whether the node had
    caught up with it, and how many elements of a fenced connection's open commands another node holds.
    """

    target_length: int | None
    caught_up: bool
    held_elsewhere: Mapping[int, int] = field(default_factory=dict)


def _about_ledger(stream: Stream, order: ExpectedOrder) -> tuple[str, ...]:
    doubts = [f"{stream.name}: {doubt}" for doubt in order.doubts]
    if order.floating > MAX_FLOATING:
        doubts.append(
            f"{stream.name}: {order.floating} connections broke and could not be fenced, "
            f"and one pass can follow {MAX_FLOATING}"
        )
    return tuple(doubts)


class Judgement:
    """One key's way from the pass to its findings."""

    def __init__(self, stream: Stream, order: ExpectedOrder, reading: Reading, known: Circumstances) -> None:
        self.stream, self.order, self.reading, self.known = stream, order, reading, known
        self.scan = Scan(order)
        self.scan_reading()
        self.missing = Missing(self.scan)
        self.phantom = Tally(self.scan.phantom.count, self.scan.phantom.first)
        self.surplus = 0  # elements that only the primary holds, and nobody sent
        self.excess = 0  # elements of open commands that the primary did not execute
        self.suspicions = list(order.suspicions)

    def scan_reading(self) -> None:
        """Let the pass see what the node sent."""
        self.scan.read(self.reading.runs() if self.reading.state is KeyState.LIST else ())

    def where(self, index: int) -> int:
        """The position in the node's own list of what is the index-th element in the order of writing."""
        return index if self.stream.push == "right" else max(0, self.scan.index - 1 - index)

    def findings(self) -> Findings:
        self._weigh_length_replies()
        self._weigh_other_nodes()
        self._weigh_target()
        for spot in self.missing.unattached():
            self.phantom.add(1, spot)
        anomalies = tuple(self._anomalies() if self.reading.state is KeyState.LIST else self._no_list())
        doubts = (*_about_ledger(self.stream, self.order), *self._reading_doubts())
        unexplained = tuple(f"{self.stream.name} on {self.reading.node}: {text}" for text in self._unexplained())
        return Findings(
            anomalies=anomalies,
            doubts=doubts if anomalies else doubts + unexplained,
            notes=unexplained if anomalies else (),
            must=self.order.must,
            read=self.scan.index,
            held=self._held(),
            skipped=self._skipped(),
        )

    # what else says how many of the open commands happened

    def _weigh_length_replies(self) -> None:
        for known in self.order.sums:
            present = self._present(known.opens)
            self._demand(known.opens, known.applied - present - self.missing.required_of(known.opens))
            if present > known.applied:
                self._too_many(known.opens, present - known.applied)

    def _weigh_other_nodes(self) -> None:
        """A break that was fenced left the same k for every node."""
        for number, commands in enumerate(self.order.opens):
            if commands.prefix and not commands.floating:
                lacking = self.known.held_elsewhere.get(commands.connection, 0) - self.scan.present[number]
                self._demand((number,), lacking - self.missing.required_of((number,)))

    def _weigh_target(self) -> None:
        """What the primary held this node must hold, answered or not; and no more, unless it was executed late.

        The primary may itself hold the strays that are here, and lack what is lost here: these explain a difference.
        """
        length, must = self.known.target_length, self.order.must
        if length is None:
            return
        opens = range(len(self.order.opens))
        present, lost = self._present(opens), self.missing.required_of((None,))
        strays = self.scan.phantom.count + len(self.missing.unattached()) + self.scan.duplicated.count
        self.surplus = self._demand(opens, length - must - present - self.missing.required_of(opens) - strays)
        decided = [number for number in opens if not self.order.opens[number].floating]
        present = self._present(decided)  # of the others, some may have been executed after the primary was asked
        excess = present - (length - must) - lost - self.excess
        if excess > present - self.excess:
            self.suspicions.append(
                f"the primary held {elements(length)} at the end, fewer than the {must} that must be there"
            )
        elif excess > 0:
            self._too_many(decided, excess)

    def _present(self, opens: Collection[int]) -> int:
        return sum(self.scan.present[number] for number in opens)

    def _demand(self, opens: Collection[int], count: int) -> int:
        """Require so many more of these open commands' elements; return how many there are none of."""
        return self.missing.demand(opens, count, self.known.caught_up) if count > 0 else 0

    def _too_many(self, opens: Collection[int], count: int) -> None:
        """The last `count` elements of these commands are there, and the primary did not execute them."""
        if self.scan.gaps.overflowed:
            return  # which are there is not known well enough to name one
        self.excess += count
        absent = sorted((piece.start, piece.stop) for piece in (*self.missing.required, *self.missing.optional))
        left, at, after = count, 0, 0
        for segment in reversed(self.order.segments):
            if segment.open not in opens or not left:
                continue
            for start, stop in reversed(list(_outside(segment.start, segment.stop, absent))):
                if left:
                    after = after or stop
                    at = max(start, stop - left)
                    left -= stop - at
        value = self.order.segments[self.order.at(at)].value(at)
        self.phantom.add(count, Spot(self._index_of(value), str(value), after))

    def _index_of(self, value: int) -> int:
        index = 0
        for run in self.reading.runs():
            if run.raw is None and run.first <= value < run.first + run.count:
                return index + value - run.first
            index += run.count
        raise ValueError(f"{self.reading.node} sent {value} once and not again: a reading must stay the same")

    # names

    def _no_list(self) -> Iterator[Anomaly]:
        required = sorted(self.missing.required, key=lambda absent: absent.start)
        count = _total(required) + self.surplus
        first = First(0, str(required[0].value) if required else None, None)
        node, where, late = self.reading.node, f"{self.stream.key} on {self.reading.node}", not self.known.caught_up
        if self.reading.state is KeyState.WRONG_TYPE:
            found = self.reading.found_type or "another type"
            wanted = self.stream.data_type
            kind, first = Kind.WRONG_TYPE, First(None, wanted.name, found)
            text = f"is not {wanted.article} but: {found}"
        else:
            kind = Kind.STALE if late else Kind.MISSING_KEY
            text = f"does not exist, and {elements(count)} must be there"
            text += f"; {node} had not caught up" if late else ""
        if count or self.reading.state is KeyState.WRONG_TYPE:
            yield Anomaly(kind, node, self.stream.db, self.stream.key, max(count, 1), first, f"{where} {text}")

    def _anomalies(self) -> Iterator[Anomaly]:
        replaced = self.missing.replaced()
        wrong = {id(absent) for absent, _ in replaced}
        required = [absent for absent in self.missing.required if id(absent) not in wrong]
        tail = [absent for absent in required if absent.opening is self.missing.tail]
        holes = [absent for absent in required if absent.opening is not self.missing.tail]
        if holes:
            yield self._lost(holes)
        if tail or self.surplus:
            yield self._cut_short(tail)
        if replaced:
            yield self._wrong_value(replaced)
        yield from self._misplaced()

    def _misplaced(self) -> Iterator[Anomaly]:
        if (first := self.scan.duplicated.first) is not None:
            text = f"{first.found} stands at index {self.where(first.index)} once more"
            count = self.scan.duplicated.count
            yield self._name(Kind.DUPLICATED, count, self._met(first), "there more than once", text)
        if (first := self.scan.reordered.first) is not None:
            late = str(self.order.segments[self.order.at(first.cursor)].value(first.cursor))
            spot = First(self.where(first.index), late, first.found)
            text = f"{late} comes after {first.found}, which was written later and stands at index {spot.index}"
            yield self._name(Kind.REORDERED, self.scan.reordered.count, spot, "out of order", text)
        if (first := self.phantom.first) is not None:
            text = f"{first.found} stands at index {self.where(first.index)}: {self.origin(first.found)}"
            yield self._name(Kind.PHANTOM, self.phantom.count, self._met(first), "there that must not be", text)

    def _lost(self, holes: list[Absent]) -> Anomaly:
        first = min(holes, key=lambda absent: (absent.opening.index, absent.start))
        spot = First(self.where(first.opening.index), str(first.value), str(first.opening.value))
        side = "before" if self.stream.push == "right" else "after"
        text = f"{spot.expected} belongs {side} {spot.found} at index {spot.index}"
        return self._name(Kind.LOST, _total(holes), spot, "missing while later ones are there", text)

    def _cut_short(self, tail: list[Absent]) -> Anomaly:
        kind = Kind.TRUNCATED if self.known.caught_up else Kind.STALE
        next_one = min(tail, key=lambda absent: (absent.start < self.scan.cursor, absent.start), default=None)
        end = self.scan.index if self.stream.push == "right" else 0
        spot = First(end, str(next_one.value) if next_one else None, None)
        text = f"the {self.stream.data_type.title} ends after {elements(self.scan.index)}"
        text += f", where {spot.expected} was expected" if tail else ", and the primary's is longer"
        if kind is Kind.STALE:
            text += f"; {self.reading.node} had not caught up"
        return self._name(kind, _total(tail) + self.surplus, spot, "missing at the end", text)

    def _wrong_value(self, replaced: list[tuple[Absent, Spot]]) -> Anomaly:
        absent, stray = min(replaced, key=lambda place: place[1].index)
        spot = First(self.where(stray.index), str(absent.value), stray.found)
        text = f"at index {spot.index} stands {spot.found} instead of {spot.expected}"
        return self._name(Kind.WRONG_VALUE, len(replaced), spot, "replaced by others", text)

    def _name(self, kind: Kind, count: int, first: First, what: str, text: str) -> Anomaly:
        at_least = self.scan.gaps.overflowed
        verb = "is" if count == 1 else "are"
        where = f"{self.stream.key} on {self.reading.node}"
        message = f"{where}: {elements(count, at_least)} {verb} {what}; {text}"
        return Anomaly(kind, self.reading.node, self.stream.db, self.stream.key, count, first, message, at_least)

    def _met(self, spot: Spot) -> First:
        return First(self.where(spot.index), self.missing.expected_from(spot.cursor), spot.found)

    def origin(self, found: str) -> str:
        value = int(found) if found.isdecimal() and found.isascii() and found == str(int(found)) else 0
        if value not in self.stream.numbers:
            return "it was never sent"
        if self.order.find(value) is None and self.order.was_refused(value):
            return "its command was refused"
        return "its command did not happen, as the primary's list length shows"

    # what makes the answer unknown, and what a reader should know

    def _reading_doubts(self) -> Iterator[str]:
        name = f"{self.stream.name} on {self.reading.node}"
        if self.reading.state is KeyState.LIST and self.scan.index != self.reading.length:
            yield f"{name}: {self.reading.length} elements were read, and {self.scan.index} were kept"
        if self.reading.state is KeyState.LIST and not self.scan.index:
            yield f"{name}: {self.stream.data_type.article} without elements was read, which no server keeps"

    def _unexplained(self) -> Iterator[str]:
        """Signs that something went wrong although this list shows nothing."""
        yield from self.suspicions
        for jump in self.order.jumps[:1]:
            if self.stream.data_type.ordered:
                what, why = "a list length", "the primary itself lost or gained elements"
            else:
                what, why = "a number of new elements", "somebody else had written what was not"
            reply = f"the reply to element {jump.element}'s command told {what} of {jump.found}, not {jump.expected}"
            yield f"{reply}: {why}"
        if self.scan.gaps.overflowed:
            yield f"over {self.scan.gaps.limit} gaps: not all could be kept"

    def _held(self) -> dict[int, int]:
        return {
            commands.connection: self.scan.present[number]
            for number, commands in enumerate(self.order.opens)
            if commands.prefix and not commands.floating
        }

    def _skipped(self) -> dict[int, tuple[tuple[int, int], ...]]:
        found: dict[int, list[tuple[int, int]]] = {
            number: []
            for number, commands in enumerate(self.order.opens)
            if not commands.prefix and not commands.floating
        }
        for absent in self.missing.optional:
            if absent.open in found:
                found[absent.open].append((absent.start, absent.stop))
        return {number: tuple(ranges) for number, ranges in found.items()}


def _total(pieces: list[Absent]) -> int:
    return sum(absent.count for absent in pieces)


def _outside(start: int, stop: int, absent: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of start..stop that lie in none of the absent ranges (in ascending order)."""
    number = max(0, bisect_right(absent, (start, sys.maxsize)) - 1)
    while number < len(absent) and absent[number][0] < stop:
        begin, end = absent[number]
        if begin > start:
            yield start, begin
        start = max(start, end)
        number += 1
    if start < stop:
        yield start, stop
