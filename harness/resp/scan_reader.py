"""Reads a hash or a set, whose elements come in no order: as runs of ascending numbers, then what else there is.

A cursor may give an element more than once, which says nothing; so each number is one bit, and is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.checker.evidence import KeyState, Run
from harness.kinds import HASH, SET
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead, Reader, Stop
from harness.resp.layouts import Element, number_or_raw, string

PAGE = 5000  # elements a command, about
MOST_STRAYS = 1_000_000  # elements that are not ours
LARGEST_BIT = 1 << 33  # numbers above are kept one by one


def read_scan(
    connection: Connection, key: bytes, sink: Callable[[Run], None], *, pairs: bool, wait_s: float = 30.0
) -> KeyRead:
    """Read a hash (pairs) or a set; see key_reader.read_key."""
    return ScanReader(connection, sink, pairs).read(key, wait_s)


class ScanReader(Reader):
    """One read by HSCAN or SSCAN. A field that does not hold its own number is told as "field value"."""

    def __init__(self, connection: Connection, sink: Callable[[Run], None], pairs: bool) -> None:
        super().__init__(connection, sink, HASH if pairs else SET)
        self._pairs = pairs
        self._seen = bytearray()  # a bit a number
        self._strays: dict[Element, None] = {}

    def drain(self, key: bytes, told: int) -> None:
        cursor = b"0"
        while True:
            reply = self.connection.command("HSCAN" if self._pairs else "SSCAN", key, cursor, "COUNT", PAGE)
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
                self.fail(key, reply)
                return
            for element in self._elements([string(word, "an element") for word in reply[1]]):
                self._note(element)
            cursor = string(reply[0], "a cursor")
            if cursor == b"0":
                break
        for first, count in _stretches(self._seen):
            self.runs.consecutive(first, count)
        for element in self._strays:
            self.runs.element(element)

    def _elements(self, words: list[bytes]) -> Iterator[Element]:
        if not self._pairs:
            yield from map(number_or_raw, words)
            return
        for field, value in zip(words[::2], words[1::2], strict=True):
            number = number_or_raw(field)
            yield number if isinstance(number, int) and value == field else field + b" " + value

    def _note(self, element: Element) -> None:
        if not isinstance(element, int) or element >= LARGEST_BIT:
            self._strays[element] = None
            if len(self._strays) > MOST_STRAYS:
                raise Stop(KeyState.UNREADABLE, error=f"over {MOST_STRAYS} elements that nothing of ours wrote")
            return
        place, bit = divmod(element, 8)
        if place >= len(self._seen):
            self._seen.extend(bytes(max(place + 1, 2 * len(self._seen)) - len(self._seen)))
        self._seen[place] |= 1 << bit


def _stretches(seen: bytearray) -> Iterator[tuple[int, int]]:
    """(first, count) of each stretch of numbers whose bits are set."""
    first = count = 0
    for place, byte in enumerate(seen):
        if byte == 0xFF and count:
            count += 8
            continue
        for bit in range(8):
            if byte >> bit & 1:
                first, count = (first, count + 1) if count else (place * 8 + bit, 1)
            elif count:
                yield first, count
                count = 0
    if count:
        yield first, count
