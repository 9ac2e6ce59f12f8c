"""The replies on their way back to one client, and the places in them where something else has to stand.

Replies are not parsed. Where one of ours has to come in, the request side sent a command that no server knows, with a
name that nobody can guess; its error is found among the bytes and marks the place. Inside of a transaction, where the
reply comes as a part of EXEC's, an ECHO of such a name does the same. A server keeps the order, so we keep it too,
whatever lies between: push messages, values of any size, commands that block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .frames import NotAReplyError, frame_end

MOST_COLLECTED: Final = 32 << 20
_NUMBER: Final = len(b"0123456789\r\n")  # what a placeholder's mark ends with
_UNFETCHED: Final = b"-ERR this can't be simulated outside of a transaction that has begun\r\n"
_MESSAGES: Final = tuple(
    b"*%d\r\n$%d\r\n%b\r\n" % (size, len(kind), kind)
    for size, kind in ((3, b"message"), (4, b"pmessage"), (3, b"smessage"))
)
Payload = bytes | Callable[[int], bytes]  # made for the protocol in force when its place is reached


@dataclass(eq=False, slots=True)
class Place:
    """A mark to come. payload: what stands there instead. collect: keep what follows for the next place's `change`.
    maybe: a placeholder; it may never come, as when a transaction is discarded; all their marks differ in a number at
    the end only. then: what to do when it was reached. order: how many places came before.
    """

    mark: bytes
    payload: Payload | None = None
    collect: bool = False
    change: Callable[[bytes, int], bytes] | None = None
    maybe: bool = False
    then: Callable[[], None] | None = None
    order: int = 0


class Replies:
    """Bytes of the server go in, bytes for the client come out by `write`."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._places: deque[Place] = deque()
        self._sure: deque[Place] = deque()  # those of them that must come
        self._maybe: dict[bytes, Place] = {}  # the others, by their marks
        self._placeholder = b""  # how those marks begin
        self._expected = 0
        self._tail = b""  # may be the beginning of a mark
        self._collected: bytearray | None = None
        self._frame: bytearray = bytearray()
        self._awaiting: Callable[[bytes], None] | None = None
        self.protocol = 2

    def __len__(self) -> int:
        return len(self._places)

    def expect(self, place: Place) -> None:
        place.order = self._expected
        self._expected += 1
        self._places.append(place)
        if place.maybe:
            self._maybe[place.mark] = place
            self._placeholder = place.mark[:-_NUMBER]
        else:
            self._sure.append(place)

    @property
    def open(self) -> int:
        """How many places must come yet."""
        return len(self._sure)

    def await_frame(self, then: Callable[[bytes], None]) -> None:
        """The next reply is not the client's, but goes to `then`; for when only one command is on its way."""
        self._awaiting = then

    def feed(self, data: bytes) -> None:
        if not self._places and not self._tail and self._awaiting is None:
            self._write(data)
            return
        data, self._tail, at = self._tail + data, b"", 0
        while at < len(data):
            if self._awaiting is not None:
                at = self._await(data, at)
            elif self._places:
                at = self._to_next_place(data, at)
            else:
                self._emit(data[at:])
                return

    def rest(self) -> None:
        """The server has ended: what was kept back goes out."""
        tail, self._tail = self._tail, b""
        self._emit(tail)

    def _await(self, data: bytes, at: int) -> int:
        already = len(self._frame)
        self._frame += data[at:]
        end = frame_end(bytes(self._frame))
        if end < 0:
            if len(self._frame) > MOST_COLLECTED:
                raise NotAReplyError("the server's reply is larger than any of its kind")
            return len(data)
        frame, self._frame = bytes(self._frame[:end]), bytearray()
        if frame.startswith((b">", *_MESSAGES)):
            self._write(frame)  # a message to a subscriber, which no command waits for
            return at + end - already
        then, self._awaiting = self._awaiting, None
        assert then is not None
        then(frame)
        return at + end - already

    def _to_next_place(self, data: bytes, at: int) -> int:
        found = self._find(data, at)
        if found is None:
            keep = self._keep(data, at)
            self._emit(data[at : len(data) - keep])
            self._tail = data[len(data) - keep :]
            return len(data)
        where, place = found
        self._emit(data[at:where])
        while self._forget_first() is not place:
            continue
        self._reach(place)
        return where + len(place.mark)

    def _forget_first(self) -> Place:
        place = self._places.popleft()
        if place.maybe:
            self._maybe.pop(place.mark, None)
        else:
            self._sure.popleft()
        return place

    def _find(self, data: bytes, at: int) -> tuple[int, Place] | None:
        """The next place that is reached: one that may be left out, or the first that can't. Each byte is looked at
        about once, however many places there are.
        """
        end = len(data)
        found = self._find_maybe(data, at) if self._places[0].maybe else None
        if self._sure:
            sure = self._sure[0]
            if found:
                end = found[0]
            if (where := data.find(sure.mark, at, end)) >= 0:
                return where, sure
        return found

    def _find_maybe(self, data: bytes, at: int) -> tuple[int, Place] | None:
        size = len(self._placeholder) + _NUMBER
        while (at := data.find(self._placeholder, at)) >= 0:
            place = self._maybe.get(data[at : at + size])
            if place is not None and (not self._sure or place.order < self._sure[0].order):
                return at, place
            at += 1
        return None

    def _keep(self, data: bytes, at: int) -> int:
        """How many of the last bytes may be the beginning of the next mark."""
        keep = _begins_mark(data, at, self._sure[0].mark) if self._sure else 0
        if self._places[0].maybe:
            keep = max(keep, _begins_mark(data, at, self._placeholder, _NUMBER))
        return keep

    def _reach(self, place: Place) -> None:
        if place.change is not None and self._collected is not None:
            collected, self._collected = bytes(self._collected), None
            self._write(place.change(collected, self.protocol))
        elif place.change is not None:
            self._emit(_UNFETCHED)
        if place.payload is not None:
            self._emit(place.payload if isinstance(place.payload, bytes) else place.payload(self.protocol))
        if place.collect:
            self._collected = bytearray()
        if place.then is not None:
            place.then()

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        if self._collected is None:
            self._write(data)
            return
        self._collected += data
        if len(self._collected) > MOST_COLLECTED:
            raise NotAReplyError("the server's reply is larger than any of its kind")


def _begins_mark(data: bytes, at: int, mark: bytes, more: int = 0) -> int:
    """How many of the last bytes are the beginning of this mark, which `more` bytes of any kind follow."""
    start = max(at, len(data) - len(mark) - more + 1)
    while (start := data.find(mark[:1], start)) >= 0:
        if mark.startswith(data[start:]) or (more and data.startswith(mark, start)):
            return len(data) - start
        start += 1
    return 0
