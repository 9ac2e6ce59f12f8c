"""`--set path=value`: changes to a file's data before it is checked, so that they are checked like what is written."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import Mistake
from harness.scenario.fields import shown as shown_value
from harness.scenario.scalars import Path, Plain
from harness.scenario.source import Source, dotted, parse_value, printable


@dataclass(frozen=True)
class Override:
    """One option, taken apart. where: how messages call it, without the value, which may be a password."""

    where: str
    parts: tuple[str, ...]
    value: Plain


class _Misplaced(Exception):
    """The path leads nowhere in this file."""

    def __init__(self, path: Path, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(message)


def parse_overrides(texts: Sequence[str]) -> tuple[list[Override], list[Mistake]]:
    """The options taken apart, and what is wrong with them whatever the file is."""
    overrides: list[Override] = []
    mistakes: list[Mistake] = []
    for text in texts:
        name, equals, value = text.partition("=")
        where = f"--set {printable(name)}=…"
        parts = tuple(name.split("."))
        if not equals or not all(parts):
            path = re.match(r"[\w.>-]*", name, re.ASCII)  # what follows may be a password
            message = "expected PATH=VALUE, as in workload.values=250000"
            mistakes.append(Mistake(where if equals else f"--set {path[0] if path else ''}…", "", message))
            continue
        parsed = parse_value(where, value)
        if parsed.mistakes:
            mistakes += parsed.mistakes
        else:
            overrides.append(Override(where, parts, parsed.data))
    return overrides, mistakes


def apply(source: Source, override: Override) -> None:
    """Set one value in the source; a path that leads nowhere becomes one of its mistakes."""
    try:
        path = _set(source, override)
    except _Misplaced as misplaced:
        message = f"{misplaced.message} in {source.file}"
        source.mistakes.append(Mistake(override.where, dotted(override.parts), message))
        return
    for places in (source.keys, source.values, source.overridden):
        for stale in [other for other in places if other[: len(path)] == path]:
            del places[stale]
    source.overridden[path] = override.where


def _set(source: Source, override: Override) -> Path:
    """Put the value where the path leads, making the mappings on the way that are not there; return the real path."""
    if not isinstance(source.data, dict):
        raise _Misplaced((), "there is no mapping")
    path: Path = ()
    holder: Plain = source.data
    for name, following in zip(override.parts, (*override.parts[1:], None), strict=True):
        step = _step(holder, name, path)
        path = (*path, step)
        if following is None:
            _put(holder, step, copy.deepcopy(override.value))
        else:
            below = _below(holder, step, path, following)
            if below is None:
                below = {}
                source.overridden[path] = override.where
                _put(holder, step, below)
            holder = below
    return path


def _step(holder: Plain, name: str, path: Path) -> str | int:
    if isinstance(holder, dict):
        return name
    shown = dotted(path)
    if not isinstance(holder, list):
        raise _Misplaced(path, f"{shown} holds a single value")
    if not (name.isascii() and name.isdigit()):
        raise _Misplaced(path, f"{shown} is a list, so an index must follow ({shown}.0), not {shown_value(name)},")
    if not len(name) < 10 or int(name) >= len(holder):
        there = f"the last one is {shown}.{len(holder) - 1}" if holder else "the list is empty"
        raise _Misplaced(path, f"{shown} has no entry {name[:10]} ({there})")
    return int(name)


def _below(holder: Plain, step: str | int, path: Path, following: str) -> Plain:
    """What the next part of the path is looked up in; None where a mapping must be made for it."""
    below = holder[step] if isinstance(holder, list) and isinstance(step, int) else None
    if isinstance(holder, dict):
        below = holder.get(str(step))
    if below is None and following.isascii() and following.isdigit():
        raise _Misplaced(path, f"nothing stands at {dotted(path)}, so there is no entry {following[:10]}")
    return below


def _put(holder: Plain, step: str | int, value: Plain) -> None:
    if isinstance(holder, list) and isinstance(step, int):
        holder[step] = value
    elif isinstance(holder, dict):
        holder[str(step)] = value
