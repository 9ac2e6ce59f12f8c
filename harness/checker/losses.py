"""Acknowledged elements that a forced failover cost: those that no node of the shard holds any more.

Replication is asynchronous, so a replica that takes over may lack what its primary had acknowledged. What is gone
everywhere is told once for each key, with its number and the time in which it was acknowledged; a scenario may budget
it. What any node of the shard still holds is not lost by the failover, and every node is judged for it as ever.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.checker.evidence import Evidence, FaultRecord, KeyState, Reading, Stream
from harness.checker.show import elements
from harness.checker.verdict import Anomaly, First, Kind
from harness.history import Acknowledged, Entry, Opened, Refused, Stamp

NEVER = float("inf")
SILENT = frozenset({"kill failover", "isolate"})  # faults after which the old primary acknowledges nothing more


@dataclass(frozen=True)
class Loss:
    """What one key lost in one failover. pieces: (first, last) of the elements, ascending; since_s, until_s: when they
    were acknowledged, at the earliest and at the latest, in seconds since the first write.
    """

    stream: str
    fault: FaultRecord
    pieces: tuple[tuple[int, int], ...]
    since_s: float
    until_s: float

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.pieces)

    @property
    def before_s(self) -> float:
        """How long before the other node was seen to have taken over the first of them was acknowledged."""
        return max(0.0, (self.fault.took_over_s or 0.0) - self.since_s)

    def within(self, budget_s: float | None) -> bool:
        """Whether a budget of so many seconds (None: there is none) covers all of it."""
        return budget_s is not None and self.before_s <= budget_s


def losses(evidence: Evidence) -> dict[str, Loss]:
    """By stream name. Nothing is told of a stream whose shard was not read whole: then it is judged as if nobody had
    failed over.
    """
    found: dict[str, Loss] = {}
    for stream in evidence.streams:
        faults = [fault for fault in evidence.faults if fault.loses in stream.shards and fault.loses]
        done = [fault for fault in faults if fault.took_over_s is not None]
        held = _held(stream, evidence) if done else None
        if held is None:
            continue
        fault = max(done, key=lambda each: each.took_over_s or 0.0)
        if loss := _loss(stream, fault, held):
            found[stream.name] = loss
    return found


def without(stream: Stream, loss: Loss) -> Stream:
    """The stream as if the lost elements' commands had been refused."""
    return replace(stream, entries=partial(_entries_without, stream, loss))


def anomaly(stream: Stream, loss: Loss, node: str, budget_s: float | None) -> Anomaly:
    """node: the primary that the shard has now."""
    first, fault = loss.pieces[0][0], loss.fault
    message = (
        f"{elements(loss.count)} {'is' if loss.count == 1 else 'are'} on no node of {stream.key}'s shard, acknowledged "
        f"by {fault.primary} from {loss.since_s:.3f} to {loss.until_s:.3f} s after the first write, up to "
        f"{loss.before_s:.3f} s before another node took over at {fault.took_over_s:.3f} s; the first: {first}"
    )
    if budget_s is not None:
        message += f" ({'within' if loss.within(budget_s) else 'not within'} the {budget_s:g} s that may be lost)"
    spot = First(None, str(first), None)
    budgeted = loss.within(budget_s)
    return Anomaly(Kind.LOST, node, stream.db, stream.key, loss.count, spot, message, budgeted=budgeted)


def _held(stream: Stream, evidence: Evidence) -> _Ranges | None:
    """What any node of the key's shard holds; None where one of them was not read, or could not be."""
    roots = [root for root, target in evidence.targets.items() if stream.reading in target.lengths]
    wanted = {*(stream.nodes or ()), *roots}
    readings = [each for each in evidence.readings if each.stream == stream.reading and each.node in wanted]
    states = {each.state for each in readings}
    if len(roots) != 1 or {each.node for each in readings} != wanted or KeyState.UNREADABLE in states:
        return None
    return _Ranges(_numbers(readings))


def _numbers(readings: Sequence[Reading]) -> Iterator[tuple[int, int]]:
    for reading in readings:
        for run in reading.runs() if reading.state is KeyState.LIST else ():
            if run.raw is None and run.first:
                yield run.first, run.first + run.count - 1


class _Ranges:
    """Numbers as merged ranges."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if self._merged and first <= self._merged[-1][1] + 1:
                self._merged[-1] = self._merged[-1][0], max(last, self._merged[-1][1])
            else:
                self._merged.append((first, last))

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of first..last that are in none of them."""
        at = max(0, bisect_right(self._merged, (first, NEVER)) - 1)
        while first <= last and at < len(self._merged):
            start, stop = self._merged[at]
            if start > last:
                break
            if start > first:
                yield first, start - 1
            first = max(first, stop + 1)
            at += 1
        if first <= last:
            yield first, last

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of first..last that are in one of them."""
        at = max(0, bisect_right(self._merged, (first, NEVER)) - 1)
        for start, stop in self._merged[at:]:
            if start > last:
                return
            if stop >= first:
                yield max(first, start), min(last, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._merged)


def _loss(stream: Stream, fault: FaultRecord, held: _Ranges) -> Loss | None:
    """Elements that the old primary acknowledged and that come after the last one of those which any node holds.

    What a replica had not got is the end of what its primary wrote; a hole before that is nobody's failover. Neither is
    what the new primary acknowledged, nor what the old one did when it had become one again.
    """
    pieces: list[tuple[int, int]] = []
    since, until = NEVER, 0.0
    for entry, earliest, latest in _acknowledged(stream.entries(), fault.primary, _last_chance_s(fault)):
        missing = list(held.missing(entry.first, entry.last))
        kept = max((last for _, last in held.within(entry.first, entry.last)), default=None)
        if kept is not None:
            pieces, since, until = [piece for piece in missing if piece[0] > kept], NEVER, 0.0
        else:
            pieces += missing
        if pieces:
            since, until = min(since, earliest), max(until, latest)
    return Loss(stream.name, fault, tuple(_Ranges(pieces)), since, until) if pieces else None


def _last_chance_s(fault: FaultRecord) -> float:
    """Until when the old primary may have acknowledged what the failover costs: one that is dead or refuses writes,
    until another one took over; one that runs, until it knew of that, which it did when the fault was healed.
    """
    if fault.fault in SILENT:
        return fault.took_over_s or 0.0
    return NEVER if fault.healed_s is None else fault.healed_s


def _acknowledged(
    entries: Iterable[Entry], node: str, last_chance_s: float
) -> Iterator[tuple[Acknowledged, float, float]]:
    """Each range that this node acknowledged over connections that were taken to it before this time, and between which
    two times it was.

    Answers wait to be read while a writer is held: what is read later counts as well if it had been sent when the first
    stamp after this time was written, and nothing was refused in between, as by a node that follows another one now.
    It may have been acknowledged at any time after the last stamp before.
    """
    waiting: list[Acknowledged] = []
    over: int | None = None  # the connection that leads to the node
    refused = False  # since the last success
    since = before = 0.0
    sent = NEVER
    for entry in entries:
        if isinstance(entry, Opened):
            over = entry.connection if entry.node == node and before <= last_chance_s else None
        elif isinstance(entry, Refused) and entry.connection == over:
            refused = True
        elif isinstance(entry, Acknowledged) and entry.connection == over:
            if before > last_chance_s and (refused or entry.first > sent):
                over = None
                continue
            refused = False
            waiting.append(replace(entry, last=int(min(entry.last, sent))))
        elif isinstance(entry, Stamp):
            yield from ((each, since, entry.seconds) for each in waiting)
            if before <= last_chance_s < entry.seconds:
                sent = entry.sent
            waiting, before = [], entry.seconds
            since = before if before <= last_chance_s else since
    yield from ((each, since, NEVER) for each in waiting)


def _entries_without(stream: Stream, loss: Loss) -> Iterator[Entry]:
    lost = _Ranges(loss.pieces)
    for entry in stream.entries():
        if not isinstance(entry, Acknowledged):
            yield entry
            continue
        at = entry.first
        for first, last in lost.within(entry.first, entry.last):
            if at < first:
                yield replace(entry, first=at, last=first - 1, command=0)
            yield Refused(entry.connection, first, last, f"lost when {loss.fault.loses} failed over")
            at = last + 1
        if at <= entry.last:
            yield replace(entry, first=at, command=entry.command if at == entry.first else 0)
