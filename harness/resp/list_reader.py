"""Reads a list from a node as runs of consecutive numbers, at the speed of the wire and in bounded memory.

Each LRANGE reply is compared, as bytes and piece by piece, with the continuation of what came before; only a piece that
differs is parsed. The prediction never shapes what is reported: equal bytes are equal bytes, and whatever else the node
sends is taken as sent, also where it contradicts itself. Whoever judges decides what that means.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from harness.checker.evidence import KeyState, Run
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.replies import ArrayHeader, ErrorReply, Reply, Status, Token
from harness.resp.transport import ConnectionLost

CHUNK = 50_000  # elements a LRANGE
PIECE = 5_000  # elements that are compared at once: the client's memory, whatever the chunk
IN_FLIGHT = 3  # LRANGEs sent ahead
MAX_LENGTH = (1 << 32) - 1  # of any list
MOST_BEYOND = 1_000_000  # elements (at least) that are read beyond the length that the node told
LONGEST_NUMBER = 18  # digits; longer elements stay bytes
LARGEST_NUMBER = 10**LONGEST_NUMBER - 1
_PASSING = frozenset({"LOADING", "MASTERDOWN", "BUSY"})
_ASK_AGAIN_S = 0.02


@dataclass(frozen=True)
class ListRead:
    """How a read ended. length: elements that were sent; told: what LLEN said; error: why it is unreadable."""

    state: KeyState
    length: int = 0
    told: int = 0
    found_type: str | None = None
    error: str | None = None


class _Stop(Exception):
    def __init__(self, state: KeyState, *, found_type: str | None = None, error: str | None = None) -> None:
        super().__init__(error)
        self.state, self.found_type, self.error = state, found_type, error


def read_list(
    connection: Connection, key: str | bytes, sink: Callable[[Run], None], *, wait_s: float = 30.0, chunk: int = CHUNK
) -> ListRead:
    """Read the whole list once; each maximal run goes to `sink`, in order, as soon as it has ended.

    wait_s: how long LOADING and the like are waited for. Errors of the node and of the connection come back as
    UNREADABLE; a read that ended early has given the runs that came before.
    """
    return ListReader(connection, sink, chunk=chunk).read(key.encode() if isinstance(key, str) else key, wait_s)


class ListReader:
    """One read of one list. chunk: elements a LRANGE; piece: elements that are compared at once."""

    def __init__(
        self, connection: Connection, sink: Callable[[Run], None], *, chunk: int = CHUNK, piece: int = PIECE
    ) -> None:
        self._connection, self._chunk, self._piece = connection, chunk, piece
        self._runs = RunJoiner(sink)
        self._bulks = encode.bulk_numbers()
        self._waiting: deque[int] = deque()  # for each LRANGE sent: the elements that it should give

    def read(self, key: bytes, wait_s: float) -> ListRead:
        """See `read_list`."""
        told = 0
        try:
            told = self._length(key, wait_s)
            self._drain(key, told)
        except _Stop as stop:
            return self._result(stop.state, told, stop.found_type, stop.error)
        except ConnectionLost as lost:
            return self._result(KeyState.UNREADABLE, told, None, str(lost))
        return self._result(KeyState.LIST if told or self._runs.length else KeyState.ABSENT, told)

    def _result(self, state: KeyState, told: int, found_type: str | None = None, error: str | None = None) -> ListRead:
        self._runs.close()
        return ListRead(state, self._runs.length, told, found_type, error)

    def _length(self, key: bytes, wait_s: float) -> int:
        deadline = time.monotonic() + wait_s
        while True:
            reply = self._connection.command("LLEN", key)
            if isinstance(reply, int) and 0 <= reply <= MAX_LENGTH:
                return reply
            if not isinstance(reply, ErrorReply) or reply.code not in _PASSING:
                self._fail(key, reply)
            if time.monotonic() > deadline:
                raise _Stop(KeyState.UNREADABLE, error=f"after {wait_s:g} s still {_shown(reply)}")
            time.sleep(_ASK_AGAIN_S)

    def _drain(self, key: bytes, told: int) -> None:
        """All chunks that begin within the length told, the one after them, and then more until one is empty."""
        start = 0
        while True:
            while len(self._waiting) < IN_FLIGHT and start < told + self._chunk:
                start = self._ask(key, start, told)
            taken = self._take(key, self._waiting.popleft(), told)
            if not self._waiting and start >= told + self._chunk:
                if not taken:
                    return
                start = self._ask(key, start, told)

    def _ask(self, key: bytes, start: int, told: int) -> int:
        end = start + self._chunk
        self._connection.send(self._connection.pack("LRANGE", key, start, end - 1))
        self._waiting.append(max(0, min(end, told) - start))
        return end

    def _take(self, key: bytes, count: int, told: int) -> int:
        """One reply, which should hold `count` elements; how many it does hold."""
        if not self._connection.take_if(encode.array_header(count)):
            header = self._connection.take_token()
            if not isinstance(header, ArrayHeader):
                self._fail(key, header)
                return 0
            count = header.count
        if self._runs.length + count > told + max(told, MOST_BEYOND):
            error = f"LLEN told {told} elements, LRANGE gives {self._runs.length + count} and does not end"
            raise _Stop(KeyState.UNREADABLE, error=error)
        for start in range(0, count, self._piece):
            self._take_piece(min(self._piece, count - start))
        return count

    def _take_piece(self, count: int) -> None:
        """So many elements, of a reply that is known to hold them."""
        first = self._runs.next
        if first + count <= LARGEST_NUMBER and self._connection.take_if(self._bulks.build(first, count)):
            self._runs.consecutive(count)
            return
        for _ in range(count):
            element = self._connection.take_token()
            if not isinstance(element, bytes):
                raise _Stop(KeyState.UNREADABLE, error=f"an element of a list was {_shown(element)}")
            self._runs.element(element)

    def _fail(self, key: bytes, reply: Reply) -> None:
        if not isinstance(reply, ErrorReply) or reply.code != "WRONGTYPE":
            raise _Stop(KeyState.UNREADABLE, error=_shown(reply))
        for _ in self._waiting:
            self._connection.take_reply()
        kind = self._connection.command("TYPE", key)
        raise _Stop(KeyState.WRONG_TYPE, found_type=kind.text if isinstance(kind, Status) else "unknown")


class RunJoiner:
    """Joins elements into maximal runs. next: the number that would continue them; length: elements so far."""

    def __init__(self, sink: Callable[[Run], None]) -> None:
        self.next, self.length = 1, 0
        self._sink = sink
        self._count = 0  # elements of the run that has not ended yet; it ends before `next`

    def consecutive(self, count: int) -> None:
        """The numbers next, next + 1, … (count of them) have come."""
        self._count += count
        self.next += count
        self.length += count

    def element(self, raw: bytes) -> None:
        """Any one element has come."""
        number = _canonical(raw)
        if number is None:
            self.close()
            self._sink(Run(0, 1, raw))
            self.next += 1
            self.length += 1
            return
        if number != self.next:
            self.close()
            self.next = number
        self.consecutive(1)

    def close(self) -> None:
        """The last run has ended."""
        if self._count:
            self._sink(Run(self.next - self._count, self._count))
            self._count = 0


def _canonical(raw: bytes) -> int | None:
    """The positive number that these are the one usual decimal form of, else None."""
    if not raw.isdigit() or raw[0] == 0x30 or len(raw) > LONGEST_NUMBER:
        return None
    return int(raw)


def _shown(reply: Reply | Token) -> str:
    return reply.text if isinstance(reply, ErrorReply) else f"an unexpected reply: {str(reply)[:100]}"
