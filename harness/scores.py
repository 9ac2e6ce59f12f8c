"""The scores of a sorted set's numbered members: the number itself, or values at the edges of what a double can hold.

Pure, and shared by the writer, which sends them as text, and the reader, which compares bit by bit what comes back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

SCORES = ("ids", "extreme")
LARGEST_ID = 1 << 53  # above it a double does not hold every whole number

# A member's number chooses among these, in turn.
_EXTREME: tuple[Callable[[int], str], ...] = (
    lambda number: "-0",
    lambda number: f"{number / 3:.17g}",
    lambda number: "inf",
    lambda number: f"{(1 << 53) + number}",
    lambda number: "1e308",
    lambda number: "-inf",
    lambda number: f"{-number}.30000000000000004",
    lambda number: "5e-324",
    lambda number: "-1.7976931348623157e+308",
    lambda number: "0",
    lambda number: f"{number * 10**15 + 1}",
)


def score_text(scores: str, number: int) -> str:
    """The score of member `number` as it is sent."""
    return str(number) if scores == "ids" else _EXTREME[(number - 1) % len(_EXTREME)](number)


def bits(score: float) -> bytes:
    """What two scores must share to be the same: -0.0 is not 0.0."""
    return struct.pack(">d", score)


def same_score(scores: str, number: int, sent_back: bytes) -> bool:
    """Whether a server's text for the score of this member is the very double that was sent."""
    try:
        return bits(float(sent_back)) == bits(float(score_text(scores, number)))
    except ValueError:
        return False
