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

from .frames import frame_end

MOST_COLLECTED: Final = 32 << 20
Payload = Callable[[int], bytes]  # made for the protocol in force when its place is reached


@dataclass(eq=False)
class Place:
    """A mark to come. payload: what stands there instead. collect: keep what follows for the next place's `change`.
    maybe: it may never come, as when a transaction is discarded. then: what to do when it was reached.
    """

    mark: bytes
    payload: Payload | None = None
    collect: bool = False
    change: Callable[[bytes, int], bytes] | None = None
    maybe: bool = False
    then: Callable[[], None] | None = None


class Replies:
    """Bytes of the server go in, bytes for the client come out by `write`."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._places: deque[Place] = deque()
        self._tail = b""  # may be the beginning of a mark
        self._collected: bytearray | None = None
        self._frame: bytearray = bytearray()
        self._awaiting: Callable[[bytes], None] | None = None
        self.protocol = 2

    def __len__(self) -> int:
        return len(self._places)

    def expect(self, place: Place) -> None:
        self._places.append(place)

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
                raise ValueError("the server's reply is larger than any of its kind")
            return len(data)
        frame, self._frame = bytes(self._frame[:end]), bytearray()
        then, self._awaiting = self._awaiting, None
        assert then is not None
        then(frame)
        return at + end - already

    def _to_next_place(self, data: bytes, at: int) -> int:
        found = self._find(data, at)
        if found is None:
            keep = max(_begins_mark(data, at, place.mark) for place in self._candidates())
            self._emit(data[at : len(data) - keep])
            self._tail = data[len(data) - keep :]
            return len(data)
        where, number = found
        self._emit(data[at:where])
        for _ in range(number):
            self._places.popleft()
        place = self._places.popleft()
        self._reach(place)
        return where + len(place.mark)

    def _candidates(self) -> list[Place]:
        """The places that can be next: those that may be left out, and the first that can't."""
        found = []
        for place in self._places:
            found.append(place)
            if not place.maybe:
                break
        return found

    def _find(self, data: bytes, at: int) -> tuple[int, int] | None:
        found = ((data.find(place.mark, at), number) for number, place in enumerate(self._candidates()))
        return min((one for one in found if one[0] >= 0), default=None)

    def _reach(self, place: Place) -> None:
        if place.change is not None and self._collected is not None:
            collected, self._collected = bytes(self._collected), None
            self._write(place.change(collected, self.protocol))
        if place.payload is not None:
            self._emit(place.payload(self.protocol))
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
            raise ValueError("the server's reply is larger than any of its kind")


def _begins_mark(data: bytes, at: int, mark: bytes) -> int:
    """How many of the last bytes are the beginning of this mark."""
    start = max(at, len(data) - len(mark) + 1)
    while (start := data.find(mark[:1], start)) >= 0:
        if mark.startswith(data[start:]):
            return len(data) - start
        start += 1
    return 0
