"""Bytes of long runs of consecutive numbers, built by joining cached pieces; and the RESP encoding of one command.

It stands apart because the same bytes occur on both sides of a run: the arguments of a variadic RPUSH are the body of
the LRANGE reply that gives them back. Pure: no sockets, no clocks.

How it is fast: 4321000..4321999 share the prefix ``4321``, so their bytes are that prefix joined into a thousand pieces
that are the same for every prefix of that width; one C call does the work of a thousand format operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

_DIGITS = 3
_BLOCK = 10**_DIGITS
_SUFFIXES = tuple(b"%03d" % number for number in range(_BLOCK))


class Numbers:
    """Encodes runs of consecutive positive numbers, each as ``before(width) + digits + after``.

    before: what stands before a number of `width` digits. Pieces of one width are cached (about 100 kB), the width
    last used, so that memory stays flat however far the numbers go.
    """

    def __init__(self, before: Callable[[int], bytes], after: bytes, *, descending: bool = False) -> None:
        self._before = before
        self._after = after
        self._step = -1 if descending else 1
        self._cached: tuple[int, list[bytes]] = (0, [])

    def build(self, first: int, count: int) -> bytes:
        """The bytes of first, first+1, … (count numbers; first >= 1), the last one first where descending."""
        blocks = list(_blocks(first, count))
        return b"".join([self._block(start, size) for start, size in blocks[:: self._step]])

    def _block(self, start: int, size: int) -> bytes:
        """Numbers that agree in all but their last three digits."""
        digits = b"%d" % start
        if len(digits) <= _DIGITS:
            return self._one_by_one(start, size)
        middles = self._middles(len(digits))
        low = start % _BLOCK
        if self._step > 0:
            middles, last = middles[low : low + size - 1], low + size - 1
        else:
            middles, last = middles[_BLOCK - low - size : _BLOCK - low - 1], low
        pieces = [self._before(len(digits)), *middles, _SUFFIXES[last] + self._after]
        return digits[:-_DIGITS].join(pieces)

    def _middles(self, width: int) -> list[bytes]:
        """What stands between two prefixes: the end of one number, and what is before the next."""
        cached_width, middles = self._cached
        if cached_width != width:
            between = self._after + self._before(width)
            middles = [suffix + between for suffix in _SUFFIXES[:: self._step]]
            self._cached = (width, middles)
        return middles

    def _one_by_one(self, start: int, size: int) -> bytes:
        before = self._before(len(str(start)))
        numbers = range(start, start + size)[:: self._step]
        return b"".join([b"%b%d%b" % (before, number, self._after) for number in numbers])


def _blocks(first: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a run where the number of digits grows and at every multiple of a thousand; (start, size) each."""
    end = first + count
    while first < end:
        width = len(str(first))
        stop = 10**width if width <= _DIGITS else (first // _BLOCK + 1) * _BLOCK
        stop = min(stop, end)
        yield first, stop - first
        first = stop


def bulk_numbers() -> Numbers:
    """Numbers as RESP bulk strings, ``$4\\r\\n1234\\r\\n``: arguments of a request, or the body of an array reply."""
    return Numbers(lambda width: b"$%d\r\n" % width, b"\r\n")


def one_value_commands(*words: bytes) -> Numbers:
    """One command a number: these words, then the number as the last argument."""
    head = array_header(len(words) + 1) + b"".join([bulk(word) for word in words])
    return Numbers(lambda width: b"%b$%d\r\n" % (head, width), b"\r\n")


def integer_replies() -> Numbers:
    """Numbers as RESP integers, ``:1234\\r\\n``: what RPUSH answers, one element after another."""
    return Numbers(lambda width: b":", b"\r\n")


_LINES_DOWN = Numbers(lambda width: b"", b"\n", descending=True)


def descending_lines(first: int, last: int) -> bytes:
    """The numbers last, last-1, …, first as text, one a line."""
    return _LINES_DOWN.build(first, last - first + 1)


def bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


def array_header(count: int) -> bytes:
    return b"*%d\r\n" % count


def command(*words: bytes | str | int) -> bytes:
    """One command; text is sent as UTF-8, numbers as decimals."""
    return array_header(len(words)) + b"".join([bulk(_as_bytes(word)) for word in words])


def _as_bytes(word: bytes | str | int) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()
