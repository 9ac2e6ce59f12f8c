"""What changed since an earlier matrix: a cell that ended otherwise, or with other anomalies, or with the replica's own
data in another state, and one that was not taken this time. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.matrix.cells import Cell, Matrix


@dataclass(frozen=True)
class Changes:
    """changed: cells before and now; missing: of the baseline, not taken now; new: not in the baseline."""

    changed: tuple[tuple[Cell, Cell], ...]
    missing: tuple[Cell, ...]
    new: tuple[Cell, ...]

    @property
    def any(self) -> bool:
        """Whether there is news that somebody has to look at; cells that came to it are none."""
        return bool(self.changed or self.missing)


@dataclass(frozen=True)
class Selection:
    """What was asked for this time, where it was narrowed; None: everything. Only such cells can be missed."""

    engines: frozenset[str] | None = None
    pairs: frozenset[tuple[str, str]] | None = None
    features: frozenset[str] | None = None
    syncs: frozenset[str] | None = None

    def has(self, cell: Cell) -> bool:
        key = cell.key
        return (
            (self.engines is None or {key.primary, key.replica} <= self.engines)
            and (self.pairs is None or (key.primary, key.replica) in self.pairs)
            and (self.features is None or key.feature in self.features)
            and (self.syncs is None or key.sync in self.syncs)
        )


def changes(before: Matrix, now: Matrix, selection: Selection) -> Changes:
    """Cell by cell, in the order of this matrix, then of the earlier one."""
    then = {cell.key: cell for cell in before.cells}
    taken = {cell.key for cell in now.cells}
    changed = tuple((then[cell.key], cell) for cell in now.cells if cell.key in then and _differ(then[cell.key], cell))
    missing = tuple(cell for cell in _within(before.cells, selection) if cell.key not in taken)
    return Changes(changed, missing, tuple(cell for cell in now.cells if cell.key not in then))


def _differ(before: Cell, now: Cell) -> bool:
    """Otherwise than before, and not by the chance that a rule allows for."""
    if before.outcome is not now.outcome:
        return not {before.outcome, now.outcome} <= set(now.expected.outcomes)
    asked = before.old_data is not None and now.old_data is not None
    return kinds(before) != kinds(now) or (asked and before.old_data is not now.old_data)


def kinds(cell: Cell) -> frozenset[str]:
    """The names of its anomalies."""
    return frozenset(anomaly.kind for anomaly in cell.anomalies)


def _within(cells: Iterable[Cell], selection: Selection) -> Iterable[Cell]:
    return (cell for cell in cells if selection.has(cell))
