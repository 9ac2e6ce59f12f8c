"""What the documents say of an acceptance and a comparison is what the code does."""

from __future__ import annotations

import json
from pathlib import Path

from harness.acceptance.model import SCHEMA, Acceptance, Check, Grade
from harness.acceptance.report import html_page, markdown
from harness.compare.model import KINDS
from harness.errors import ExitCode

DOCS = Path(__file__).parents[2] / "docs"


def test_the_schema_in_the_documents_is_the_one_in_use() -> None:
    assert json.loads((DOCS / "acceptance.schema.json").read_text()) == SCHEMA


def test_every_kind_of_difference_is_documented() -> None:
    text = (DOCS / "compare.md").read_text()
    assert [kind for kind, what in KINDS.items() if f"| {kind} | {what} |" not in text] == []


def made(*grades: tuple[Grade, bool]) -> Acceptance:
    checks = [Check(f"c{number}", grade, "<b>|", "do", required) for number, (grade, required) in enumerate(grades)]
    return Acceptance("redis://a:1", "redis://b:2", tuple(checks))


def test_a_fail_beats_everything_and_only_required_gaps_make_it_unknown() -> None:
    assert made((Grade.PASS, True), (Grade.WARN, False), (Grade.NOT_POSSIBLE, False)).verdict == "go"
    assert made((Grade.PASS, True), (Grade.NOT_POSSIBLE, True)).verdict == "unknown"
    assert made((Grade.NOT_POSSIBLE, True), (Grade.FAIL, False)).verdict == "no-go"
    assert made((Grade.NOT_POSSIBLE, True)).exit_code == ExitCode.UNKNOWN


def test_what_servers_say_can_not_break_a_report() -> None:
    report = made((Grade.WARN, False))
    assert "| warn | c0 | &lt;b&gt;\\| | do |" in markdown(report)
    assert "<b>" not in html_page(report)
