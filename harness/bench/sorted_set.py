"""Writing a sorted set, side by side: `harness run` and a C program that sends the same ZADDs."""

from __future__ import annotations

from harness.bench.floor import Floor
from harness.bench.pair import KEY, open_pair, run_harness
from harness.bench.rows import Row, in_turns, times
from harness.bench.setting import Setting

GOAL = 1.15
KIND = ("workload.kind=sorted_set", "expect={sorted_set: exact}")


def sorted_set(setting: Setting) -> list[Row]:
    """One row; nothing where the floor writes no sorted sets."""
    floor, values = setting.floor, setting.small
    if floor is None or not floor.complete:
        return []
    taken = in_turns(
        {
            "harness": lambda: run_harness(values, setting.options.engines, KIND).seconds["write"],
            "floor": lambda: _in_c(setting, floor, values),
        },
        setting.rounds,
    )
    name = f"ZADD through A ÷ {floor.name}, {values:,} members"
    return [times(name, taken["harness"], taken["floor"], at_most=GOAL)]


def _in_c(setting: Setting, floor: Floor, values: int) -> float:
    with open_pair(setting.options) as pair:
        return floor.zadd(pair.a, KEY, values)
