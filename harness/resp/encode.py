"""Bytes of long runs of consecutive numbers, a thousand at a time; and the RESP encoding of one command.

It stands apart because the same bytes occur on both sides of a run: the arguments of a variadic RPUSH are the body of
the LRANGE reply that gives them back. Pure: no sockets, no clocks.

How it is fast: 4321000..4321999 differ from 4322000..4322999 in one digit, which stands at the same place in each of a
thousand records of one length. The thousand are kept as bytes, and one strided assignment changes that digit in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import accumulate

_DIGITS = 3
_BLOCK = 10**_DIGITS
_SUFFIXES = tuple(b"%03d" % number for number in range(_BLOCK))
_FEW = 8  # numbers of any width that are formatted sooner than a thousand is changed to hold them
_COLUMNS = tuple(b"%d" % digit * _BLOCK for digit in range(10))
_NOUGHT = ord("0")


class Numbers:
    """Encodes runs of consecutive positive numbers, each as ``before(width) + digits + after``.

    before: what stands before a number of `width` digits. inner: where each number stands twice, what is between, as in
    ``before(width) + digits + inner(width) + digits + after``. A thousand encoded numbers are kept, of the width last
    used, so that memory stays flat however far the numbers go.
    """

    def __init__(
        self,
        before: Callable[[int], bytes],
        after: bytes,
        *,
        inner: Callable[[int], bytes] | None = None,
        descending: bool = False,
    ) -> None:
        self._before = before
        self._inner = inner
        self._after = after
        self._step = -1 if descending else 1
        self._kept: list[_Thousand] = []  # one at most; empty while a thread uses it

    def build(self, first: int, count: int) -> bytes:
        """The bytes of first, first+1, … (count numbers; first >= 1), the last one first where descending."""
        thousand = self._take()
        parts: list[bytes | bytearray] = []
        start, end = first, first + count
        while start < end:
            digits = b"%d" % start
            size = min(end, _edge(start, len(digits))) - start
            if len(digits) <= _DIGITS or size <= _FEW:
                parts.append(self._short(start, size))
            else:
                if thousand is None or thousand.width != len(digits):
                    thousand = _Thousand(self._around(len(digits)), len(digits), _SUFFIXES[:: self._step])
                low = start % _BLOCK
                parts.append(thousand.records(digits, low if self._step > 0 else _BLOCK - low - size, size))
            start += size
        if thousand is not None:
            self._kept = [thousand]
        return b"".join(parts[:: self._step])

    def _take(self) -> _Thousand | None:
        """What is kept, for this thread alone."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def _around(self, width: int) -> tuple[bytes, ...]:
        """What stands before, between and after a number's digits, once or twice."""
        return (self._before(width), *((self._inner(width),) if self._inner else ()), self._after)

    def _short(self, start: int, size: int) -> bytes:
        numbers = [b"%d" % number for number in range(start, start + size)][:: self._step]
        before, *inner, after = self._around(len(numbers[0]))
        if inner:
            numbers = [inner[0].join((number, number)) for number in numbers]
        return before + (after + before).join(numbers) + after


class _Thousand:
    """A thousand records of numbers of one width, which differ in their last three digits alone.

    around: what stands before, between and after the places of the number in a record.
    """

    def __init__(self, around: tuple[bytes, ...], width: int, suffixes: tuple[bytes, ...]) -> None:
        self.width = width
        self._shared = b"0" * (width - _DIGITS)
        self._offsets = [len(each) for each in accumulate(around[:-1], lambda before, gap: before + b"0" * width + gap)]
        self._length = sum(map(len, around)) + width * len(self._offsets)
        records = [self._shared + suffix for suffix in suffixes]
        if len(around) == 3:
            records = [around[1].join((record, record)) for record in records]
        self._bytes = bytearray(around[0] + (around[-1] + around[0]).join(records) + around[-1])

    def records(self, digits: bytes, index: int, count: int) -> bytearray:
        """`count` records, the one at `index` first, with these digits but for their last three."""
        shared = digits[:-_DIGITS]
        if shared != self._shared:
            for place, (old, new) in enumerate(zip(self._shared, shared, strict=True)):
                if old != new:
                    for offset in self._offsets:
                        self._bytes[offset + place :: self._length] = _COLUMNS[new - _NOUGHT]
            self._shared = shared
        return self._bytes[index * self._length : (index + count) * self._length]


def _edge(start: int, width: int) -> int:
    """Where the records of `start` end, which has so many digits: where their number grows, or at the next thousand."""
    return int(10**width) if width <= _DIGITS else start - start % _BLOCK + _BLOCK


def bulk_numbers(*, descending: bool = False) -> Numbers:
    """Numbers as RESP bulk strings, ``$4\\r\\n1234\\r\\n``: arguments of a request, or the body of an array reply."""
    return Numbers(lambda width: b"$%d\r\n" % width, b"\r\n", descending=descending)


def bulk_pairs() -> Numbers:
    """Each number as two RESP bulk strings: score and member, or field and value."""
    return Numbers(lambda width: b"$%d\r\n" % width, b"\r\n", inner=lambda width: b"\r\n$%d\r\n" % width)


def pair_commands(*words: bytes) -> Numbers:
    """One command a number: these words, then the number twice."""
    head = array_header(len(words) + 2) + b"".join([bulk(word) for word in words])
    return Numbers(lambda width: b"%b$%d\r\n" % (head, width), b"\r\n", inner=lambda width: b"\r\n$%d\r\n" % width)


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


def command(*words: bytes | str | float) -> bytes:
    """One command; text is sent as UTF-8, numbers as decimals."""
    return array_header(len(words)) + b"".join([bulk(_as_bytes(word)) for word in words])


def _as_bytes(word: bytes | str | float) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


class Placeholder(Enum):
    """The only value stands for the key in commands that are made for many keys."""

    KEY = "key"


KEY = Placeholder.KEY


class Keys(list[bytes]):
    """Keys that are asked about more than once: they are encoded once, and every part of them has it too."""

    def __init__(self, keys: Iterable[bytes], bulks: list[bytes] | None = None) -> None:
        super().__init__(keys)
        self.bulks = bulks if bulks is not None else [b"$%d\r\n%b\r\n" % (len(key), key) for key in self]

    def part(self, first: int, last: int) -> Keys:
        """keys[first:last]"""
        return Keys(self[first:last], self.bulks[first:last])


def for_each_key(keys: Sequence[bytes], commands: Sequence[Sequence[bytes | str | int | float | Placeholder]]) -> bytes:
    """The first command for every key, then the second for every key, …"""
    if not keys:
        return b""
    bulks = keys.bulks if isinstance(keys, Keys) else Keys(keys).bulks
    return b"".join([_of_all(words, bulks) for words in commands])


def _of_all(words: Sequence[bytes | str | int | float | Placeholder], bulks: list[bytes]) -> bytes:
    """One command for every key; where the key occurs once in it, that is one join."""
    places = [place for place, word in enumerate(words) if isinstance(word, Placeholder)]
    if len(places) != 1:
        template = array_header(len(words)) + b"".join([_template(word) for word in words])
        return b"".join([template % ((each,) * len(places)) for each in bulks])
    before = array_header(len(words)) + b"".join(map(_fixed, words[: places[0]]))  # type: ignore[arg-type]
    after = b"".join(map(_fixed, words[places[0] + 1 :]))  # type: ignore[arg-type]
    return before + (after + before).join(bulks) + after


def _template(word: bytes | str | int | float | Placeholder) -> bytes:
    return b"%b" if isinstance(word, Placeholder) else _fixed(word).replace(b"%", b"%%")


def _fixed(word: bytes | str | int | float) -> bytes:
    return bulk(word if isinstance(word, bytes) else str(word).encode())
