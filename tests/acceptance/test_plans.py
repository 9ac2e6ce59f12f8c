"""Plans as users have them: `harness accept plan.yaml`, and pytest over a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from harness.acceptance.model import SCHEMA
from harness.cli import run_command_line
from harness.endpoint.address import Endpoint
from tests.compare.made import client_of, on_both
from tests.support.servers import running

PLAN = """\
version: 1
kind: plan
title: from the old one to the new one
source: redis://127.0.0.1:{source}
target: redis://127.0.0.1:{target}
measure_s: 0.1
drift_s: 0
compare: {{pause_s: 0.02}}
"""
OWN = """\
version: 1
kind: plan
title: the target lacks a value
topology: {nodes: {old: {}, new: {}}}
source: old
target: new
data: [{key: k, values: 5, node: old}, {key: k, values: 4, node: new}]
measure_s: 0.1
drift_s: 0
compare: {pause_s: 0.02}
"""


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Endpoint, Endpoint]]:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        on_both((a, b), lambda client: client.rpush("k", 1, 2, 3))
        yield a, b


def test_a_plan_of_two_endpoints(
    two: tuple[Endpoint, Endpoint], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN.format(source=two[0].port, target=two[1].port))
    assert run_command_line(["accept", str(file), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    assert report["verdict"] == "go"
    with client_of(two[1]) as client:
        client.rpop("k")
    assert run_command_line(["accept", str(file)]) == 1
    assert run_command_line(["accept", str(file), "--set", "compare.keys=none*"]) == 6
    assert run_command_line(["accept", str(file), "--canary"]) == 4
    out, err = capfd.readouterr()
    assert "UNKNOWN: no answer to comparison" in out
    assert "--canary does not go with a plan: write it into" in err
    assert run_command_line(["accept", str(file), "--runtime", "local"]) == 4
    assert run_command_line(["accept", "--source", "redis://a", "--target", "redis://b", "--runtime", "local"]) == 4
    assert run_command_line(["accept", str(file), "--markdown", "/nowhere/r.md"]) == 4
    assert run_command_line(["accept", "--source", "redis://a", "--target", "redis://b", "--drift", "nan"]) == 4
    err = capfd.readouterr().err
    assert "--runtime is for a plan that starts servers, and" in err
    assert "--runtime goes with a plan that starts servers; give one" in err
    assert "--markdown /nowhere/r.md: it can't be written: there is no folder /nowhere" in err
    assert "'nan' is not in the range" in err


def test_where_the_servers_of_a_plan_run_can_be_chosen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(OWN)
    assert run_command_line(["accept", str(file), "--runtime", "local", "--ports", "any"]) == 1
    assert run_command_line(["accept", str(file), "--runtime", "external"]) == 4
    assert "it starts servers of its own, and --runtime external starts none" in capfd.readouterr().err


def test_pytest_runs_plans_and_says_what_was_not_as_expected(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "wrong.yaml").write_text(f"{OWN}expect: {{verdict: go}}\n")
    (folder / "right.yaml").write_text(f"{OWN}expect: {{verdict: no-go, fails: [comparison], warns: [TLS]}}\n")
    (folder / "broken.yaml").write_text(f"{OWN}expect: {{verdict: went}}\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    run = subprocess.run(
        [*words, "scenarios"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=os.environ
    )
    assert "1 failed, 1 passed, 1 error" in run.stdout, run.stdout
    assert "the verdict is no-go, expected was go" in run.stdout
    assert "tail_missing" in run.stdout
    assert "broken.yaml:11:19: expect.verdict: expected one of go, no-go, unknown, not 'went'" in run.stdout
