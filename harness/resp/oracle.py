"""A second opinion on bytes that writer and reader build with the same code: some of them, formatted the plain way.

A mistake in that code would go out in a command, come back in a reply, be found equal to itself, and be judged valid.
So whoever compares holds samples of what is expected against naive formatting: the first, the last and another element
of each piece, its length, and all of a piece in which the number of digits changes. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import HarnessError

_SPREAD = 2_654_435_761  # Knuth's multiplier: successive pieces are sampled at places that look random

Naive = Callable[[int], bytes]


def bulk(number: int) -> bytes:
    """A number as a RESP bulk string."""
    text = str(number).encode()
    return b"$" + str(len(text)).encode() + b"\r\n" + text + b"\r\n"


def pair(number: int) -> bytes:
    """A number twice, as member and score."""
    return bulk(number) * 2


def check_sample(built: bytes, first: int, count: int, naive: Naive, *, descending: bool = False) -> None:
    """HarnessError where `built` can't be first, first + 1, … (count numbers; the last one first where descending)."""
    last = first + count - 1
    if len(str(first)) != len(str(last)):
        numbers = range(last, first - 1, -1) if descending else range(first, last + 1)
        if built != b"".join([naive(number) for number in numbers]):
            raise _wrong(first, count)
        return
    size = len(naive(first))
    for index in (0, first * _SPREAD % count, count - 1):
        start = index * size
        if built[start : start + size] != naive(last - index if descending else first + index):
            raise _wrong(first, count)
    if len(built) != count * size:
        raise _wrong(first, count)


def _wrong(first: int, count: int) -> HarnessError:
    return HarnessError(f"the bytes built for the numbers {first} to {first + count - 1} are not those numbers")
