"""Whatever a file holds, it gives a scenario or a list of mistakes, and never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import Mistake, ScenarioError
from harness.scenario.loader import load
from tests.scenario.conftest import GOOD

some = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
WORDS = [
    "version", "kind", "title", "topology", "nodes", "a", "b", "replica_of", "port", "password", "profile",
    "config", "workload", "key", "values", "batch", "shape", "size", "sizes", "faults", "at", "until", "link",
    "toxic", "latency_ms", "direction", "stray_write", "node", "element", "expect", "list", "length",
    "newest_first", "full_syncs", "partial_syncs", "max_lag_ms", "unknown", "anomalies", "property", "examples",
    "min", "max", "tags", "preload", "client->a", "a->b", "20%", "1s", "written", "exact", "lost", "phantom",
    "cut", "latency", "single", "variadic", "${X}", "${X:-5}", "$$", "<<", "<one>", "[key]",
]  # fmt: skip
SECTIONS = [*WORDS[:8], "topology", "workload", "faults", "expect", "property", "preload", "tags"]
PLACES = [
    "topology.nodes.a", "topology.nodes.b.port", "workload.batch", "faults.0", "faults.0.at",
    "faults.0.stray_write", "expect.newest_first", "expect.full_syncs", "property.values", "expect.anomalies",
]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS) | st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
JARGON = (
    "Input should",
    "Value error",
    "validation",
    "pydantic",
    "Traceback",
    "<several>",
    "object at 0x",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: Any) -> Path:
    made: Path = tmp_path_factory.mktemp("any") / "s.yaml"
    return made


def mistakes_in(path: Path, content: bytes, overrides: tuple[str, ...]) -> tuple[Mistake, ...] | None:
    """None where it gives a scenario; anything but that and a ScenarioError fails the test."""
    path.write_bytes(content)
    try:
        load(path, overrides, {})
    except ScenarioError as error:
        return error.mistakes
    return None


def check(path: Path, content: bytes, overrides: tuple[str, ...] = ()) -> None:
    mistakes = mistakes_in(path, content, overrides)
    assert mistakes != ()
    for mistake in mistakes or ():
        assert "\n" not in str(mistake)
        assert not [word for word in JARGON if word in mistake.message]


@some
@given(st.binary(max_size=200))
def test_any_bytes(path: Path, content: bytes) -> None:
    check(path, content)


@some
@given(st.text(st.sampled_from("abk:-[]{},'\"!&*%#|>?@`$\n\t 019.~<é\0"), max_size=60))
def test_any_text_of_yamls_own_characters(path: Path, text: str) -> None:
    check(path, text.encode())


@some
@given(TREES)
def test_any_tree(path: Path, tree: object) -> None:
    check(path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace"))


@some
@given(st.sampled_from(SECTIONS), TREES)
def test_any_section_of_a_scenario_that_is_right(path: Path, name: str, tree: object) -> None:
    data = yaml.safe_load(GOOD) | {name: tree}
    check(path, yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "replace"))


@some
@given(st.data())
def test_any_value_inside_a_scenario_that_is_right(path: Path, data: st.DataObject) -> None:
    place, tree = data.draw(st.sampled_from(PLACES)), data.draw(TREES)
    value = yaml.safe_dump(tree, default_flow_style=True, allow_unicode=True)
    text = GOOD + "faults:\n  - {at: 20%, until: 40%, link: a->b, toxic: latency, latency_ms: 1}\n"
    check(path, text.encode(), (f"{place}={value}",))


@some
@given(st.text(max_size=30), st.sampled_from(WORDS), st.text(max_size=10))
def test_any_option(path: Path, text: str, word: str, value: str) -> None:
    check(path, GOOD.encode(), (text, f"{word}.{text}={value}", f"workload.{word}={value}"))
