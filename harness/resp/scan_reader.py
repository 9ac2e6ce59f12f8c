"""Reads a hash or a set, whose elements come in no order: as runs of ascending numbers, then what else there is.

A cursor may give an element more than once, which says nothing; so each number is one bit, and is told once. Bits are
kept page by page, and only where there are numbers, so that memory follows what is there and not the largest number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from harness.checker.evidence import KeyState, Run
from harness.kinds import HASH, SET
from harness.resp.connection import Connection
from harness.resp.key_reader import MOST_BEYOND, KeyRead, Reader, Stop
from harness.resp.layouts import Element, number_or_raw, string

PAGE = 5000  # elements a command, about
MOST_STRAYS = 1_000_000  # elements that are kept one by one
BITS = 8192  # numbers a page of bits
MOST_IDLE = 1000  # pages (and more for a large key) one after another that bring nothing new
LEAST_PAGES = 4096  # of bits that there may be, however few elements a node tells
_BYTES_SET = re.compile(rb"\xff+|[^\x00\xff]")


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
        self._seen = Bits(LEAST_PAGES)
        self._strays: dict[Element, None] = {}

    def drain(self, key: bytes, told: int) -> None:
        self._seen = Bits(LEAST_PAGES + 2 * told // BITS)
        cursor, idle, most_idle = b"0", 0, MOST_IDLE + 10 * told // PAGE
        while True:
            before = self._distinct
            reply = self.connection.command("HSCAN" if self._pairs else "SSCAN", key, cursor, "COUNT", PAGE)
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
                self.fail(key, reply)
                return
            for element in self._elements([string(word, "an element") for word in reply[1]]):
                self._note(element)
            cursor = string(reply[0], "a cursor")
            if cursor == b"0":
                break
            idle = idle + 1 if self._distinct == before else 0
            if idle > most_idle or self._distinct > told + max(told, MOST_BEYOND):
                text = f"{told} elements were told, {self._distinct} have come, and the cursor does not end"
                raise Stop(KeyState.UNREADABLE, error=text)
        for first, count in self._seen.stretches():
            self.runs.consecutive(first, count)
        for element in self._strays:
            self.runs.element(element)

    @property
    def _distinct(self) -> int:
        return self._seen.count + len(self._strays)

    def _elements(self, words: list[bytes]) -> Iterator[Element]:
        if not self._pairs:
            yield from map(number_or_raw, words)
            return
        for field, value in zip(words[::2], words[1::2], strict=True):
            number = number_or_raw(field)
            yield number if isinstance(number, int) and value == field else field + b" " + value

    def _note(self, element: Element) -> None:
        if isinstance(element, int) and self._seen.add(element):
            return
        self._strays[element] = None
        if len(self._strays) > MOST_STRAYS:
            raise Stop(KeyState.UNREADABLE, error=f"over {MOST_STRAYS} elements that nothing of ours wrote")


class Bits:
    """Numbers, a bit each, in at most so many pages: those that lie far from all others may find no place. count: how
    many are kept.
    """

    def __init__(self, most_pages: int) -> None:
        self.pages: dict[int, bytearray] = {}
        self._most, self.count = most_pages, 0

    def add(self, number: int) -> bool:
        """Whether the number is kept; a number that found no place once never finds one."""
        page, bit = divmod(number, BITS)
        bits = self.pages.get(page)
        if bits is None:
            if len(self.pages) == self._most:
                return False
            bits = self.pages[page] = bytearray(BITS // 8)
        mask = 1 << (bit & 7)
        if not bits[bit >> 3] & mask:
            bits[bit >> 3] |= mask
            self.count += 1
        return True

    def stretches(self) -> Iterator[tuple[int, int]]:
        """(first, count) of consecutive numbers, ascending; a stretch may continue the one before."""
        for page in sorted(self.pages):
            for found in _BYTES_SET.finditer(self.pages[page]):
                first, size = page * BITS + 8 * found.start(), len(found[0])
                if found[0][0] == 0xFF:
                    yield first, 8 * size
                else:
                    yield from ((first + bit, 1) for bit in range(8) if found[0][0] >> bit & 1)
