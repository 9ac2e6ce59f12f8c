"""`import harness` as a user's own tests have it, with real servers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness

PAIR = """\
version: 1
title: A pair
topology: {nodes: {a: {port: 6379, password: s3cret}, b: {replica_of: a, profile: redis-enterprise}}}
workload: {key: "numbers:list", values: 500}
"""


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pair.yaml"
    path.write_text(PAIR)
    return path


def test_every_public_name_is_there_and_described() -> None:
    for name in harness.__all__:
        assert getattr(harness, name).__doc__
        assert name in str(harness.__doc__)
    assert set(harness.__all__) <= set(dir(harness))


def test_a_name_that_is_not_public_is_none() -> None:
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'deplyo'"):
        harness.deplyo  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, harness; assert not {'yaml', 'pydantic', 'redis', 'click', 'dataclasses'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_returns_a_typed_verdict(pair: Path) -> None:
    verdict = harness.run("pair.yaml", overrides=["workload.values=7"])
    assert isinstance(verdict, harness.Verdict)
    assert (verdict.outcome, verdict.as_expected, verdict.anomalies) == (harness.Outcome.VALID, True, ())
    assert sorted(path.name for path in pair.parent.iterdir()) == ["pair.yaml"]


def test_run_draws_a_property(pair: Path) -> None:
    with pytest.raises(harness.UsageError, match=r"pair\.yaml has no property to draw from"):
        harness.run(pair, part="property")
    pair.write_text(PAIR + "property: {values: {max: 20}, examples: 3}\n")
    assert harness.run(pair, part="property").as_expected


def test_run_raises_what_is_no_verdict(pair: Path) -> None:
    with pytest.raises(harness.SetupError, match=r"engine redis-1\.2\.3 is not on this machine"):
        harness.run(pair, options=harness.Options(engines=("redis-1.2.3",)))
    with pytest.raises(harness.UsageError, match="a scenario has the parts written and property, not 'both'"):
        harness.run(pair, part="both")


def test_load_tells_every_mistake(pair: Path) -> None:
    pair.write_text(PAIR.replace("title", "titel").replace("values: 500", "values: -1"))
    with pytest.raises(harness.ScenarioError) as told:
        harness.load(pair)
    assert {mistake.path for mistake in told.value.mistakes} >= {"titel", "workload.values"}


def test_deploy_gives_clients_of_nodes_that_follow(pair: Path) -> None:
    with harness.deploy(pair) as deployed:
        a, b = deployed.client("a"), deployed.client("b")
        a.rpush("mine", 1, 2, 3)
        assert a.wait(1, 5000) == 1
        assert b.lrange("mine", 0, -1) == [b"1", b"2", b"3"]
        assert deployed.client("a") is a
        assert deployed.endpoint("b").port == 10878
        assert deployed.endpoint("b").password is None
        assert "Ready to accept connections" in deployed.log("a")
        with pytest.raises(harness.UsageError, match="no node 'c'; there are a, b"):
            deployed.client("c")


def test_links_can_be_disturbed_and_heal(pair: Path) -> None:
    with harness.deploy(pair, disturb=["client->b"]) as deployed:
        a, b = deployed.client("a"), deployed.client("b")
        b.ping()
        name = deployed.link("client->b").add("latency", latency=150)
        began = time.monotonic()
        b.ping()
        assert time.monotonic() - began >= 0.15
        deployed.link("client->b").remove(name)

        deployed.link("a->b").cut()
        a.rpush("mine", 1)
        assert a.wait(1, 200) == 0
        deployed.link("a->b").heal()
        assert a.wait(1, 10_000) == 1
        assert b.lrange("mine", 0, -1) == [b"1"]


def test_a_link_that_can_not_be_disturbed_is_refused(pair: Path) -> None:
    with pytest.raises(harness.UsageError, match="no link b->a; there are a->b, client->a, client->b"):
        harness.deploy(pair, disturb=["b->a"]).__enter__()
    with (
        harness.deploy(pair) as deployed,
        pytest.raises(harness.UsageError, match=r"link client->a does not lead through a fault proxy \(a->b do\)"),
    ):
        deployed.link("client->a")
