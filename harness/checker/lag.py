"""Arithmetic of the samples taken during a run: replication lag in time, and lists that shrink.

Lag is 0 where a replica has reached its primary's newest offset, else the time since the primary first passed the
replica's offset. With numbered canaries in the place of offsets it is the age of the oldest one not yet seen.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from harness.checker.evidence import Shrink

MAX_POINTS = 10_000


class LagCurve:
    """A primary's offset over time, as far back as the slowest replica needs it; times in seconds, never going back.

    At most `limit` points (4 or more) are kept: beyond, of points close together only the last one stays, and a lag may
    be told too small by 4 / limit of the time that the points span.
    """

    def __init__(self, limit: int = MAX_POINTS) -> None:
        self._limit = limit
        self._times: list[float] = []
        self._offsets: list[int] = []  # strictly ascending: when each was first seen

    def primary(self, time: float, offset: int) -> None:
        """The primary was at this offset. One that fell back began anew: what was before says nothing any more."""
        if self._offsets and offset < self._offsets[-1]:
            self._times.clear()
            self._offsets.clear()
        if not self._offsets or offset > self._offsets[-1]:
            self._times.append(time)
            self._offsets.append(offset)
        if len(self._offsets) > self._limit:
            self._thin()

    def _thin(self) -> None:
        """Cut time into equal parts, and keep the last point of each: half as many as are allowed, at most.

        Parts are a power of two long: so longer ones are made of shorter ones, and what a point loses never adds up.
        """
        part = 2.0 ** math.ceil(math.log2(2 * max(self._times[-1] - self._times[0], 1e-9) / self._limit))
        parts = [*(time // part for time in self._times), None]
        kept = [number for number in range(len(self._times)) if parts[number] != parts[number + 1]]
        self._times = [self._times[number] for number in kept]
        self._offsets = [self._offsets[number] for number in kept]

    def lag_ms(self, now: float, processed: int) -> float:
        """The lag at `now` of a replica that has processed so much, in milliseconds. Sample it before the primary."""
        number = bisect_right(self._offsets, processed)
        return (now - self._times[number]) * 1000 if number < len(self._times) else 0.0

    def forget_below(self, processed: int) -> None:
        """No replica will ask for an offset below this one any more."""
        number = bisect_right(self._offsets, processed) - 1
        if number > 0:
            del self._times[:number], self._offsets[:number]


class ShrinkWatch:
    """Notices samples of a node that hold less than an earlier one of the same replication history."""

    def __init__(self, node: str, streams: Sequence[str]) -> None:
        self._node, self._streams = node, tuple(streams)
        self._history: str | None = None
        self._most: dict[str, int] = {}
        self._found: dict[str, Shrink] = {}

    def sample(self, seconds: float, replication_id: str, lengths: Sequence[int | None]) -> None:
        """Lengths in the streams' order, None where the answer was an error; all from one transaction."""
        if replication_id != self._history:
            self._history, self._most = replication_id, {}
        for stream, length in zip(self._streams, lengths, strict=True):
            if length is None:
                continue
            most = self._most.setdefault(stream, length)
            self._most[stream] = max(most, length)
            known = self._found.get(stream)
            if length < most and (known is None or most - length > known.before - known.after):
                self._found[stream] = Shrink(self._node, stream, most, length, seconds)

    @property
    def shrinks(self) -> tuple[Shrink, ...]:
        """The deepest fall of each stream that fell at all; seconds: when it was seen."""
        return tuple(self._found.values())
