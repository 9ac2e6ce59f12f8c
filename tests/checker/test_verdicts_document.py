"""docs/verdicts.md tells users what the code does: its tables are held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from harness.checker.expected import MAX_FLOATING
from harness.checker.scan import MAX_GAPS
from harness.checker.verdict import DEFINITIONS, Kind, Outcome
from harness.errors import ExitCode

DOCUMENT = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")


def table(header: str) -> dict[str, str]:
    """First column → second of the table that begins with this header."""
    rows = DOCUMENT.split(f"| {header} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = (row.strip("| ").split(" | ", 1) for row in rows)
    return {name.strip("`"): text for name, text in cells}


def test_every_anomaly_has_its_definition() -> None:
    assert table("kind | definition") == {str(kind): DEFINITIONS[kind] for kind in Kind}


def test_every_outcome_is_told() -> None:
    assert list(table("outcome | when")) == [str(outcome) for outcome in Outcome]


def test_every_exit_code_is_told() -> None:
    assert [int(code) for code in table("exit code | meaning")] == [int(code) for code in ExitCode]


def test_limits_are_the_codes() -> None:
    assert re.search(rf"too many gaps to keep them all: {MAX_GAPS:,}\)", DOCUMENT)
    assert f"More than {MAX_FLOATING:,} such" in DOCUMENT
