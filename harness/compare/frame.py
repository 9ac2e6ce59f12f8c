"""Whether a list or sorted set stayed where it was while its pieces were read.

Pieces are asked for by index, so a value that shifts under the walk lets elements slip past unread, and two sides that
shift alike look equal in every piece. Three things are therefore held against each other: how the value began before
the first piece and after the last one, its length then and now, and, at each joint of two pieces, the element that both
have. What did not stay is `moving`, never equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

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


def joined(tail: bytes, head: bytes, count: int) -> bool:
    """Whether a piece begins with the `count` strings that the piece before it ended with; True where too little of
    them was kept to tell.
    """
    shared = first_bulks(head, count)
    if shared is None:
        return not head.startswith(b"*0\r\n")
    return not tail or len(shared) > len(tail) or tail.endswith(shared)
