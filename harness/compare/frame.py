"""Whether a list or sorted set stayed where it was while its pieces were read.

Pieces are asked for by index, so a value that shifts under the walk lets elements slip past unread, and two sides that
shift alike look equal in every piece. Three things are therefore held against each other: how the value began before
the first piece and after the last one, its length then and now, and, at each joint of two pieces, the element that both
have, by a digest of it. What did not stay, or can't be told to have, is `moving`, never equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha1, sha256

from harness.resp.replies import Reply

HEAD = 16  # elements that show how a value begins
_FIRST_BULKS = re.compile(rb"\*\d+\r\n")
_BULK = re.compile(rb"\$(\d+)\r\n")

Frame = tuple[int, str]  # length, and a digest of how the value begins, "" where the sides begin differently


def frame_of(length: Reply, beginning: bytes) -> Frame:
    """beginning: the first bytes of an array of the first elements, b"" where they are not the same on both sides."""
    return (length if isinstance(length, int) else 0), sha256(beginning).hexdigest() if beginning else ""


def moved(before: Sequence[Frame], after: Sequence[Frame]) -> bool:
    """Whether one of these values began differently afterwards, or became shorter."""
    return any(now[0] < was[0] or now[1] != was[1] for was, now in zip(before, after, strict=True))


def first_bulks(head: bytes, count: int) -> bytes | None:
    """The first `count` strings of an array as they were sent; None where they go beyond what was kept."""
    array = _FIRST_BULKS.match(head)
    if array is None:
        return None
    position = array.end()
    for _ in range(count):
        bulk = _BULK.match(head, position)
        if bulk is None or (position := bulk.end() + int(bulk[1]) + 2) > len(head):
            return None
    return head[array.end() : position]


def last_bulks(tail: bytes, count: int) -> bytes | None:
    """The last `count` strings of an array as they were sent; None where they began before what was kept.

    What looks like a string inside of the last one is taken for it: then a joint is torn that is none, never the other
    way round.
    """
    begins = end = len(tail)
    for _ in range(count):
        begins = tail.rfind(b"$", 0, end)
        while begins >= 0 and not ((bulk := _BULK.match(tail, begins, end)) and bulk.end() + int(bulk[1]) + 2 == end):
            begins = tail.rfind(b"$", 0, begins)
        if begins < 0:
            return None
        end = begins
    return tail[begins:]


def mark_of(bulks: bytes | None) -> str:
    """By which an element is known again; "" for one that can't be told. It is what digest scripts can compute too."""
    return sha1(bulks, usedforsecurity=False).hexdigest() if bulks else ""


class Ends:
    """The marks of the first and the last element of an array, whose parts are given as they arrive, none kept.

    count: strings of an element. first, last: "" until one was there, or where this is no array of strings.
    """

    def __init__(self, count: int) -> None:
        self.first = self.last = ""
        self._count, self._strings, self._left, self._line = count, 0, 0, b""
        self._digest = sha1(usedforsecurity=False)
        self._broken = False

    def feed(self, part: bytes | bytearray) -> None:
        data, at = self._line + part, 0
        self._line = b""
        while at < len(data) and not self._broken:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._take(piece)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._line = bytes(data[at:])
                return
            self._header(data[at : end + 2])
            at = end + 2

    def _header(self, line: bytes) -> None:
        if _BULK.fullmatch(line):
            self._digest.update(line)
            self._left = int(line[1:-2]) + 2
        elif not _FIRST_BULKS.fullmatch(line):
            self.first, self.last, self._broken = "", "", True

    def _take(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._left -= len(piece)
        if self._left:
            return
        self._strings += 1
        if self._strings % self._count == 0:
            self.last = self._digest.hexdigest()
            self.first = self.first or self.last
            self._digest = sha1(usedforsecurity=False)
