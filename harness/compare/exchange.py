"""The traffic of a comparison: tasks that ask both sides at once, many of them in flight, one thread.

A task is a generator. It yields an Ask and is sent the answer; while it waits, other tasks' asks are under way. Answers
come back on each connection in the order of the asks, and the queue keeps that order, so nothing needs a number.

What is expected to be equal is compared as bytes while it arrives, and thrown away: memory does not depend on the size
of values. Only a task that then asks for `REPLIES` has them parsed.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.compare.frame import Ends
from harness.compare.pace import Pace
from harness.endpoint.allowed import Argument
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.replies import Reply

_TOKEN = 8  # bytes of chance in the marks that end each answer
RARE = b"\xfe"  # a mark holds it, and text never does: where it is not, no mark is, and looking for one byte is fast


class Mode(Enum):
    """SAME: only whether the bytes are equal. LINES: the bytes of short replies. REPLIES: parsed."""

    SAME = "same"
    LINES = "lines"
    REPLIES = "replies"


@dataclass(frozen=True, slots=True)
class Ask:
    """Commands for both sides (empty where one is not asked). count: commands for one side; elements: what they ask
    for at most, 0 for single values; kind: the type whose values are read, "" otherwise; cut: how a reply begins of
    which there may be more than was asked for, which never counts as the same (b"": none does). ends: strings of an
    element, where the marks of the first and the last one are wanted (see `frame`), else 0. more: of SAME, what else is
    sent with it, so that the servers need not wait for us; each has an answer of its own.
    """

    mode: Mode
    a: bytes
    b: bytes
    count: int
    elements: int = 0
    kind: str = ""
    cut: bytes = b""
    ends: int = 0
    more: tuple[Ask, ...] = ()


@dataclass(slots=True)
class Answer:
    """same, size, head, tail: for SAME (size in bytes of A's part; head, tail: of what was the same, where it began and
    how it ended; first, last: the marks that were asked for). lines_a, lines_b: for LINES. a, b: for REPLIES. took_s:
    the most that lay between both sides' reads. more: the answers to the ask's `more`.
    """

    same: bool = True
    size: int = 0
    head: bytes = b""
    tail: bytes = b""
    first: str = ""
    last: str = ""
    lines_a: bytes = b""
    lines_b: bytes = b""
    a: list[Reply] | None = None
    b: list[Reply] | None = None
    took_s: float = 0.0
    more: tuple[Answer, ...] = ()


Steps = Generator[Ask, Answer, None]


@dataclass(slots=True)
class Lane:
    """The connections that a task uses: one to each side, for the same database."""

    a: Connection
    b: Connection

    def pack_each(
        self, keys: Sequence[bytes], *commands: Sequence[Argument | encode.Placeholder]
    ) -> tuple[bytes, bytes]:
        """The same bytes for both sides (see Connection.pack_each), which each of them allows."""
        self.b.check_each(keys, *commands)
        payload = self.a.pack_each(keys, *commands)
        return payload, payload


@dataclass(slots=True)
class _Waiting:
    lane: Lane
    steps: Steps
    ask: Ask
    marks: list[bytes]
    sent_at: float


class Exchange:
    """Runs tasks; not for two threads at once."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._in_flight = pace, pace.in_flight
        self._nonce = RARE + os.urandom(_TOKEN).hex().encode()
        self._number = 0
        self._queue: deque[_Waiting] = deque()

    def run(self, tasks: Iterator[tuple[Lane, Steps]], tick: Callable[[], None] = lambda: None) -> None:
        """Run them all, some at a time. tick: called after every answer."""
        more = True
        while more or self._queue:
            while more and len(self._queue) < self._in_flight:
                task = next(tasks, None)
                if task is None:
                    more = False
                else:
                    self._advance(task[0], task[1], None)
            if self._queue:
                waiting = self._queue.popleft()
                self._advance(waiting.lane, waiting.steps, self._taken(waiting))
                tick()

    def _advance(self, lane: Lane, steps: Steps, answer: Answer | None) -> None:
        try:
            ask = next(steps) if answer is None else steps.send(answer)
        except StopIteration:
            return
        self._send(lane, steps, ask)

    def _send(self, lane: Lane, steps: Steps, ask: Ask) -> None:
        sent_at = time.monotonic()
        marks = [self._sent(lane, each) for each in (ask, *ask.more)]
        self._queue.append(_Waiting(lane, steps, ask, marks, sent_at))

    def _sent(self, lane: Lane, ask: Ask) -> bytes:
        """The mark that ends the answer."""
        self._pace.take(ask.count + 1, ask.elements)
        self._number += 1
        mark = b"%b%d" % (self._nonce, self._number)
        for connection, payload in ((lane.a, ask.a), (lane.b, ask.b)):
            if payload:
                end = b"" if ask.mode is Mode.REPLIES else connection.pack("PING", mark)
                connection.send(payload + end)
        return encode.bulk(mark)

    def _taken(self, waiting: _Waiting) -> Answer:
        ask, lane, mark = waiting.ask, waiting.lane, waiting.marks[0]
        answer = Answer()
        if ask.mode is Mode.SAME:
            answer = same_until(lane.a, lane.b, mark, ask.cut, ask.ends)
            others = zip(ask.more, waiting.marks[1:], strict=True)
            answer.more = tuple([same_until(lane.a, lane.b, its, each.cut, each.ends) for each, its in others])
        elif ask.mode is Mode.LINES:
            answer.lines_a = bytes_until(lane.a, mark) if ask.a else b""
            answer.lines_b = bytes_until(lane.b, mark) if ask.b else b""
        else:
            answer.a = [lane.a.take_reply() for _ in range(ask.count)] if ask.a else []
            answer.b = [lane.b.take_reply() for _ in range(ask.count)] if ask.b else []
        answer.took_s = time.monotonic() - waiting.sent_at
        return answer


EDGE = 4096  # bytes that are kept of where an answer begins and ends


def same_until(a: Connection, b: Connection, mark: bytes, cut: bytes = b"", ends: int = 0) -> Answer:
    """Whether both send the same bytes up to this mark, and A's number of bytes. Takes everything with the mark.

    What may hold an error reply does not count as the same: two sides that refuse the same command agree on nothing.
    Nor does what may begin like `cut`, where that is given. ends: as for an Ask.
    """
    answer, watched = Answer(), Ends(ends) if ends else None
    least_a = least_b = len(mark)
    while True:
        part_a, part_b = a.peek(least_a), b.peek(least_b)
        end_a, end_b = _end(part_a, mark), _end(part_b, mark)
        own = part_a if end_a < 0 else part_a[:end_a]  # without the answers that follow
        doubtful = _suspicious(own, cut, answer.size)
        if end_a >= 0 and end_b >= 0:
            piece = own
            answer.same = end_a == end_b and piece == part_b[:end_b] and not doubtful
            a.skip(end_a + len(mark))
            b.skip(end_b + len(mark))
            _remember(answer, piece, watched)
            return answer
        both = min(len(part_a) if end_a < 0 else end_a + len(mark), len(part_b) if end_b < 0 else end_b + len(mark))
        safe = both - len(mark) + 1  # a mark may have begun in what is left
        piece = part_a[: max(safe, 0)]
        differ = safe > 0 and (piece != part_b[:safe] or doubtful)
        if differ or _past(end_a, part_b, mark) or _past(end_b, part_a, mark):
            answer.size += max(skipped_until(a, mark), skipped_until(b, mark))
            answer.same = False
            return answer
        if safe > 0:
            a.skip(safe)
            b.skip(safe)
            _remember(answer, piece, watched)
        least_a, least_b = _next_least(len(part_a) - max(safe, 0), len(part_b) - max(safe, 0), len(mark))


def _end(part: bytearray, mark: bytes) -> int:
    """Where a mark with the rare byte begins; -1 where it is not, or not whole."""
    return part.find(mark) if RARE in part else -1


def _remember(answer: Answer, piece: bytearray, watched: Ends | None) -> None:
    if watched is not None:
        watched.feed(piece)
        answer.first, answer.last = watched.first, watched.last
    if len(answer.head) < EDGE:
        answer.head += bytes(piece[: EDGE - len(answer.head)])
    answer.tail = bytes(piece[-EDGE:]) if len(piece) >= EDGE else (answer.tail + piece)[-EDGE:]
    answer.size += len(piece)


def _next_least(left_a: int, left_b: int, mark: int) -> tuple[int, int]:
    """How many bytes to wait for: more of the side that has sent less."""
    least_a, least_b = max(mark, left_a), max(mark, left_b)
    if left_a <= left_b:
        least_a = max(mark, left_a + 1)
    if left_b <= left_a:
        least_b = max(mark, left_b + 1)
    return least_a, least_b


_ERROR = re.compile(rb"\n-[A-Z]")


def _suspicious(part: bytearray, cut: bytes, before: int) -> bool:
    """Whether an error reply, or a reply that was cut short, may begin here: a value that looks like one is only
    looked at more closely. before: bytes of this answer that came earlier.
    """
    if before == 0 and part[:1] == b"-":
        return True
    return (b"-" in part and _ERROR.search(part) is not None) or (bool(cut) and cut in part)


def _past(end: int, other: bytearray, mark: bytes) -> bool:
    """One side has ended, and the other, which has not, is longer already."""
    return end >= 0 and len(other) >= end + len(mark)


def bytes_until(connection: Connection, mark: bytes) -> bytes:
    """Everything before this mark; takes the mark too."""
    parts: list[bytearray] = []
    _until(connection, mark, parts.append)
    return b"".join(parts)


def skipped_until(connection: Connection, mark: bytes) -> int:
    """How many bytes came before this mark; none is kept, and the mark is taken too."""
    size = 0

    def count(part: bytearray) -> None:
        nonlocal size
        size += len(part)

    _until(connection, mark, count)
    return size


def _until(connection: Connection, mark: bytes, take: Callable[[bytearray], None]) -> None:
    least = len(mark)
    while True:
        part = connection.peek(least)
        end = _end(part, mark)
        if end >= 0:
            connection.skip(end + len(mark))
            take(part[:end])
            return
        safe = len(part) - len(mark) + 1
        if safe > 0:
            connection.skip(safe)
            take(part[:safe])
        least = len(mark)
        if len(part) - max(safe, 0) >= least:
            least = len(part) - max(safe, 0) + 1
