"""What the matrix is made of: cells, and how each one ended. Pure values; their names are those of the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a cell ended; the worst one last."""

    OK = "ok"
    NOT_APPLICABLE = "n/a"
    DEGRADED = "degraded"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    LOST = "lost"
    CRASHED = "crashed"


# outcome: a sign that is told apart without colour, and what it means
MEANINGS: dict[Outcome, tuple[str, str]] = {
    Outcome.OK: ("+", "the replica holds exactly what was written"),
    Outcome.NOT_APPLICABLE: (
        ".",
        "an engine lacks the feature or the kind of sync, or made another kind of sync than it was told to",
    ),
    Outcome.DEGRADED: ("~", "all is there, after more full syncs than needed or by the old SYNC"),
    Outcome.REFUSED: ("x", "the replica can't follow, and a log says why"),
    Outcome.UNKNOWN: ("?", "nothing could be said"),
    Outcome.CHANGED: ("!=", "the replica follows and holds something else than was written"),
    Outcome.LOST: ("-", "the replica follows and lacks something that was written"),
    Outcome.CRASHED: ("#", "a server ended"),
}


@dataclass(frozen=True, order=True)
class Key:
    """Which cell: engines by name, feature and sync by theirs."""

    primary: str
    replica: str
    feature: str
    sync: str

    def __str__(self) -> str:
        return f"{self.primary} -> {self.replica}, {self.feature}, {self.sync}"


@dataclass(frozen=True)
class Expectation:
    """What a rule says of a cell. rule: its name; source: where that is known from; also: outcomes that are as good,
    where chance decides.
    """

    outcome: Outcome
    rule: str
    reason: str
    source: str
    also: tuple[Outcome, ...] = ()

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return (self.outcome, *self.also)


@dataclass(frozen=True)
class Anomaly:
    """One difference. kind: of the verdict's words (lost, missing_key, wrong_value, phantom, …); what: a sentence."""

    kind: str
    what: str


@dataclass(frozen=True)
class Cell:
    """How a cell ended. reason: one line; old_data: of a refused replica, whether it still held what it had before,
    None where that was not asked; evidence: lines of logs and INFO; replay: a command line; unmet: a scenario's own
    expectations were not met, whatever the outcome.
    """

    key: Key
    outcome: Outcome
    expected: Expectation
    reason: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    old_data: bool | None = None
    seconds: float = 0.0
    evidence: tuple[str, ...] = ()
    replay: str = ""
    unmet: bool = False

    @property
    def as_expected(self) -> bool:
        return self.outcome in self.expected.outcomes and not self.unmet


@dataclass(frozen=True)
class EngineFacts:
    """What was found out about an engine by asking its running server. lacks: features and kinds of sync."""

    name: str
    family: str
    version: str
    origin: str
    features: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """A whole run. date: ISO 8601, UTC; command: as it was given."""

    engines: tuple[EngineFacts, ...]
    cells: tuple[Cell, ...]
    date: str
    command: str
    seconds: float = 0.0
    jobs: int = 1
    notes: tuple[str, ...] = ()
    by_pair: Mapping[tuple[str, str], tuple[Cell, ...]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        pairs: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            pairs.setdefault((cell.key.primary, cell.key.replica), []).append(cell)
        object.__setattr__(self, "by_pair", {pair: tuple(cells) for pair, cells in pairs.items()})

    @property
    def alarms(self) -> tuple[Cell, ...]:
        """Cells that ended otherwise than their rule says, the worst first."""
        return worst_first(cell for cell in self.cells if not cell.as_expected)


def severity(outcome: Outcome) -> int:
    return list(Outcome).index(outcome)


def worst_first(cells: object) -> tuple[Cell, ...]:
    assert not isinstance(cells, Cell)
    return tuple(sorted(cells, key=lambda cell: (-severity(cell.outcome), cell.key)))  # type: ignore[call-overload]
