"""A second opinion on bytes that writer and reader build with the same code: some of them, formatted the plain way.

A mistake in that code would go out in a command, come back in a reply, be found equal to itself, and be judged valid.
So whoever compares holds samples of what is expected against naive formatting: the first, the last and another element
of each piece, those on both sides of every power of ten, and the length. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import HarnessError

_SPREAD = 2_654_435_761  # Knuth's multiplier: successive pieces are sampled at places that look random

Naive = Callable[[int], bytes]


def bulk(number: int) -> bytes:
    """A number as a RESP bulk string."""
    text = b"%d" % number
    return b"$%d\r\n%b\r\n" % (len(text), text)


def pair(number: int) -> bytes:
    """A number twice, as member and score."""
    return bulk(number) * 2


def line(number: int) -> bytes:
    """A number as an element of a string: ten digits and a line feed."""
    return str(number).rjust(10, "0").encode() + b"\n"


def entry(number: int) -> bytes:
    """A number as a stream's entry in a reply: its id, and its one field n."""
    return b"*2\r\n" + _text(f"{number}-1") + b"*2\r\n$1\r\nn\r\n" + bulk(number)


def _text(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


def check_sample(built: bytes, first: int, count: int, naive: Naive, *, descending: bool = False) -> None:
    """HarnessError where `built` can't be first, first + 1, … (count numbers; the last one first where descending)."""
    position = 0
    for start, size in _of_one_width(first, count)[:: -1 if descending else 1]:
        length = len(naive(start))
        for index in (0, start * _SPREAD % size, size - 1):
            place = position + (size - 1 - index if descending else index) * length
            if not built.startswith(naive(start + index), place):
                raise _wrong(first, count)
        position += size * length
    if len(built) != position:
        raise _wrong(first, count)


def _of_one_width(first: int, count: int) -> list[tuple[int, int]]:
    """The same numbers, cut at every power of ten: (first, count) each."""
    end, parts = first + count, []
    while first < end:
        stop = min(10 ** len(str(first)), end)
        parts.append((first, stop - first))
        first = stop
    return parts


def _wrong(first: int, count: int) -> HarnessError:
    return HarnessError(f"the bytes built for the numbers {first} to {first + count - 1} are not those numbers")
