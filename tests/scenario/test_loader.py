"""Files and folders, names, default ports, and several files at once."""

# ruff: noqa: E501 - messages stand whole, each on a line of its own

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode, ScenarioError, UsageError
from harness.scenario.loader import find, load, load_all, name_of
from harness.topology import Link
from tests.scenario.conftest import GOOD, Load, Mistakes

REPOSITORY = Path(__file__).parents[2]


def test_a_scenario_is_loaded(load_text: Load) -> None:
    loaded = load_text(GOOD)
    assert loaded.name == "s"
    assert loaded.scenario.title == "One replica"
    assert loaded.scenario.workloads()[0].values == 100
    assert loaded.topology.replication_links == (Link("a", "b"),)
    assert loaded.topology.nodes["b"].port == 6380


def test_this_repositorys_scenarios_are_right() -> None:
    loaded = load_all(find([REPOSITORY / "scenarios"]), (), {})
    assert "one_replica/list_append" in [scenario.name for scenario in loaded]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/p/scenarios/one_replica/list_append.yaml", "one_replica/list_append"),
        ("/p/scenarios/x.yml", "x"),
        ("/scenarios/old/scenarios/new/x.yaml", "new/x"),
        ("/p/tests/slow_link.scenario.yaml", "slow_link"),
        ("/p/x.yaml", "x"),
        ("/p/scenarios", "scenarios"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert name_of(Path(path)) == name


def test_a_folder_stands_for_the_yaml_files_below_it(tmp_path: Path) -> None:
    for name in ("b/two.yaml", "b/one.yml", "a/three.yaml", "a/notes.md", "four.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    named = tmp_path / "a/notes.md"
    assert [str(path.relative_to(tmp_path)) for path in find([tmp_path / "b", named, tmp_path])] == [
        "b/one.yml",
        "b/two.yaml",
        "a/notes.md",
        "a/three.yaml",
        "four.yaml",
    ]


def test_a_folder_without_scenarios(tmp_path: Path) -> None:
    assert find([tmp_path]) == []


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone: no such file or folder$"):
        find([tmp_path / "gone"])


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "right.yaml").write_text(GOOD)
    (tmp_path / "one.yaml").write_text(GOOD.replace("title", "titel"))
    (tmp_path / "two.yaml").write_text("")
    with pytest.raises(ScenarioError) as caught:
        load_all(find([tmp_path]), (), {})
    assert str(caught.value).replace(f"{tmp_path}/", "").split("\n") == [
        "one.yaml:1:1: title: this key is missing: one line: what is shown",
        "one.yaml:2:1: titel: unknown key; did you mean 'title'?",
        "two.yaml:1:1: the file is empty; a scenario or plan begins with version: 1",
    ]
    assert caught.value.exit_code is ExitCode.BAD_INPUT


def test_a_mistake_in_an_option_is_told_once(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(ScenarioError) as caught:
        load_all(find([tmp_path]), ["workload.values=x"], {})
    assert len(caught.value.mistakes) == 1


@pytest.mark.parametrize(
    ("nodes", "ports"),
    [
        ("a: {}, b: {replica_of: a}, c: {replica_of: a}", {"a": 6379, "b": 6380, "c": 6381}),
        ("a: {}, b: {replica_of: a, port: 6379}, c: {replica_of: a}", {"a": 6380, "b": 6379, "c": 6381}),
        ("a: {port: 7000}, b: {replica_of: a}", {"a": 7000, "b": 6379}),
        ("a: {}, b: {replica_of: a, profile: redis-enterprise}", {"a": 6379, "b": 10878}),
        (
            "a: {port: 10878}, b: {replica_of: a, profile: redis-enterprise}, c: {replica_of: a, profile: redis-enterprise}",
            {"a": 10878, "b": 10879, "c": 10880},
        ),
    ],
)
def test_ports_that_are_not_written(load_text: Load, nodes: str, ports: dict[str, int]) -> None:
    text = GOOD[: GOOD.index("topology")] + f"topology: {{nodes: {{{nodes}}}}}\nworkload: {{key: k, values: 1}}\n"
    loaded = load_text(text)
    assert {name: node.port for name, node in loaded.topology.nodes.items()} == ports
    assert {name: node.port for name, node in loaded.scenario.topology.nodes.items()} == ports


SET = GOOD + "faults:\n  - {at: 20%, until: 40%, link: a->b, toxic: latency, latency_ms: 1}\n"


def test_values_are_changed_before_they_are_checked(load_text: Load) -> None:
    changes = [
        "workload.values=250000",
        "workload.batch.shape=variadic",
        "faults.0.latency_ms=50",
        "expect.full_syncs.a->b=0",
    ]
    scenario = load_text(SET, changes).scenario
    assert scenario.workloads()[0].values == 250_000
    assert scenario.workloads()[0].batch.shape == "variadic"
    assert scenario.faults[0].latency_ms == 50
    assert scenario.expect.full_syncs == {"a->b": 0}


def test_a_whole_section_can_be_given(load_text: Load) -> None:
    changes = [
        "workload=[{key: x, values: 1}, {key: y, values: 2}]",
        "workload.1.values=7",
        "workload.1.batch={sizes: [1, 2]}",
    ]
    loads = load_text(SET, changes).scenario.workloads()
    assert [(load.key, load.values, load.batch.sizes) for load in loads] == [("x", 1, None), ("y", 7, (1, 2))]


def test_the_later_option_wins_and_an_empty_value_is_none(load_text: Load) -> None:
    scenario = load_text(SET + "property: {}\n", ["title=one=two", "title='3'", "property="]).scenario
    assert scenario.title == "3"
    assert scenario.property is None


def test_an_option_may_name_the_environment(load_text: Load) -> None:
    scenario = load_text(SET, ["workload.values=${N}"], {"N": "12"}).scenario
    assert scenario.workloads()[0].values == 12


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("workload.values", "--set workload.values…: expected PATH=VALUE, as in workload.values=250000"),
        ("=5", "--set =…: expected PATH=VALUE, as in workload.values=250000"),
        ("workload..values=5", "--set workload..values=…: expected PATH=VALUE, as in workload.values=250000"),
        ("workload.values=[1", "--set workload.values=…: not YAML: while parsing a flow sequence, did not find expected ',' or ']'"),
        (
            "workload.values=abc",
            "--set workload.values=…: workload.values: expected a whole number from 0 to 4000000000, not 'abc'",
        ),
        ("workload.valus=5", "--set workload.valus=…: workload.valus: unknown key; did you mean 'values'?"),
        ("wrkload.values=5", "--set wrkload.values=…: wrkload: unknown key; did you mean 'workload'?"),
        ("workload.values={x: ${N}}", "--set workload.values=…: inside { } and [ ] a reference goes in quotes, as in {values: \"${N}\"}"),
        ("workload.0.values=5", "--set workload.0.values=…: workload.0: unknown key; known here are batch, batches, db, key, kind, producers, push, read_from, scores, shards, values"),
        ("title.x=5", "--set title.x=…: title.x: title holds a single value in s.yaml"),
        ("faults.1.at=5", "--set faults.1.at=…: faults.1.at: faults has no entry 1 (the last one is faults.0) in s.yaml"),
        ("faults.at=5", "--set faults.at=…: faults.at: faults is a list, so an index must follow (faults.0), not 'at', in s.yaml"),
        ("preload.0.at=5", "--set preload.0.at=…: preload.0.at: nothing stands at preload, so there is no entry 0 in s.yaml"),
        ("faults.0.until=1%", "--set faults.0.until=…: faults.0.until: ends at 1%, which is not after its beginning, at: 20%"),
    ],
)  # fmt: skip
def test_options_that_can_not_be(mistakes: Mistakes, option: str, line: str) -> None:
    assert mistakes(SET, [option]) == [line]


def test_the_environment_is_the_process_s_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.replace("One replica", "${HARNESS_TEST_TITLE}"))
    monkeypatch.setenv("HARNESS_TEST_TITLE", "From outside")
    assert load(path).scenario.title == "From outside"


@pytest.mark.parametrize(
    ("values", "environ", "number"),
    [('"${N}"', {"N": "7"}, 7), ('"${N:-8}"', {}, 8), ('"1${N}"', {"N": "0"}, 10), ('"${N}"', {"N": "1e3"}, 1000)],
)
def test_a_number_from_the_environment(load_text: Load, values: str, environ: dict[str, str], number: int) -> None:
    loaded = load_text(GOOD.replace("values: 100", f"values: {values}"), (), environ)
    assert loaded.scenario.workloads()[0].values == number


def test_text_from_the_environment_stays_text(load_text: Load) -> None:
    text = GOOD.replace("One replica", "${T}").replace(
        "{port: 6379}", '{port: 6379, password: "${P}", config: {x: "${C}"}}'
    )
    loaded = load_text(text, (), {"T": "7", "P": "0123", "C": "010"})
    assert loaded.scenario.title == "7"
    assert loaded.topology.nodes["a"].password == "0123"
    assert loaded.topology.nodes["a"].directives == (("x", "010"),)


def test_a_moment_from_the_environment(load_text: Load) -> None:
    loaded = load_text(SET.replace("until: 40%", 'until: "${U}"'), (), {"U": "1.5"})
    assert str(loaded.scenario.faults[0].until) == "1.5s"


def test_a_reference_that_can_not_be_replaced(mistakes: Mistakes) -> None:
    text = GOOD.replace("values: 100", 'values: "${N}"').replace("One replica", '"${T"')
    assert mistakes(text) == [
        "s.yaml:2:8: title: a reference is written ${NAME} or ${NAME:-default}; a dollar sign before { is written $$",
        "s.yaml:7:41: workload.values: the environment variable N is not set; set it, or write ${N:-default}",
    ]


def test_a_wrong_value_with_an_escaped_dollar_is_still_wrong(mistakes: Mistakes) -> None:
    assert mistakes(GOOD.replace("values: 100", "values: $$5")) == [
        "s.yaml:7:41: workload.values: expected a whole number from 0 to 4000000000, not '$5'"
    ]


def test_a_wrong_value_from_the_environment(mistakes: Mistakes) -> None:
    text = GOOD.replace("values: 100", 'values: "${N}"')
    assert mistakes(text, (), {"N": "x"}) == [
        "s.yaml:7:41: workload.values: expected a whole number from 0 to 4000000000, not 'x' (from ${N})"
    ]
