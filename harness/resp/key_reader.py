"""Reads a key from a node as runs of consecutive numbers, at the speed of the wire and in bounded memory.

Each page is compared, as bytes and piece by piece, with the continuation of what came before; only a piece that
differs is parsed. The prediction never shapes what is reported: equal bytes are equal bytes, and whatever else the node
sends is taken as sent, also where it contradicts itself: what it told of the length goes to the judge beside it. But a
reply that cannot belong to its question ends the read: whatever came then says nothing about the key.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isqrt

from harness.checker.evidence import KeyState, Run
from harness.kinds import LIST, DataType
from harness.resp.connection import Connection
from harness.resp.layouts import LONGEST_NUMBER, Element, Layout, ListLayout, UnexpectedReply, shown_reply
from harness.resp.replies import ErrorReply, Reply, Status, Token
from harness.resp.transport import ConnectionLost
from harness.values import Values

CHUNK = 10_000  # elements a page: few enough that the replies under way stay in a server's cache
CHUNK_UP_TO = 3_000_000  # elements of a list; to find a page in a longer one costs a server more, see `page_size`
LARGE_CHUNK = 16_000  # what the pages of longer lists grow from
PIECE = 5_000  # elements that are compared at once: the client's memory, whatever the chunk
PAGES_AHEAD = 5  # asked for while one is taken: a server makes a reply whole before any of it leaves, and must not wait
FAR_S, FAR_AHEAD = 0.001, 12  # where a round trip takes longer than this, more of them
MAX_LENGTH = (1 << 32) - 1  # of any key, in elements
MOST_BEYOND = 1_000_000  # elements (at least) that are read beyond the length that the node told
LARGEST_NUMBER = 10**LONGEST_NUMBER - 1
Prediction = tuple[Sequence[tuple[int, int]], bytes | None]  # runs of consecutive numbers, and their bytes
_PASSING = frozenset({"LOADING", "MASTERDOWN", "BUSY"})
_ASK_AGAIN_S = 0.02


@dataclass(frozen=True)
class KeyRead:
    """How a read ended. length: elements that were sent; told: what the node said before, as the type's length command
    counts; size: what was sent in bytes, where that command counts bytes; error: why it is unreadable.
    """

    state: KeyState
    length: int = 0
    told: int = 0
    found_type: str | None = None
    error: str | None = None
    size: int | None = None


class Stop(Exception):
    """A read ends here, with this state."""

    def __init__(self, state: KeyState, *, found_type: str | None = None, error: str | None = None) -> None:
        super().__init__(error)
        self.state, self.found_type, self.error = state, found_type, error


def read_key(
    connection: Connection,
    key: str | bytes,
    sink: Callable[[Run], None],
    layout: Layout | None = None,
    *,
    wait_s: float = 30.0,
    chunk: int | None = None,
    numbers: Values | None = None,
) -> KeyRead:
    """Read the whole key once; each maximal run goes to `sink`, in order, as soon as it has ended. layout: a list's;
    numbers: what it is likely to hold.

    wait_s: how long LOADING and the like are waited for. Errors of the node and of the connection come back as
    UNREADABLE; a read that ended early has given the runs that came before.
    """
    name = key.encode() if isinstance(key, str) else key
    return PageReader(connection, sink, layout or ListLayout(), chunk=chunk, numbers=numbers).read(name, wait_s)


def page_size(layout: Layout, told: int) -> int:
    """Elements a page of a key with so many elements.

    A server walks through a list from its nearer end to find a page: work that grows with the list, and is done once
    a page. Larger replies cost it more as well, so that the best size grows with the length's square root. Other types
    find any element at once; and what is taken in one piece has to stay small.
    """
    if layout.data_type is not LIST or layout.backwards or told <= CHUNK_UP_TO:
        return CHUNK
    return isqrt(LARGE_CHUNK * LARGE_CHUNK * told // CHUNK_UP_TO)


class Reader:
    """What every read of a key shares: how it begins and how it ends. size: bytes that a string's pages had so far."""

    def __init__(
        self,
        connection: Connection,
        sink: Callable[[Run], None],
        data_type: DataType,
        numbers: Values | None = None,
    ) -> None:
        self.connection, self.data_type = connection, data_type
        self.runs = RunJoiner(sink, numbers)
        self.round_trip_s = 0.0
        self.size = 0

    def read(self, key: bytes, wait_s: float) -> KeyRead:
        """See `read_key`."""
        told = 0
        try:
            told = self._length(key, wait_s)
            self.drain(key, -(-told // self.data_type.unit))
            if self.connection.unasked:
                raise Stop(KeyState.UNREADABLE, error="replies out of step: more came than was asked for")
        except Stop as stop:
            return self._result(stop.state, told, stop.found_type, stop.error)
        except (ConnectionLost, UnexpectedReply) as lost:
            return self._result(KeyState.UNREADABLE, told, None, str(lost))
        return self._result(KeyState.LIST if told or self.runs.length else KeyState.ABSENT, told)

    def drain(self, key: bytes, told: int) -> None:
        """Read all elements into `runs`. told: how many the node says it has."""
        raise NotImplementedError

    def _result(self, state: KeyState, told: int, found_type: str | None = None, error: str | None = None) -> KeyRead:
        self.runs.close()
        size = self.size if self.data_type.unit > 1 else None
        return KeyRead(state, self.runs.length, told, found_type, error, size)

    def _length(self, key: bytes, wait_s: float) -> int:
        """As the type's command counts."""
        deadline = time.monotonic() + wait_s
        while True:
            asked = time.monotonic()
            reply = self.connection.command(self.data_type.length, key)
            self.round_trip_s = time.monotonic() - asked
            if isinstance(reply, int) and 0 <= reply <= MAX_LENGTH * self.data_type.unit:
                return reply
            if not isinstance(reply, ErrorReply) or reply.code not in _PASSING:
                self.fail(key, reply)
            if time.monotonic() > deadline:
                raise Stop(KeyState.UNREADABLE, error=f"after {wait_s:g} s still {shown_reply(reply)}")
            time.sleep(_ASK_AGAIN_S)

    def fail(self, key: bytes, reply: Reply | Token, unread: int = 0) -> None:
        """Stop because of this reply. unread: replies that are still to come on the connection."""
        if not isinstance(reply, ErrorReply) or reply.code != "WRONGTYPE":
            raise Stop(KeyState.UNREADABLE, error=shown_reply(reply))
        for _ in range(unread):
            self.connection.take_reply()
        kind = self.connection.command("TYPE", key)
        raise Stop(KeyState.WRONG_TYPE, found_type=kind.text if isinstance(kind, Status) else "unknown")


class PageReader(Reader):
    """One read of a key whose elements are asked for page by page. chunk: elements a page, None: by the key's length;
    piece: elements that are compared at once.
    """

    def __init__(
        self,
        connection: Connection,
        sink: Callable[[Run], None],
        layout: Layout,
        *,
        chunk: int | None = None,
        piece: int = PIECE,
        numbers: Values | None = None,
    ) -> None:
        super().__init__(connection, sink, layout.data_type, numbers)
        self._layout, self._chunk, self._piece = layout, chunk or CHUNK, piece
        self._sized = chunk is not None
        self._start = 0  # of the next page to be asked for
        self._ahead = PAGES_AHEAD
        self._waiting: deque[int] = deque()  # for each page asked for: the elements that it should give
        self._closing = False  # whether the length is asked for once more, after all pages
        self._ended = False  # whether a page was not full: the key ends there

    def drain(self, key: bytes, told: int) -> None:
        """All pages that begin within the length told, the one after them, and then more until one is empty; none
        beyond one that is not full but those under way, and at least one.
        """
        if not self._sized:
            self._chunk = page_size(self._layout, told)
        self._ahead = PAGES_AHEAD if self.round_trip_s < FAR_S else FAR_AHEAD
        self._pages(key, told)
        for element in self._layout.end():
            self.runs.element(element)

    def _pages(self, key: bytes, told: int) -> None:
        while True:
            self._ask_ahead(key, told)
            given = self._take(key, self._waiting.popleft(), told)
            if not self._waiting and self._all_asked(told):
                self._check_step()
                if not given or self._layout.open_ended:
                    return

    def _all_asked(self, told: int) -> bool:
        return self._ended or self._start >= told + self._chunk

    def _ask_ahead(self, key: bytes, told: int) -> None:
        """Ask for as many pages as may be under way, at least for one, all in one piece; behind the last one for the
        length: replies that are out of step with their questions are then seen without a wait for another one.
        """
        questions = []
        while not self._waiting or (not self._all_asked(told) and len(self._waiting) < self._ahead):
            questions.append(self._question(key, told))
        if self._all_asked(told) and not self._closing:
            self._closing = True
            questions.append(self.connection.pack(self.data_type.length, key))
        if questions:
            self.connection.send(b"".join(questions))

    def _check_step(self) -> None:
        """The length's reply, and no page's, stands where it was asked for."""
        self._closing = False
        reply = self.connection.take_reply()
        if not isinstance(reply, int):
            command = self.data_type.length
            raise Stop(KeyState.UNREADABLE, error=f"replies out of step: {command} gave {shown_reply(reply)}")

    def _question(self, key: bytes, told: int) -> bytes:
        """The command for the next page, which is waited for from now on."""
        start, self._start = self._start, self._start + self._chunk
        self._waiting.append(max(0, min(self._start, told) - start))
        return self.connection.pack(*self._layout.page(key, start, self._start, start >= told))

    def _take(self, key: bytes, count: int, told: int) -> int:
        """One reply, which should hold `count` elements; how many (of a string: bytes) it does hold."""
        first = None if self._layout.backwards else self._prediction(min(self._piece, count))  # while it is on its way
        if not self.connection.take_if(self._layout.header(count)):
            first = None
            header = self.connection.take_token()
            size = self._layout.size(header)
            if size is None:
                self.fail(key, header, unread=len(self._waiting) + self._closing)
                return 0
            if isinstance(header, bytes):  # all of it
                self._check_end(size, told)
                self._check_page(len(header))
                self.size += len(header)
                self._parse(self._layout.split(header))
                return len(header)
            count = size
        self._check_end(count, told)
        self._check_page(count * self.data_type.unit)
        self.size += count * self.data_type.unit
        if self._layout.backwards:
            self._take_piece(count)
        else:
            for start in range(0, count, self._piece):
                self._take_piece(min(self._piece, count - start), first)
                first = None
        return count

    def _check_page(self, given: int) -> None:
        """A page holds no more than its range, and after one that is not full nothing comes. given: as the length
        counts. Where a range is one of ids, nobody can tell how many there are in it.
        """
        if self._layout.open_ended:
            return
        most = self._chunk * self.data_type.unit
        if given > most:
            raise Stop(KeyState.UNREADABLE, error=f"replies out of step: a page of at most {most} gave {given}")
        if given and self._ended:
            error = f"replies out of step: a page gave {given} after one that was not full"
            raise Stop(KeyState.UNREADABLE, error=error)
        self._ended = given < most

    def _check_end(self, count: int, told: int) -> None:
        if self.runs.length + count > told + max(told, MOST_BEYOND):
            error = f"{self.data_type.length} told {told} elements, and {self.runs.length + count} come and do not end"
            raise Stop(KeyState.UNREADABLE, error=error)

    def _prediction(self, count: int) -> Prediction:
        """What the next so many elements are likely to be."""
        runs = self.runs.following(count)
        far = runs and runs[-1][0] + runs[-1][1] > LARGEST_NUMBER
        return runs, None if far or not count else self._layout.predicted(runs)

    def _take_piece(self, count: int, prediction: Prediction | None = None) -> None:
        """So many elements, of a reply that is known to hold them. prediction: where it has been made for them."""
        runs, expected = prediction or self._prediction(count)
        if expected is not None and self.connection.take_if(expected):
            for first, size in runs:
                self.runs.consecutive(first, size)
            return
        self._parse(self._layout.elements(count, self.connection))

    def _parse(self, elements: Iterable[Element]) -> None:
        for element in elements:
            self.runs.element(element)


class RunJoiner:
    """Joins elements into maximal runs. next: the number that would continue them; length: elements so far; numbers:
    those that are likely to come, in this order.
    """

    def __init__(self, sink: Callable[[Run], None], numbers: Values | None = None) -> None:
        self.next, self.length = numbers.first if numbers else 1, 0
        self._sink, self._numbers = sink, numbers
        self._count = 0  # elements of the run that has not ended yet; it ends before `next`

    def following(self, count: int) -> Sequence[tuple[int, int]]:
        """The stretches of consecutive numbers that are likely to come next, `count` in all."""
        numbers = self._numbers
        if numbers is not None and numbers.block and (not self.length or self.next - 1 in numbers):
            index = numbers.index(self.next - 1) + 1 if self.length else 0
            if index + count <= numbers.count:
                return list(numbers.runs(index, count))
        return [(self.next, count)] if count else []

    def consecutive(self, first: int, count: int) -> None:
        """The numbers first, first + 1, … (count of them) have come."""
        if first != self.next:
            self.close()
            self.next = first
        self._count += count
        self.next += count
        self.length += count

    def element(self, element: Element) -> None:
        """Any one element has come."""
        if isinstance(element, int):
            self.consecutive(element, 1)
            return
        self.close()
        self._sink(Run(0, 1, element))
        self.next += 1
        self.length += 1

    def close(self) -> None:
        """The last run has ended."""
        if self._count:
            self._sink(Run(self.next - self._count, self._count))
            self._count = 0
