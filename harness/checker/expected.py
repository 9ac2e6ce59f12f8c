"""What a ledger allows a list to hold: which elements must be there, which may be, and in which order.

The expected order is that of the commands that worked or may have worked. Every element in it has a *position*,
counted from 0; values are found by bisection, so that a range of 100 million values costs as much as one.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from harness.checker.evidence import Stream
from harness.history import Acknowledged, Broken, Entry, LengthJump, Refused, Resolved, Unanswered
from harness.values import Values

MAX_FLOATING = 1000  # unfenced connections that one pass follows
_MAX_SUM_WORK = 10**11  # bits shifted while trying whether any whole commands add up to a length


class UnusableLedgerError(ValueError):
    """The ledger contradicts itself or leaves elements out: nothing can be judged by it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Elements side by side in the expected order: the values first, first+1, … at the positions start, start+1, …

    command: elements a command (atomic, the last one may be shorter), 0 where unknown; open: whose open commands these
    are (an index into ExpectedOrder.opens), None where the elements must be there.
    """

    start: int
    first: int
    count: int
    command: int
    open: int | None

    @property
    def stop(self) -> int:
        return self.start + self.count

    def value(self, position: int) -> int:
        return self.first + position - self.start

    def command_start(self, position: int) -> int:
        return position - (position - self.start) % self.command if self.command else position

    def command_stop(self, position: int) -> int:
        """The position after the last element of the command that holds this position."""
        return min(self.command_start(position) + self.command, self.stop) if self.command else position + 1


@dataclass(frozen=True)
class OpenCommands:
    """The commands of one connection that may or may not have happened.

    floating: their bytes may have been executed late (an unfenced break), so they may stand, in order, anywhere after
    their place. prefix: the first k of them were executed and no other, for one unknown k; else each stands for itself.
    sizes: (elements, elements a command) piece by piece. must, may: of their elements, counted in order, the first
    `must` were surely executed and those after `may` surely not.
    """

    connection: int
    floating: bool
    prefix: bool
    sizes: tuple[tuple[int, int], ...]
    must: int = 0
    may: int = 0

    @property
    def total(self) -> int:
        return sum(count for count, _ in self.sizes)

    def boundary(self, elements: int, up: bool) -> int:
        """The nearest number of elements at or above (up), or at or below, that whole commands 1..k make."""
        before = 0
        for count, command in self.sizes:
            if elements < before + count:
                into = (elements - before) % command
                return min(elements - into + command, before + count) if up and into else elements - into
            before += count
        return before


@dataclass(frozen=True)
class Sum:
    """A length reply says that of these open commands `applied` elements were executed, beyond what surely was."""

    opens: tuple[int, ...]
    applied: int


@dataclass(frozen=True)
class ExpectedOrder:
    """All that a ledger says, ready to be held against a list.

    segments: by position; must: how many elements must be there, total: how many may be. suspicions: signs that the
    primary itself lost or gained elements. unacknowledged: elements without a success; first_error: the first words
    about one of them.
    """

    segments: Sequence[Segment]
    opens: Sequence[OpenCommands]
    sums: tuple[Sum, ...]
    must: int
    total: int
    refused: int
    unanswered: int
    first_error: str
    refusals: Sequence[tuple[int, int]]
    suspicions: tuple[str, ...]
    jumps: tuple[LengthJump, ...]
    doubts: tuple[str, ...]
    _starts: Sequence[int] = field(repr=False, default=())
    _firsts: Sequence[int] = field(repr=False, default=())
    _by_value: Sequence[Segment] = field(repr=False, default=())

    def find(self, value: int) -> Segment | None:
        """The segment that holds this value, None where nothing that can have worked sent it."""
        number = bisect_right(self._firsts, value) - 1
        if number < 0:
            return None
        segment = self._by_value[number]
        return segment if value < segment.first + segment.count else None

    def unknown_until(self, value: int) -> int | None:
        """The next value above one that find() does not know which it may know, None where there is none."""
        number = bisect_right(self._firsts, value)
        return self._firsts[number] if number < len(self._firsts) else None

    def at(self, position: int) -> int:
        """The index of the segment that holds this position."""
        return bisect_right(self._starts, position) - 1

    def was_refused(self, value: int) -> bool:
        number = bisect_right(self.refusals, (value, sys.maxsize)) - 1
        return number >= 0 and value <= self.refusals[number][1]

    @property
    def floating(self) -> int:
        """Connections that broke and could not be fenced."""
        return sum(commands.floating for commands in self.opens)


_Key = tuple[int, bool]  # connection, and whether its commands were answered (with an error that decides nothing)


@dataclass
class _Piece:
    first: int
    count: int
    command: int
    key: _Key | None  # None: acknowledged


class _Draft:
    """Collects a ledger's entries in stream order; positions can only be given when the length replies are known."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.breaks: dict[int, Broken] = {}
        self.refused: list[tuple[int, int]] = []
        self.refusing: set[int] = set()
        self.resolved: list[Resolved] = []
        self.jumps: list[LengthJump] = []
        self.unanswered = 0
        self.first_error = ""

    def add(self, entry: Entry) -> None:
        if isinstance(entry, Acknowledged):
            self.pieces.append(_Piece(entry.first, _count(entry), max(entry.command, 0), None))
        elif isinstance(entry, Unanswered):
            self.unanswered += _count(entry)
            self.first_error = self.first_error or entry.error or ""
            key = (entry.connection, entry.error is not None)
            self.pieces.append(_Piece(entry.first, _count(entry), max(entry.command, 1), key))
        elif isinstance(entry, Refused):
            self.refused.append((entry.first, entry.first + _count(entry) - 1))
            self.refusing.add(entry.connection)
            self.first_error = self.first_error or entry.error
        elif isinstance(entry, Broken):
            self.breaks[entry.connection] = entry
            self.first_error = self.first_error or entry.reason
        elif isinstance(entry, Resolved):
            self.resolved.append(entry)
        elif isinstance(entry, LengthJump):
            self.jumps.append(entry)

    def open_commands(self) -> dict[_Key, OpenCommands]:
        sizes: dict[_Key, list[tuple[int, int]]] = {}
        for piece in self.pieces:
            if piece.key is not None:
                sizes.setdefault(piece.key, []).append((piece.count, piece.command))
        return {key: self._commands(key, tuple(found)) for key, found in sizes.items()}

    def _commands(self, key: _Key, sizes: tuple[tuple[int, int], ...]) -> OpenCommands:
        connection, answered = key
        ended = self.breaks.get(connection)
        total = sum(count for count, _ in sizes)
        if answered:  # each was answered at its place, one by one: neither late nor all up to a k
            return OpenCommands(connection, floating=False, prefix=False, sizes=sizes, may=total)
        refusing = connection in self.refusing or (ended is not None and ended.refusals_possible)
        floating = ended is None or not ended.fenced
        return OpenCommands(connection, floating, not refusing, sizes, may=total)

    def unended(self) -> list[int]:
        """Connections with commands that got no answer, of which nothing says that they broke."""
        silent = {piece.key[0] for piece in self.pieces if piece.key is not None and not piece.key[1]}
        return sorted(silent - self.breaks.keys())


def expected_order(stream: Stream) -> ExpectedOrder:
    """Read a stream's ledger; UnusableLedgerError where it does not account for each of the elements 1..values once."""
    draft = _Draft()
    for entry in stream.entries():
        draft.add(entry)
    _check_account(draft, stream.numbers)
    opens = draft.open_commands()
    if not stream.data_type.ordered:  # where an element stands says nothing of when it was written
        draft.pieces.sort(key=lambda piece: piece.first)
    sums, suspicions, doubts = _resolve(draft, opens)
    numbers = {key: number for number, key in enumerate(opens)}
    segments = list(_segments(draft.pieces, opens, numbers))
    by_value = sorted(segments, key=lambda segment: segment.first)
    doubts += [
        f"connection {connection} left commands without an answer, and the ledger does not say how it ended"
        for connection in draft.unended()
    ]
    return ExpectedOrder(
        segments=segments,
        opens=list(opens.values()),
        sums=tuple(Sum(tuple(numbers[key] for key in keys), applied) for keys, applied in sums),
        must=sum(segment.count for segment in segments if segment.open is None),
        total=segments[-1].stop if segments else 0,
        refused=stream.values - sum(piece.count for piece in draft.pieces),
        unanswered=draft.unanswered,
        first_error=draft.first_error,
        refusals=sorted(draft.refused),
        suspicions=tuple(suspicions),
        jumps=tuple(draft.jumps),
        doubts=tuple(doubts),
        _starts=[segment.start for segment in segments],
        _firsts=[segment.first for segment in by_value],
        _by_value=by_value,
    )


def _count(entry: Acknowledged | Refused | Unanswered) -> int:
    if entry.last < entry.first:
        raise UnusableLedgerError(
            f"the ledger holds an empty range: elements {entry.first} to {entry.last} of connection {entry.connection}"
        )
    return entry.last - entry.first + 1


def _check_account(draft: _Draft, numbers: Values) -> None:
    """Each of the numbers has one command that can have worked, or only refused ones."""
    worked = sorted((piece.first, piece.first + piece.count - 1) for piece in draft.pieces)
    for (_, last), (first, _) in pairwise(worked):
        if first <= last:
            raise UnusableLedgerError(f"the ledger has two commands for element {first} that can have worked")
    accounted = _merged(sorted(worked + draft.refused))
    written = _merged((first, first + count - 1) for first, count in numbers.runs())
    if accounted == written:
        return
    for first, _ in _beyond(written, accounted):
        raise UnusableLedgerError(f"the ledger does not say how element {first} of {numbers.count} ended")
    for first, last in _beyond(accounted, written):
        which = first if first < numbers.first or not numbers.count else last
        elements = f"{numbers.first}..{numbers.at(numbers.count - 1)}"
        raise UnusableLedgerError(f"the ledger speaks of element {which}, and the elements are {elements}")


_Ranges = list[tuple[int, int]]  # first and last, ascending


def _merged(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    merged: _Ranges = []
    for first, last in ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _beyond(ranges: _Ranges, others: _Ranges) -> Iterator[tuple[int, int]]:
    """The parts of these merged ranges that lie in none of the other ones."""
    for first, last in ranges:
        at, start = max(0, bisect_right(others, (first, sys.maxsize)) - 1), first
        while at < len(others) and others[at][0] <= last:
            if others[at][0] > start:
                yield start, others[at][0] - 1
            start = max(start, others[at][1] + 1)
            at += 1
        if start <= last:
            yield start, last


def _resolve(
    draft: _Draft, opens: dict[_Key, OpenCommands]
) -> tuple[list[tuple[tuple[_Key, ...], int]], list[str], list[str]]:
    """Narrow the open commands by what length replies said: the sums that stay open, suspicions and doubts."""
    sums: list[tuple[tuple[_Key, ...], int]] = []
    suspicions: list[str] = []
    doubts: list[str] = []
    seen: set[int] = set()
    for resolved in draft.resolved:
        names = ", ".join(map(str, resolved.connections))
        keys = tuple(key for connection in dict.fromkeys(resolved.connections) if (key := (connection, False)) in opens)
        commands = [opens[key] for key in keys]
        if any(each.floating for each in commands):
            doubts.append(f"the ledger resolves connection {names} by a list length, though it could not be fenced")
        elif seen & set(resolved.connections):
            doubts.append(f"the ledger resolves connection {names} twice")
        elif not _adds_up(commands, resolved.applied):
            suspicions.append(
                f"the primary's list length says that {resolved.applied} elements of connection {names} were applied, "
                "which no number of whole commands gives: the primary itself lost or gained elements"
            )
        else:
            opens.update(zip(keys, _narrowed(commands, resolved.applied), strict=True))
            sums.append((keys, resolved.applied - sum(opens[key].must for key in keys)))
        seen.update(resolved.connections)
    return sums, suspicions, doubts


def _narrowed(commands: Sequence[OpenCommands], applied: int) -> Iterator[OpenCommands]:
    """What the sum alone says of each: the others can at most have been executed whole, and at least not at all."""
    everything = sum(each.total for each in commands)
    for each in commands:
        must, may = max(0, applied - (everything - each.total)), min(each.total, applied)
        if each.prefix:
            yield replace(each, must=each.boundary(must, up=True), may=each.boundary(may, up=False))
        else:  # unless it is all or nothing, nothing says which of them were executed
            yield replace(each, must=must if must == each.total else 0, may=each.total if may else 0)


def _adds_up(commands: Sequence[OpenCommands], applied: int) -> bool:
    """Whether whole commands, as each connection can have executed them, give this many elements together."""
    if applied < 0:
        return False
    if len(commands) == 1 and commands[0].prefix:
        return commands[0].boundary(applied, up=False) == applied
    reachable = 1  # bit n: n elements are possible
    mask = (1 << (applied + 1)) - 1
    for each in commands:
        if applied * sum(-(-count // command) for count, command in each.sizes) > _MAX_SUM_WORK:
            return True
        reachable = (_prefixes(each, reachable, applied) if each.prefix else _subsets(each, reachable, mask)) & mask
    return bool(reachable >> applied & 1)


def _prefixes(commands: OpenCommands, reachable: int, most: int) -> int:
    result, executed = reachable, 0
    for size in _command_sizes(commands):
        executed += size
        if executed > most:
            break
        result |= reachable << executed
    return result


def _subsets(commands: OpenCommands, reachable: int, mask: int) -> int:
    for size in _command_sizes(commands):
        reachable |= reachable << size & mask
    return reachable


def _command_sizes(commands: OpenCommands) -> Iterator[int]:
    for count, command in commands.sizes:
        for begin in range(0, count, command):
            yield min(command, count - begin)


def _segments(pieces: Iterable[_Piece], opens: dict[_Key, OpenCommands], numbers: dict[_Key, int]) -> Iterator[Segment]:
    """Give positions. What surely was executed of open commands becomes a must; what surely was not gets none."""
    position = 0
    before = dict.fromkeys(opens, 0)
    for piece in pieces:
        if piece.key is None:
            yield Segment(position, piece.first, piece.count, piece.command, None)
            position += piece.count
            continue
        commands, begin = opens[piece.key], before[piece.key]
        before[piece.key] = end = begin + piece.count
        for low, high, number in (
            (begin, min(end, commands.must), None),
            (max(begin, commands.must), min(end, commands.may), numbers[piece.key]),
        ):
            if low < high:
                yield Segment(position, piece.first + low - begin, high - low, piece.command, number)
                position += high - low
