"""Plan files: what is read, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.errors import ScenarioError, UsageError
from harness.scenario.loader import find, load
from harness.scenario.plan_loader import LoadedPlan, load_plan
from harness.scenario.schema import plan_schema

EXAMPLES = sorted((Path(__file__).parents[2] / "scenarios" / "acceptance").glob("*.yaml"))
HEAD = "version: 1\nkind: plan\ntitle: t\n"


def plan(tmp_path: Path, text: str, environ: dict[str, str] | None = None, *options: str) -> LoadedPlan:
    file = tmp_path / "plan.yaml"
    file.write_text(HEAD + text)
    return load_plan(file, options, environ or {})


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        plan(tmp_path, text)
    return [str(each).partition("plan.yaml:")[2] for each in caught.value.mistakes]


def test_passwords_come_from_the_environment_and_are_never_shown(tmp_path: Path) -> None:
    environ = {"OLD": "s3cret", "HARNESS_ENDPOINT_TARGET_PASSWORD": "0ther"}
    loaded = plan(tmp_path, 'source: "redis://:${OLD}@a:1"\ntarget: rediss://b:2\n', environ)
    assert (loaded.endpoints["source"].password, loaded.endpoints["target"].password) == ("s3cret", "0ther")
    assert "s3cret" not in repr(loaded)
    assert plan(tmp_path, "source: redis://a\ntarget: redis://b\n", {}, "drift_s=7").plan.drift_s == 7


def test_every_mistake_is_named_with_its_place_and_no_secret(tmp_path: Path) -> None:
    text = (
        "source: redis://user:s3cret@h:99999\ntarget: redis:/x:pa55@\nprofil: azure\nprofile: azure\ndrift_s: -1\n"
        "compare: {sample: 200, key: x}\nexpect: {verdict: fine}\ndata: [{key: k}]\n"
    )
    found = mistakes(tmp_path, text)
    assert [each.split(": ")[0] + ": " + each.split(": ")[1] for each in found] == [
        "4:9: source",
        "5:9: target",
        "6:1: profil",
        "7:10: profile",
        "8:10: drift_s",
        "9:19: compare.sample",
        "9:24: compare.key",
        "10:19: expect.verdict",
        "11:7: data",
    ]
    joined = "\n".join(found)
    assert "s3cret" not in joined
    assert "pa55" not in joined
    assert "unknown key; did you mean 'profile'?" in joined
    assert "expected one of go, no-go, unknown, not 'fine'" in joined
    assert "a number above 0, at most 100, not 200" in joined


def test_nodes_of_a_topology(tmp_path: Path) -> None:
    topology = "topology: {nodes: {old: {}, new: {}, copy: {replica_of: old}}}\n"
    loaded = plan(tmp_path, f"source: old\ntarget: new\n{topology}data: [{{key: k, node: new}}]\n")
    assert loaded.topology is not None
    assert loaded.endpoints == {}
    assert mistakes(tmp_path, f"source: old\ntarget: redis://h\n{topology}data: [{{key: k, node: copy}}]\n") == [
        "5:9: target: expected a node of this plan's topology (old, new, copy), not something else",
        "7:23: data.0.node: expected one of the primaries old, new, not 'copy'",
    ]
    assert mistakes(tmp_path, "source: redis://h\ntarget: redis://h\n") == [
        "5:9: target: source and target are the same; give two endpoints"
    ]


def test_a_file_of_the_other_kind_says_which_command_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"{HEAD}source: redis://a\ntarget: redis://b\n")
    with pytest.raises(ScenarioError, match=r"kind: expected a scenario, not a plan; `harness accept` takes"):
        load(file)
    file.write_text("version: 1\nkind: plann\n")
    with pytest.raises(ScenarioError, match="kind: expected scenario or plan, not 'plann'; did you mean 'plan'"):
        load_plan(file)
    with pytest.raises(UsageError, match="no such file; a plan is a YAML file with kind: plan"):
        load_plan(tmp_path / "none.yaml")


def test_a_folder_of_scenarios_may_hold_plans(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(HEAD)
    (tmp_path / "other.yaml").write_text("version: 1\n")
    assert find([tmp_path]) == [tmp_path / "other.yaml"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(path: Path) -> None:
    load_plan(path, (), {})
    jsonschema.validate(yaml.safe_load(path.read_text()), plan_schema())
