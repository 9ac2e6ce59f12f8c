"""What a judgement says: anomalies with names, and the verdict they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.errors import ExitCode


class Outcome(StrEnum):
    """What was observed. A checker that crashes gives unknown, never valid."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """The broken guarantees; DEFINITIONS says what each means, docs/verdicts.md the same for users."""

    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    TRUNCATED = "truncated"
    STALE = "stale"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    WRONG_VALUE = "wrong_value"
    PHANTOM = "phantom"
    MISPLACED = "misplaced"
    SHRANK = "shrank"


DEFINITIONS: dict[Kind, str] = {
    Kind.MISSING_KEY: "the key is not there, and something must be",
    Kind.WRONG_TYPE: "the key holds another type",
    Kind.TRUNCATED: "the tail is missing, and the node had caught up",
    Kind.STALE: "the tail is missing, and the node had not caught up when waiting was given up",
    Kind.LOST: "an element that must be there is missing while later ones are there",
    Kind.DUPLICATED: "an element is there more often than its commands can explain",
    Kind.REORDERED: "an element is present, but after one of the same producer that was written later",
    Kind.WRONG_VALUE: (
        "exactly this position differs, its neighbours are in place, and what stands there is expected nowhere"
    ),
    Kind.PHANTOM: "an element, or a key, that was never sent or only by failed commands",
    Kind.MISPLACED: "a key stands on a node that does not own its slot",
    Kind.SHRANK: "a sample of the node holds less than an earlier one of the same replication history",
}


@dataclass(frozen=True)
class First:
    """Where an anomaly begins: the position in the node's own list (past its end: its length), and both sides there.

    expected and found are shown as text ("4711"; bytes that are not UTF-8 as \\xNN); None is nothing.
    """

    index: int | None
    expected: str | None
    found: str | None


@dataclass(frozen=True)
class Anomaly:
    """One broken guarantee in one place. at_least: the count is a lower bound (too many gaps to keep them all);
    budgeted: the scenario allows for it.
    """

    kind: Kind
    node: str
    db: int
    key: str
    count: int
    first: First
    message: str
    at_least: bool = False
    budgeted: bool = False


@dataclass(frozen=True)
class Verdict:
    """The judgement of a run.

    unmet: expectations that were measured and not met; not_checked, not_applied: what this runtime declares that it
    can't measure or disturb; doubts: why the answer is (at least in part) unknown; notes: what a reader should know.
    """

    outcome: Outcome
    as_expected: bool
    anomalies: tuple[Anomaly, ...] = ()
    unexpected: tuple[Anomaly, ...] = ()
    unmet: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """A doubt outweighs what was not met, which may come of the same trouble; an anomaly that was seen stays."""
        if self.unexpected or (self.unmet and not self.doubts):
            return ExitCode.NOT_AS_EXPECTED
        if not self.as_expected:
            return ExitCode.UNKNOWN
        return ExitCode.AS_EXPECTED
