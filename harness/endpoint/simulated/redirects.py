"""The server's redirections, on their way back to one client: each names our address instead of the real one.

Replies are walked by their frames, which lead from one error line to the next; what lies in values is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .frames import NotAReplyError
from .layout import Address
from .runs import RUNS

_REDIRECTION = re.compile(rb"-(MOVED|ASK) (\d+) (.*):(\d+)\r\n")
_LONGEST_LINE = 1 << 20
_BULKS = frozenset(b"$=!")
_LINES = frozenset(b"+-:*%~>|_,#(")
MOVING = b"-CLUSTERDOWN The layout of this cluster is just changing\r\n"


class Redirects:
    """front: our port for a real address, None where there is none yet. asked: the real address on the other side."""

    def __init__(self, asked: Address, front: Callable[[Address], int | None], unknown: Callable[[], None]) -> None:
        self._asked, self._front, self._unknown = asked, front, unknown
        self._tail = b""
        self._skip = 0  # bytes of the present bulk yet to come, with its line end
        self.host = ""  # the one that the client reached

    def feed(self, data: bytes) -> bytes:
        """The same bytes with changed redirections; what may be a part of one is kept for the next call."""
        data = self._tail + data
        at, begun = min(self._skip, len(data)), 0
        self._skip -= at
        out: list[bytes] = []
        while at < len(data):
            if run := _run(data, at):
                at = run
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > _LONGEST_LINE:
                    raise NotAReplyError("a line without an end")
                break
            kind = data[at]
            if kind == 0x2D:
                if (line := self._redirected(data[at : end + 2])) is not None:
                    out += [data[begun:at], line]
                    begun = end + 2
                at = end + 2
            elif kind in _BULKS:
                at = end + 2 + max(0, _number(data[at + 1 : end]) + 2)
                if at > len(data):
                    self._skip, at = at - len(data), len(data)
            elif kind in _LINES:
                at = end + 2
            else:
                raise NotAReplyError(data[at : at + 1])
        self._tail = data[at:]
        return b"".join((*out, data[begun:at]))

    def _redirected(self, line: bytes) -> bytes | None:
        found = _REDIRECTION.fullmatch(line)
        if found is None:
            return None
        kind, slot, host, port = found.groups()
        ours = self._front((host.decode("latin-1") or self._asked[0], int(port)))
        if ours is None:
            self._unknown()
            return MOVING
        return b"-%b %b %b:%d\r\n" % (kind, slot, self.host.encode(), ours)


def _run(data: bytes, at: int) -> int:
    """Where a run of short bulks ends that begins here; 0 where none does."""
    for _, pattern in RUNS:
        if found := pattern.match(data, at):
            return found.end()
    return 0


def _number(text: bytes) -> int:
    if not text.lstrip(b"-").isdigit():
        raise NotAReplyError(text)
    return -2 if text.startswith(b"-") else int(text)
