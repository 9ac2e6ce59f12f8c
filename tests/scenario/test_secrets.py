"""A password reaches the topology, and neither a message, a repr nor a stored file."""

# ruff: noqa: E501 - each case stands on a line of its own

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from harness.scenario.loader import LoadedScenario
from harness.scenario.model import NodeSpec, Scenario
from harness.scenario.plain import as_yaml, plain
from tests.scenario.conftest import GOOD, Load, Mistakes

SECRET = "hunter2"


def passwords(loaded: LoadedScenario) -> dict[str, str | None]:
    return {name: node.password for name, node in loaded.topology.nodes.items()}


def stored_passwords(loaded: LoadedScenario) -> dict[str, str | None]:
    return {name: node.get("password") for name, node in loaded.stored()["topology"]["nodes"].items()}


def with_passwords(a: str, b: str) -> str:
    return GOOD.replace("{port: 6379}", f"{{password: {a}}}").replace(
        "{replica_of: a}", f"{{replica_of: a, password: {b}}}"
    )


@pytest.mark.parametrize(
    ("a", "b", "found", "stored"),
    [
        ('"${P}"', '"${P}"', {"a": SECRET, "b": SECRET}, {"a": "${P}", "b": "${P}"}),
        ('"${Q:-hunter2}"', "~", {"a": SECRET, "b": None}, {"a": "${Q}", "b": None}),
        ("hunter2", '"x${P}"', {"a": SECRET, "b": "xhunter2"}, {"a": "${HARNESS_PASSWORD_A}", "b": "${HARNESS_PASSWORD_B}"}),
        ('"$${P}"', "'$'", {"a": "${P}", "b": "$"}, {"a": "${HARNESS_PASSWORD_A}", "b": "${HARNESS_PASSWORD_B}"}),
        ('"${Q:-}"', "''", {"a": None, "b": None}, {"a": None, "b": None}),
        (
            "hunter2",
            '"${HARNESS_PASSWORD_A:-x}"',
            {"a": SECRET, "b": "x"},
            {"a": "${HARNESS_PASSWORD_A_2}", "b": "${HARNESS_PASSWORD_A}"},
        ),
    ],
    ids=["both", "default", "written", "escaped", "empty", "taken"],
)  # fmt: skip
def test_what_is_kept(
    load_text: Load, a: str, b: str, found: dict[str, str | None], stored: dict[str, str | None]
) -> None:
    loaded = load_text(with_passwords(a, b), (), {"P": SECRET})
    assert passwords(loaded) == found
    assert stored_passwords(loaded) == stored
    assert SECRET not in repr(loaded)
    assert SECRET not in as_yaml(loaded.stored())
    assert SECRET not in loaded.scenario.model_dump_json()


def test_a_stored_file_loads_again(load_text: Load) -> None:
    loaded = load_text(with_passwords("hunter2", '"${P}"'), (), {"P": SECRET})
    again = load_text(as_yaml(loaded.stored()), (), {"P": "one", "HARNESS_PASSWORD_A": "two"})
    assert again.scenario == loaded.scenario
    assert passwords(again) == {"a": "two", "b": "one"}


def test_a_stored_file_needs_its_passwords_or_throwaway_ones(load_text: Load) -> None:
    stored = as_yaml(load_text(with_passwords("hunter2", '"${P}"'), (), {"P": SECRET}).stored())
    with pytest.raises(ScenarioError, match="the environment variable HARNESS_PASSWORD_A is not set"):
        load_text(stored)
    made_up = passwords(load_text(stored, (), {"P": "one"}, throwaway_passwords=True))
    assert made_up["b"] == "one"
    assert len(str(made_up["a"])) == 32


def test_a_throwaway_password_is_the_same_for_everybody_who_names_it(load_text: Load) -> None:
    made_up = passwords(load_text(with_passwords('"${P}"', '"${P}"'), throwaway_passwords=True))
    assert made_up["a"] == made_up["b"]


def test_only_passwords_are_made_up(load_text: Load) -> None:
    with pytest.raises(ScenarioError, match="title: the environment variable T is not set"):
        load_text(GOOD.replace("One replica", "${T}"), throwaway_passwords=True)


def test_a_scenario_made_by_hand_is_stored_without_its_password() -> None:
    nodes = {"a": {"password": SECRET}, "b": NodeSpec(replica_of="a")}
    made = Scenario.model_validate(
        {"version": 1, "title": "t", "topology": {"nodes": nodes}, "workload": {"key": "k", "values": 1}}
    )
    assert plain(made)["topology"]["nodes"]["a"]["password"] == "${HARNESS_PASSWORD_A}"
    assert SECRET not in repr(made)


@pytest.mark.parametrize(
    "node",
    [
        "{password: 471147114711}",
        "{password: [hunter2]}",
        "{password: {x: hunter2}}",
        '{password: "hunter2\\n"}',
        '{password: "hunter2\\0"}',
        "{password: *hunter2}",
        "{password: !hunter2}",
        "{password: !!hunter2 x}",
        "{pasword: hunter2}",
        "{password: hunter2, password: hunter2x}",
        "{config: {requirepass: hunter2}}",
        "{config: {masterauth: hunter2}}",
        '{password: "${hunter2"}',
        '{password: "${Q:-hunter2${P}}"}',
        "{port: 70000, password: hunter2}",
        "{port: '${PASSWORD}'}",
        "{replica_of: '${MY_SECRET} x'}",
        f"{{password: {SECRET * 100}}}",
        "hunter2: x",
    ],
)
def test_no_message_shows_a_password(mistakes: Mistakes, node: str) -> None:
    text = GOOD.replace("{port: 6379}", node)
    found = mistakes(
        text, ["topology.nodes.b.password=[hunter2"], {"P": SECRET, "PASSWORD": SECRET, "MY_SECRET": SECRET}
    )
    assert len(found) >= 2
    assert [line for line in found if SECRET in line.replace("nodes.a.hunter2", "") or "4711" in line] == []


def test_a_hidden_value_says_where_it_came_from(mistakes: Mistakes) -> None:
    text = GOOD.replace("port: 6379", 'port: "${PASSWORD}"')
    assert mistakes(text, (), {"PASSWORD": SECRET}) == [
        "s.yaml:5:15: topology.nodes.a.port: expected a whole number from 1 to 65535, not <hidden> (from ${PASSWORD})"
    ]
