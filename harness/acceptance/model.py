"""What an acceptance says: graded checks, one verdict, and two checklists. Values without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from harness.errors import ExitCode


class Grade(Enum):
    """NOT_POSSIBLE: this endpoint doesn't let us look; that is unknown, never passed."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_POSSIBLE = "not possible here"


@dataclass(frozen=True)
class Check:
    """One question and its answer. found: what was seen; todo: what to do about it, "" where nothing is to be done.

    required: without an answer to it nobody can say go.
    """

    name: str
    grade: Grade
    found: str
    todo: str = ""
    required: bool = False

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "grade": self.grade.value}


@dataclass(frozen=True)
class Acceptance:
    """The whole answer. figures: what was measured, by name; endpoints never hold a password."""

    source: str
    target: str
    checks: tuple[Check, ...]
    figures: dict[str, float | int | str] = field(default_factory=dict)
    cutover: tuple[str, ...] = ()
    rollback: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        return verdict_of(self.checks)

    @property
    def exit_code(self) -> ExitCode:
        codes = {"go": ExitCode.AS_EXPECTED, "no-go": ExitCode.NOT_AS_EXPECTED, "unknown": ExitCode.UNKNOWN}
        return codes[self.verdict]

    def of_grade(self, grade: Grade) -> list[Check]:
        return [check for check in self.checks if check.grade is grade]

    def as_json(self) -> dict[str, object]:
        return {
            "version": 1,
            "verdict": self.verdict,
            "exit_code": int(self.exit_code),
            "source": self.source,
            "target": self.target,
            "checks": [check.as_json() for check in self.checks],
            "figures": self.figures,
            "cutover": list(self.cutover),
            "rollback": list(self.rollback),
            "seconds": round(self.seconds, 3),
        }


def verdict_of(checks: Sequence[Check]) -> str:
    """Any fail: no-go. Else a required check that was not possible: unknown. Else go."""
    if any(check.grade is Grade.FAIL for check in checks):
        return "no-go"
    if any(check.required and check.grade is Grade.NOT_POSSIBLE for check in checks):
        return "unknown"
    return "go"


SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Result of harness accept",
    "type": "object",
    "required": ["version", "verdict", "exit_code", "source", "target", "checks", "figures", "cutover", "rollback"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 1},
        "verdict": {"enum": ["go", "no-go", "unknown"]},
        "exit_code": {"enum": [0, 1, 6]},
        "source": {"type": "string"},
        "target": {"type": "string"},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "grade", "found", "todo", "required"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "grade": {"enum": [grade.value for grade in Grade]},
                    "found": {"type": "string"},
                    "todo": {"type": "string"},
                    "required": {"type": "boolean"},
                },
            },
        },
        "figures": {"type": "object", "additionalProperties": {"type": ["number", "string"]}},
        "cutover": {"type": "array", "items": {"type": "string"}},
        "rollback": {"type": "array", "items": {"type": "string"}},
        "seconds": {"type": "number"},
    },
}
