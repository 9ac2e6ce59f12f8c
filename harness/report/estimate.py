"""How far something is that does many alike things, and about how long it will take: on standard error only.

A terminal shows one line that changes; where nobody looks, as in a job's log, a line comes now and then.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_FIRST_S, _EVERY_S = 10.0, 20.0  # of lines where there is no terminal
_REDRAW_S = 0.2


class Estimate:
    """Used as a context manager; `tell` may be called from one thread only."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._began = self._drawn = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._next = _REDRAW_S if self._terminal else _FIRST_S
        self._shown = False

    def tell(self, done: int, total: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now - self._drawn < self._next:
            return
        self._drawn, self._next, self._shown = now, _REDRAW_S if self._terminal else _EVERY_S, True
        line = estimate_line(self._title, done, total, now - self._began)
        print(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown and self._terminal:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def estimate_line(title: str, done: int, total: int, seconds: float) -> str:
    """ "matrix: 240 of 960 cells, 12 s so far, about 36 s left" """
    left = f", about {seconds / done * (total - done):.0f} s left" if done else ""
    return f"{title}: {done:,} of {total:,} cells, {seconds:.0f} s so far{left}"
