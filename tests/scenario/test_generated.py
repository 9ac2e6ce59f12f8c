"""What is generated from the models: the JSON Schema and the page of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness.scenario.document import EXAMPLE, document
from harness.scenario.loader import find
from harness.scenario.model import Fault
from harness.scenario.plain import plain
from harness.scenario.schema import schema
from harness.scenario.toxics import FIGURES, TOXICS
from tests.scenario.conftest import GOOD, Load

REPOSITORY = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(schema())


def is_right(data: Any) -> bool:
    right: bool = VALIDATOR.is_valid(data)
    return right


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["title"] == "replication-harness scenario"
    assert "$id" not in schema()


@pytest.mark.parametrize("path", find([REPOSITORY / "scenarios"]), ids=lambda path: path.stem)
def test_this_repositorys_scenarios_follow_it(path: Path, load_text: Load) -> None:
    text = path.read_text(encoding="utf-8")
    VALIDATOR.validate(yaml.safe_load(text))
    VALIDATOR.validate(plain(load_text(text).scenario))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("values: 100", 'values: "${N:-100}"'),
        ("{port: 6379}", '{port: "${P}", role: "${R}"}'),
        ("values: 100", "values: 100, batch: {sizes: [1, 2]}"),
    ],
)
def test_what_it_takes(was: str, becomes: str) -> None:
    assert is_right(yaml.safe_load(GOOD.replace(was, becomes)))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("values: 100", "values: -1"),
        ("values: 100", 'values: "100"'),
        ("values: 100", "valus: 100"),
        ("{port: 6379}", "{port: 70000}"),
        ("version: 1", "version: 2"),
        ("title: One replica\n", ""),
    ],
)
def test_what_it_refuses(was: str, becomes: str) -> None:
    assert not is_right(yaml.safe_load(GOOD.replace(was, becomes)))


def test_the_page_of_keys_is_up_to_date() -> None:
    written = (REPOSITORY / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m harness.scenario.document > docs/scenarios.md"


def test_the_example_is_right(load_text: Load) -> None:
    loaded = load_text(EXAMPLE)
    assert loaded.topology.nodes["a"].password == "secret"
    assert loaded.topology.nodes["b"].port == 10878
    VALIDATOR.validate(yaml.safe_load(EXAMPLE))


def test_every_toxic_and_its_figures_are_in_the_table() -> None:
    properties = Fault.model_json_schema()["properties"]
    assert list(TOXICS) == next(branch["enum"] for branch in properties["toxic"]["anyOf"] if "enum" in branch)
    assert set(FIGURES) == {
        name for name in properties if name.endswith(("_ms", "_bytes", "_us", "_per_s", "_percent"))
    }
