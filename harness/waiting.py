"""The only polling loop of the harness: a condition, a deadline, and the last value seen in the error.

Waiting that sleeps for a fixed time is either too slow or too short; waiting without showing what was seen last leaves
the reader with "timed out". So everyone who waits for anything waits here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import SetupError

T = TypeVar("T")

FIRST_PAUSE_S = 0.0003
LONGEST_PAUSE_S = 0.02
_GROWTH = 1.05


class WaitedTooLongError(SetupError):
    """A deadline passed before the condition held. last_seen: what was seen last, as text."""

    def __init__(self, what: str, waited_s: float, last_seen: str) -> None:
        self.last_seen = last_seen
        super().__init__(f"waited {waited_s:.1f} s for {what}; last seen: {last_seen or 'nothing'}")


def wait_until(
    probe: Callable[[], T | None],
    *,
    deadline_s: float,
    what: str,
    describe: Callable[[], object] = lambda: "",
    progress: Callable[[], float] = lambda: 0.0,
) -> T:
    """Call probe until it returns something that is neither None nor False, and return that.

    deadline_s: seconds from now, counted anew whenever `progress` exceeds its largest value so far, so that what is
    slow but moving is waited for, and what goes round in circles is not. describe: the last value seen, asked for
    when the deadline has passed. Raises WaitedTooLongError, and whatever the probe raises.
    """
    began = renewed = time.monotonic()
    pause, furthest = FIRST_PAUSE_S, progress()
    while True:
        found = probe()
        if found is not None and found is not False:
            return found
        now = time.monotonic()
        if (reached := progress()) > furthest:
            furthest, renewed = reached, now
        if now - renewed > deadline_s:
            raise WaitedTooLongError(what, now - began, str(describe()))
        time.sleep(pause)
        pause = min(pause * _GROWTH, LONGEST_PAUSE_S)


def pause(seconds: float) -> None:
    """Let time pass where there is nothing to ask for, as between two rounds. An interrupt ends it at once."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)
