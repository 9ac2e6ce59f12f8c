"""What a benchmark is to do, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from harness.bench.floor import Floor
from harness.options import Options

SMALL, LARGE = 1_000_000, 3_000_000


@dataclass(frozen=True)
class Setting:
    """options: engines and ports; rounds: how often each way is taken; small, large: values where the naive way takes
    part, and where it does not. floor: None where this machine has none.
    """

    options: Options
    floor: Floor | None
    rounds: int = 5
    small: int = SMALL
    large: int = LARGE
