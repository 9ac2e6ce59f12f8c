"""How fast an endpoint may be asked: a bucket of commands, and less of them while its answers get slower.

The endpoints are somebody's production. PING on a connection of its own shows what everybody else's commands wait for;
where that rises well above what it was at the beginning, the rate is halved, and comes back slowly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SAMPLE_EVERY_S = 0.25
LARGEST_PAGE = 1_000
_LEAST = 1 / 32  # of the rate, however slow the endpoint gets
_SLACK_S = 0.005  # what a PING may always take
_TIMES = 4.0  # what it may take compared with the beginning
_SLICE_S = 0.1
_SHORTEST_S = 0.0005
_BURST_S = 0.1  # how much of a second's commands may go at once
_FIRST = 3  # samples, of which the best is what is usual
_ELEMENTS = 1_000  # so many elements asked for weigh as much as a command


class Pace:
    """most_per_s: commands a second to each endpoint, 0 for no limit (and then nothing is sampled)."""

    def __init__(
        self,
        most_per_s: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._most, self._clock, self._sleep = most_per_s, clock, sleep
        self._pings: Sequence[Callable[[], float]] = ()
        self._usual: list[float] = []
        self._share = 1.0
        self._tokens = most_per_s * _BURST_S
        self._filled_at = self._sampled_at = clock()
        self.commands = 0
        self.slowed = 0  # how often the rate was lowered

    def watch(self, pings: Sequence[Callable[[], float]]) -> None:
        """Sample these from now on: each sends one PING and returns the seconds that it took."""
        if self._most:
            self._pings = pings
            self._usual = [min(ping() for _ in range(_FIRST)) for ping in pings]

    @property
    def page(self) -> int:
        """Keys in a page of a scan: few where the rate is low, so that no page is more than a moment's commands."""
        return max(1, min(LARGEST_PAGE, self._most // 100)) if self._most else LARGEST_PAGE

    @property
    def in_flight(self) -> int:
        """Tasks that go on at the same time; a low rate needs no more than two."""
        return 2 if self._most else 4

    def take(self, commands: int, elements: int = 0) -> None:
        """Wait until so many commands may be sent, which ask for so many elements.

        What may be sent gathers for a moment only, so a page that is larger than that waits until before it was paid.
        """
        self.commands += commands
        if not self._most:
            return
        cost = commands + elements / _ELEMENTS
        self._sample()
        while (lacking := min(cost, self._most * _BURST_S) - self._filled()) > 0:
            self._sleep(max(_SHORTEST_S, min(lacking / (self._most * self._share), _SLICE_S)))
            self._sample()
        self._tokens -= cost

    def _filled(self) -> float:
        now = self._clock()
        rate = self._most * self._share
        self._tokens = min(self._tokens + (now - self._filled_at) * rate, self._most * _BURST_S)
        self._filled_at = now
        return self._tokens

    def _sample(self) -> None:
        if self._clock() - self._sampled_at < SAMPLE_EVERY_S:
            return
        self._tokens -= 1
        slow = [took > _SLACK_S + _TIMES * usual for took, usual in zip(self._latencies(), self._usual, strict=True)]
        if any(slow):
            self._share = max(_LEAST, self._share / 2)
            self.slowed += 1
        else:
            self._share = min(1.0, self._share * 1.25)
        self._sampled_at = self._clock()

    def _latencies(self) -> list[float]:
        return [ping() for ping in self._pings]
