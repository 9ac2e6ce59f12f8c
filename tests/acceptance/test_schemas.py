"""What commands print fits the schemas that are published."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from harness.cli import run_command_line
from harness.compare.json_schema import SCHEMA

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("what", ["scenario", "plan", "compare", "accept"])
def test_every_schema_can_be_had(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["schema", "--of", what]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capfd.readouterr().out))


def test_the_schema_of_comparisons_in_the_documents_is_the_one_in_use() -> None:
    assert json.loads((DOCS / "compare.schema.json").read_text()) == SCHEMA
