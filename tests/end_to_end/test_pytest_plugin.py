"""The plugin from outside: in another repository, beside other plugins, with real servers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import harness.api
import harness.property_run
import harness.runner  # noqa: F401 - loaded here, or each inner run would load compiled modules once more, which fails

PAIR = """\
version: 1
title: A pair
topology:
  nodes:
    a: {port: 6379, password: "${UNSET_PASSWORD:-s3cret}"}
    b: {replica_of: a, port: 6380}
workload: {key: "numbers:list", values: 2000, batch: {shape: variadic, size: 100}}
"""
PROPERTY = "property: {values: {min: 0, max: 20}, examples: 3}\n"
WRONG = "expect: {anomalies: [lost]}\n"  # a whole list is not as this expects
STRAY = PAIR.replace("port: 6380", 'port: 6380, config: {replica-read-only: "no"}') + (
    'faults:\n  - {at: 50%, stray_write: {node: b, key: "numbers:list", element: stray}}\n'
)


@pytest.fixture
def repository(pytester: pytest.Pytester) -> pytest.Pytester:
    """Somebody's repository: an ini file and nothing else, as yet."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider --strict-markers\nfilterwarnings = error\n")
    return pytester


def write(repository: pytest.Pytester, name: str, text: str) -> Path:
    path = repository.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_collected_as_written_and_as_property(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR + PROPERTY)
    write(repository, "scenarios/deep/one.yml", PAIR)
    result = repository.runpytest("--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "scenarios/deep/one.yml::written",
        "scenarios/pair.yaml::written",
        "scenarios/pair.yaml::property",
    ]


def test_scenarios_pass_and_are_summed_up(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR)
    result = repository.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "scenarios: runtime auto, fault proxy auto*",
            "engines: *",
            "*= scenarios =*",
            "ok  pair * valid * yes * 2,000 *",
            "1 scenario: 1 as expected",
        ]
    )
    assert not (repository.path / "runs").exists()


def test_a_failure_shows_the_anomaly_and_the_way_back_and_no_traceback(repository: pytest.Pytester) -> None:
    write(repository, "stray.scenario.yaml", STRAY)
    result = repository.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "engines: *",
            "* stray::written *",
            "INVALID, not as expected: phantom 1 of numbers:list on b",
            "phantom * b * numbers:list * 1 * stray",
            "phantom: an element, or a key, that was never sent *",
            "run directory*runs/stray/*",
            "replay*harness replay runs/stray/*",
            "FAILED stray.scenario.yaml::written - *INVALID, not as expected: *",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_expectation_that_is_not_met_fails(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/wrong.yaml", PAIR + WRONG)
    result = repository.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["VALID, not as expected: *lost*", "FAILED scenarios/wrong.yaml::written - *"])


def test_only_what_is_ours_is_collected(repository: pytest.Pytester) -> None:
    write(repository, "docker-compose.yaml", "version: '3'\nservices: {}\n")
    write(repository, "scenarios/compose.yaml", "version: '3'\nservices: {}\n")
    write(repository, "scenarios/values.yaml", "title: a chart\nreplicas: 3\n")
    write(repository, "config/pair.yaml", PAIR)
    write(repository, "config/pair.scenario.yml", PAIR)
    result = repository.runpytest("--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == ["config/pair.scenario.yml::written"]


def test_every_yaml_file_of_a_folder_that_the_ini_names_is_ours(repository: pytest.Pytester) -> None:
    repository.makeini("[pytest]\nharness_paths =\n    checks\n    more\n")
    write(repository, "checks/pair.yaml", PAIR)
    write(repository, "checks/docker-compose.yaml", "services: {}\n")
    write(repository, "more/typo.yaml", "versoin: 1\n")
    write(repository, "scenarios/pair.yaml", PAIR)
    result = repository.runpytest("--collect-only", "-q")
    result.stdout.fnmatch_lines(["checks/pair.yaml::written", "more/typo.yaml:1:1: version: *"])
    result.stdout.no_fnmatch_line("*scenarios/pair*")
    result.stdout.no_fnmatch_line("*docker-compose*")


def test_a_file_that_is_named_is_loaded_whatever_it_is(repository: pytest.Pytester) -> None:
    write(repository, "docker-compose.yaml", "version: '3'\nservices: {}\n")
    result = repository.runpytest("docker-compose.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["docker-compose.yaml:1:*version*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*ScenarioError*")


def test_a_mistake_is_told_by_line_and_key_without_a_traceback(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/typo.yaml", PAIR.replace("workload:", "worklaod:"))
    result = repository.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["scenarios/typo.yaml:7:1: worklaod: *did you mean 'workload'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_one_part_can_be_named(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR + PROPERTY)
    result = repository.runpytest("scenarios/pair.yaml::written")
    result.assert_outcomes(passed=1)


def test_the_file_name_selects(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/latency_on_link.yaml", PAIR)
    write(repository, "scenarios/other.yaml", PAIR)
    result = repository.runpytest("-k", "latency", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == ["scenarios/latency_on_link.yaml::written"]


def test_tags_are_markers_under_strict_markers(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/one.yaml", PAIR + "tags: [nightly]\n" + PROPERTY)
    write(repository, "scenarios/two.yaml", PAIR)
    tagged = repository.runpytest("-m", "nightly and written", "--collect-only", "-q")
    assert [line for line in tagged.outlines if "::" in line] == ["scenarios/one.yaml::written"]
    drawn = repository.runpytest("-m", "property", "--collect-only", "-q")
    assert [line for line in drawn.outlines if "::" in line] == ["scenarios/one.yaml::property"]


OTHER = """\
def pytest_addoption(parser):
    parser.addoption("--engine", default="diesel")
    parser.addoption("--examples", action="store_true")
"""
READS_THEM = """\
def test_it(pytestconfig):
    assert pytestconfig.getoption("--engine") == "steam"
    assert pytestconfig.getoption("--examples") is True
    assert pytestconfig.option.engine == "steam"
    assert pytestconfig.option.harness_engine is None
    assert pytestconfig.option.harness_runtime == "local"
"""


@pytest.mark.parametrize("how", ["conftest", "plugin", "deep conftest"])
def test_somebody_elses_options_of_the_same_name_are_theirs(repository: pytest.Pytester, how: str) -> None:
    folder = "tests/deep" if how == "deep conftest" else "."
    write(repository, f"{folder}/test_it.py", READS_THEM)
    write(repository, f"{folder}/{'other' if how == 'plugin' else 'conftest'}.py", OTHER)
    arguments = ["-p", "other"] if how == "plugin" else []
    result = repository.runpytest_subprocess(*arguments, folder, "--engine", "steam", "--examples", "--runtime=local")
    result.assert_outcomes(passed=1)


def test_a_conftest_found_late_may_add_the_same_option(repository: pytest.Pytester) -> None:
    write(repository, "a/b/c/conftest.py", OTHER)
    write(repository, "a/b/c/test_it.py", "def test_it(): pass\n")
    repository.runpytest_subprocess("--runtime", "local").assert_outcomes(passed=1)


def test_short_options_reach_the_run(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR)
    result = repository.runpytest(
        "--engine", "valkey-9.1.2", "--runtime", "local", "--harness-set", "workload.values=7", "-rP"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["a *valkey-9.1.2*", "b *valkey-9.1.2* 7 *7 6 5 4 3*", "ok  pair * 7 *"])


def test_what_the_machine_lacks_is_an_error_in_setup(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR)
    result = repository.runpytest("--engine", "redis-1.2.3", "--junitxml=out.xml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of*", "engine redis-1.2.3 is not on this machine; at hand: *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    suite = ET.parse(repository.path / "out.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")


SKIPS = """\
import harness.runner
from harness.report.facts import RunFacts
from harness.report.summary import summarize_skipped

def skip(loaded, options, *, part="written", progress=None):
    report = summarize_skipped(loaded, "no pause here", RunFacts("r1", "local", part))
    return harness.runner.Result(loaded, part, None, "no pause here", report, None)

harness.runner.run = skip
"""


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_run_that_skips_everything_has_shown_nothing(repository: pytest.Pytester, workers: list[str]) -> None:
    write(repository, "conftest.py", SKIPS)
    write(repository, "scenarios/pair.yaml", PAIR)
    result = repository.runpytest_subprocess("-rs", *workers)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] scenarios/pair.yaml:*: no pause here"])
    assert result.ret == 5
    write(repository, "test_other.py", "def test_other(): pass\n")
    assert repository.runpytest_subprocess(*workers).ret == 0


def test_junit_carries_message_and_properties(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/stray.yaml", STRAY)
    repository.runpytest("--junitxml=out.xml", "--hypothesis-seed=7")
    case = ET.parse(repository.path / "out.xml").getroot()[0][0]
    assert (case.get("name"), case.get("classname")) == ("written", "scenarios.stray.yaml")
    properties = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
    assert properties["verdict"] == "invalid"
    assert properties["anomalies"] == "phantom"
    assert properties["seed"] == "7"
    assert properties["runtime"] == "local"
    assert str(properties["replay"]).startswith("harness replay runs/stray/")
    failure = case.find("failure")
    assert failure is not None
    assert "INVALID, not as expected: phantom 1" in str(failure.get("message"))


def test_run_directories_go_where_they_are_told(repository: pytest.Pytester) -> None:
    write(repository, "scenarios/pair.yaml", PAIR)
    repository.runpytest("--harness-out=kept", "--harness-keep").assert_outcomes(passed=1)
    (report,) = (repository.path / "kept").rglob("report.json")
    assert '"verdict": "valid"' in report.read_text()
    for path in report.parent.rglob("*"):
        assert path.is_dir() or "s3cret" not in path.read_text().replace("${UNSET_PASSWORD:-s3cret}", "")


def test_workers_share_the_scenarios(repository: pytest.Pytester) -> None:
    for name in ("one", "two", "three"):
        write(repository, f"scenarios/{name}.yaml", PAIR)
    write(repository, "scenarios/wrong.yaml", PAIR + WRONG)
    result = repository.runpytest_subprocess("-n", "2", "--engine", "valkey-9.1.2")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "VALID, not as expected*",
            "*= scenarios =*",
            "4 scenarios: 3 as expected, 1 not as expected",
            "FAILED *wrong.yaml*",
        ]
    )


def test_a_python_test_gets_a_deployment(repository: pytest.Pytester) -> None:
    write(repository, "tests/pair.yaml", PAIR)
    write(
        repository,
        "tests/test_mine.py",
        "def test_mine(harness_deploy):\n"
        "    deployment = harness_deploy('pair.yaml')\n"
        "    deployment.client('a').set('k', 'v')\n"
        "    deployment.client('a').wait(1, 5000)\n"
        "    assert deployment.client('b').get('k') == b'v'\n",
    )
    repository.runpytest().assert_outcomes(passed=1)


def test_elsewhere_the_plugin_shows_and_imports_nothing(repository: pytest.Pytester) -> None:
    write(
        repository,
        "test_it.py",
        "import sys\n"
        "def test_it():\n"
        "    heavy = {'yaml', 'pydantic', 'redis', 'tabulate', 'rich', 'click', 'harness.errors', 'harness.options'}\n"
        "    assert not heavy & set(sys.modules)\n",
    )
    result = repository.runpytest_subprocess("-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*engines:*")


def test_options_about_runtimes_are_checked_at_the_start(
    repository: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository, "scenarios/pair.yaml", PAIR)
    bogus = repository.runpytest_subprocess("--runtime", "bogus")
    assert bogus.ret == 4
    bogus.stderr.fnmatch_lines(["*--harness-runtime*invalid choice: 'bogus'*"])
    idle = repository.runpytest_subprocess("--runtime", "local", "--image", "redis-7.0.15=x")
    assert idle.ret == 4
    idle.stderr.fnmatch_lines(["*--image redis-7.0.15: only containers run images*"])
    monkeypatch.setenv("DOCKER_HOST", f"unix://{repository.path}/none")
    without = repository.runpytest_subprocess("--runtime", "container")
    without.assert_outcomes(errors=1)
    text = without.stdout.str()
    assert "During handling of the above exception" not in text
    assert text.count("no Docker daemon listens on") <= 2  # once, and in pytest's own short summary
