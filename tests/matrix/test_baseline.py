"""What counts as news since an earlier matrix, and which files are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import UsageError
from harness.matrix.baseline import Selection, changes
from harness.matrix.cells import Anomaly, Outcome
from harness.report.matrix_json import SCHEMA, as_json, read, write
from harness.report.matrix_terminal import changes_lines
from tests.matrix.made import NEW, OLD, cell, expected, matrix, usual

A, B = OLD.name, NEW.name
SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "matrix.schema.json"


def test_a_matrix_survives_its_file(tmp_path: Path) -> None:
    write(usual(), tmp_path / "m.json")
    assert read(tmp_path / "m.json") == usual()


def test_the_schema_describes_it_and_stands_in_the_documents() -> None:
    jsonschema.validate(as_json(usual()), SCHEMA)
    assert json.loads(SCHEMA_FILE.read_text()) == SCHEMA
    cells: Any = as_json(usual())["cells"]
    assert {"primary", "replica", "feature", "sync", "outcome", "expected", "reason", "seconds", "replay"} <= set(
        cells[0]
    )


def test_a_changed_outcome_and_a_cell_not_taken_are_news() -> None:
    before = matrix(cell(A, A), cell(A, B), cell(B, B))
    now = matrix(cell(A, A), cell(A, B, outcome=Outcome.REFUSED, reason="why"), cell(B, A))
    found = changes(before, now, Selection())
    assert found.any
    assert list(changes_lines(found)) == [
        f"{A} -> {B}, list, full_disk: ok -> refused: why",
        f"{B} -> {B}, list, full_disk: was ok, not taken this time",
    ]
    assert [new.key.replica for new in found.new] == [A]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(engines=frozenset({A})),
        Selection(pairs=frozenset({(A, A)})),
        Selection(features=frozenset({"hash"})),
        Selection(syncs=frozenset({"stream"})),
    ],
)
def test_what_was_not_asked_for_is_not_missed(selection: Selection) -> None:
    assert not changes(matrix(cell(A, A), cell(B, B)), matrix(cell(A, A)), selection).any


def test_what_a_rule_leaves_to_chance_is_no_news() -> None:
    either = replace(expected(Outcome.CHANGED), also=(Outcome.OK,))
    before, now = (cell(A, A, outcome=outcome, expected=either) for outcome in (Outcome.OK, Outcome.CHANGED))
    assert not changes(matrix(before), matrix(now), Selection()).any
    assert now.as_expected
    assert changes(matrix(before), matrix(replace(now, outcome=Outcome.LOST)), Selection()).any


def test_another_answer_with_the_same_outcome_is_news() -> None:
    lost = cell(A, A, outcome=Outcome.LOST, anomalies=(Anomaly("lost", "one"),))
    more = replace(lost, anomalies=(Anomaly("lost", "two"), Anomaly("missing_key", "k")))
    assert not changes(matrix(lost), matrix(replace(lost, anomalies=lost.anomalies * 2)), Selection()).any
    (line,) = changes_lines(changes(matrix(lost), matrix(more), Selection()))
    assert line.startswith(f"{A} -> {A}, list, full_disk: lost (lost) -> lost (lost, missing_key): ")
    kept = cell(A, B, outcome=Outcome.REFUSED, old_data=True)
    (line,) = changes_lines(changes(matrix(kept), matrix(replace(kept, old_data=False)), Selection()))
    assert "refused (its own data kept) -> refused (its own data thrown away)" in line
    assert not changes(matrix(kept), matrix(replace(kept, old_data=None)), Selection()).any


def test_nothing_changed() -> None:
    assert not changes(usual(), usual(), Selection()).any


def spoil(change: Callable[[dict[str, Any]], object]) -> str:
    told: Any = as_json(usual())
    change(told)
    return json.dumps(told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[]", "version 'list'; this harness reads matrices of version 1"),
        (spoil(lambda told: told.update(version=9)), "version 9; this harness"),
        (
            spoil(lambda told: told["cells"].append(told["cells"][0])),
            "stands there twice; one matrix has",
        ),
        (spoil(lambda told: told["cells"][0].pop("sync")), "no matrix .there is no 'sync'."),
        (spoil(lambda told: told["cells"][0].update(outcome="fine")), "no matrix .a value in it is of another kind"),
        (spoil(lambda told: told["cells"][2].update(evidence=[99])), "no matrix .a value in it is of another kind"),
    ],
)
def test_files_that_are_no_baseline(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=f"b.json: .*{message}") as caught:
        read(file)
    assert "\n" not in str(caught.value)


def test_a_baseline_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json: No such file"):
        read(tmp_path / "nowhere.json")
