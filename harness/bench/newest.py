"""Reading B in order and printing it, the newest value first, into a pipe: beside a C program that does the same."""

from __future__ import annotations

from harness.bench.floor import Floor
from harness.bench.pair import KEY, Pair, open_pair
from harness.bench.programs import module, printed
from harness.bench.rows import Row, in_turns, times
from harness.bench.setting import Setting
from harness.errors import HarnessError

GOAL = 1.2


def newest_first(setting: Setting) -> list[Row]:
    """One row; nothing where the floor can't print."""
    floor = setting.floor
    if floor is None or not floor.complete:
        return []
    with open_pair(setting.options) as pair:
        floor.write(pair.a, KEY, setting.large)
        pair.converge()
        return [_row(setting, floor, pair)]


def _row(setting: Setting, floor: Floor, pair: Pair) -> Row:
    b, values = pair.b, setting.large
    ways = {
        "harness": lambda: printed(module("print_newest", b.host, str(b.port), KEY), "printing the newest first"),
        "floor": lambda: printed(floor.newest(b, KEY, values), f"{floor.name} printing the newest first"),
    }
    taken = in_turns(ways, setting.rounds)
    sizes = {size for way in taken.values() for _, size in way}
    if len(sizes) != 1:
        raise HarnessError(f"the harness and {floor.name} printed different lists, of {sorted(sizes)} bytes")
    ours, theirs = ([seconds for seconds, _ in taken[way]] for way in ("harness", "floor"))
    return times(f"newest first into a pipe ÷ {floor.name}, {values:,} values", ours, theirs, at_most=GOAL)
