"""A pair of engines in one word, and a matrix's cells grouped for a reader: what every report shows alike. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.matrix.cells import MEANINGS, Cell, Matrix, Outcome, severity, worst_first


@dataclass(frozen=True)
class Summary:
    """Several cells as one. outcome: the worst; share: of how many it is, "3/15", "" where of all; alarms: how many
    ended otherwise than their rule says.
    """

    outcome: Outcome
    share: str
    alarms: int

    @property
    def text(self) -> str:
        sign = MEANINGS[self.outcome][0]
        alarm = "!" if self.alarms else ""
        return " ".join(part for part in (f"{alarm}{sign}", self.outcome.value, self.share) if part)


def summarize(cells: Iterable[Cell]) -> Summary | None:
    """None where there is no cell."""
    cells = list(cells)
    if not cells:
        return None
    counts = Counter(cell.outcome for cell in cells)
    alarms = sum(not cell.as_expected for cell in cells)
    tried = {outcome: count for outcome, count in counts.items() if outcome is not Outcome.NOT_APPLICABLE}
    if not tried:
        return Summary(Outcome.NOT_APPLICABLE, "", alarms)
    worst = max(tried, key=severity)
    total = sum(tried.values())
    return Summary(worst, "" if tried[worst] == total else f"{tried[worst]}/{total}", alarms)


def primaries(matrix: Matrix) -> list[str]:
    """In the order of the cells."""
    return list(dict.fromkeys(cell.key.primary for cell in matrix.cells))


def replicas(matrix: Matrix) -> list[str]:
    return list(dict.fromkeys(cell.key.replica for cell in matrix.cells))


@dataclass(frozen=True)
class Group:
    """Cells of a pair that ended alike, for one reason."""

    primary: str
    replica: str
    outcome: Outcome
    reason: str
    cells: tuple[Cell, ...]

    @property
    def expected(self) -> str:
        """What the rules say of them, each outcome once."""
        return " or ".join(dict.fromkeys(cell.expected.outcome.value for cell in self.cells))

    @property
    def what(self) -> str:
        """Which features and syncs, in short."""
        return f"{_some(cell.key.feature for cell in self.cells)} by {_some(cell.key.sync for cell in self.cells)}"


def groups(cells: Iterable[Cell]) -> Iterator[Group]:
    """The worst first."""
    found: dict[tuple[str, str, Outcome, str], list[Cell]] = {}
    for cell in worst_first(cells):
        key = cell.key
        found.setdefault((key.primary, key.replica, cell.outcome, cell.reason), []).append(cell)
    for (primary, replica, outcome, reason), alike in found.items():
        yield Group(primary, replica, outcome, reason, tuple(alike))


def told(cell: Cell) -> str:
    """The reason, with what became of a refused replica's own data."""
    if cell.old_data is None:
        return cell.reason
    return f"{cell.reason}; its own data: {'kept' if cell.old_data else 'already thrown away'}"


def outcome_counts(cells: Sequence[Cell]) -> str:
    """ "605 ok, 330 refused" """
    counts = Counter(cell.outcome for cell in cells)
    return ", ".join(f"{counts[outcome]:,} {outcome.value}" for outcome in Outcome if counts[outcome])


def _some(words: Iterable[str]) -> str:
    each = list(dict.fromkeys(words))
    return ", ".join(each) if len(each) <= 4 else f"{', '.join(each[:3])} and {len(each) - 3} more"
