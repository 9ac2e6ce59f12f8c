"""Which measures there are: one table of names that the command line, its help and the documentation share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.bench import draws, end_to_end, newest, proxy, sorted_set, startup
from harness.bench.beforehand import left_out, needs_c
from harness.bench.rows import Row
from harness.bench.setting import Setting
from harness.errors import UsageError

GROUPS: dict[str, Callable[[Setting], list[Row]]] = {
    "floor": end_to_end.against_floor,
    "naive": end_to_end.against_naive,
    "newest": newest.newest_first,
    "zadd": sorted_set.sorted_set,
    "cold": startup.cold_pair,
    "help": startup.help_text,
    "draws": draws.property_draws,
    "proxy": proxy.full_sync,
}


def check_names(names: Sequence[str]) -> None:
    """UsageError for a group that there is not."""
    for name in names:
        if name not in GROUPS:
            raise UsageError(f"no group of measures {name!r}; there are {', '.join(GROUPS)}")


def measure(setting: Setting, names: Sequence[str], tell: Callable[[str], None]) -> Iterator[Row]:
    """The rows of these groups (all, where none is named) as they come; tell: hears which group is under way."""
    for name in names or GROUPS:
        for text in left_out(setting, name):
            tell(f"harness: {text}")
        if needs_c(setting, name):
            continue
        tell(f"harness: measuring {name}, {rounds(setting)}")
        yield from GROUPS[name](setting)


def rounds(setting: Setting) -> str:
    """How many, in words."""
    return "1 round" if setting.rounds == 1 else f"{setting.rounds} rounds"
