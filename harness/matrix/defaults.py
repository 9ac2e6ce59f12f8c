"""What the matrix takes where it is not told, and the names that it can be told."""

from __future__ import annotations

import os
import shlex

from harness.errors import UsageError
from harness.matrix.features import FEATURES, SMALL
from harness.matrix.syncs import GROUPS, SYNCS


def default_jobs() -> int:
    """Two for each core: a cell waits most of its time, for servers' clocks that tick once a second."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, 2 * usable)


def named_features(text: str | None) -> tuple[str, ...]:
    """Of "list,hash"; UsageError names the one that there is not."""
    if text is None:
        return SMALL
    return _named(text, "--features", {"all": tuple(FEATURES)}, tuple(FEATURES))


def named_syncs(text: str | None) -> tuple[str, ...]:
    """Of "full,partial"; UsageError names the one that there is not."""
    return _named("full" if text is None else text, "--sync", GROUPS, tuple(SYNCS))


def _named(text: str, option: str, groups: dict[str, tuple[str, ...]], known: tuple[str, ...]) -> tuple[str, ...]:
    chosen: list[str] = []
    for word in text.split(","):
        name = word.strip()
        if name in groups:
            chosen += groups[name]
        elif name in known:
            chosen.append(name)
        else:
            raise UsageError(f"{option} {shlex.quote(text)}: no {name!r}; there are {', '.join((*groups, *known))}")
    return tuple(dict.fromkeys(chosen))
