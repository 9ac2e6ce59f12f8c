"""What breaks in a cluster is found and named: planted on real servers, seen in the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import harness.cycle
import harness.reading
from harness.checker.verdict import Outcome
from harness.lag import LagSampler
from harness.options import Options
from harness.resp.connection import Connection
from harness.runner import Result, run
from harness.runtime.local import LocalDeployment
from harness.scenario.loader import load
from harness.slots import slot_of
from harness.topology import Link
from tests.support.disturbed import eventually
from tests.support.fake_primary import fake_primary

FILE = """\
version: 1
title: Two shards
topology: {cluster: {shards: 2, replicas: 1}}
workload: {kind: sharded_list, key: "k:{n}", shards: 4, values: 2000, producers: 2, batch: {shape: variadic, size: 50}}
faults: [{at: 10%, until: 50%, link: "shard*->*", toxic: latency, latency_ms: 1}]
expect: {list: exact, converges_within_s: 30}
"""
Plant = Callable[[LocalDeployment], None]


def run_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, before: str = "read", text: str = FILE
) -> Result:
    """plant: done once, before the first call of this function of the cycle, or of its reading."""
    place = harness.reading if before == "read" else harness.cycle
    real, done = getattr(place, before), []

    def first(deployment: LocalDeployment, *rest: object, **how: object) -> object:
        if not done:
            done.append(True)
            plant(deployment)
        return real(deployment, *rest, **how)

    monkeypatch.setattr(place, before, first)
    path = tmp_path / "planted.yaml"
    path.write_text(text)
    return run(load(path), Options(out=tmp_path / "runs", ports="any"))


def ask(deployment: LocalDeployment, node: str, *commands: tuple[str, ...]) -> None:
    with Connection(deployment.control(node)) as connection:
        for words in commands:
            connection.command(*words)


def key_in(deployment: LocalDeployment, node: str) -> str:
    """One of the run's keys that this node holds."""
    with Connection(deployment.control(node)) as connection:
        found = connection.command("SCAN", "0", "COUNT", "1000")
    assert isinstance(found, list)
    assert isinstance(found[1], list)
    return min(key.decode() for key in found[1] if isinstance(key, bytes))


def change(deployment: LocalDeployment, shard: str, *commands: tuple[str, ...]) -> None:
    """Change what the shard's replica holds, and nobody else: its link leads to somebody who is not its primary."""
    link = deployment.proxied[Link(shard, f"{shard}-replica0")]
    key = commands[0][1]
    with Connection(deployment.control(f"{shard}-replica0")) as replica:
        replica.command("READONLY")
        before = replica.command("LLEN", key)
        link.cut()
        with fake_primary(link.listen, *commands):
            eventually(lambda: replica.command("LLEN", key) != before, within_s=60)


def one_element_less(deployment: LocalDeployment) -> None:
    key = key_in(deployment, "shard1-replica0")
    with Connection(deployment.control("shard1")) as primary:
        element = primary.command("LINDEX", key, "120")
    assert isinstance(element, bytes)
    change(deployment, "shard1", ("LREM", key, "1", element.decode()))


@pytest.mark.parametrize("read_from", ["replicas", "primaries"])
def test_an_element_that_one_replica_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_from: str) -> None:
    text = FILE.replace("producers: 2", f"producers: 2, read_from: {read_from}")
    result = run_planted(tmp_path, monkeypatch, one_element_less, text=text)
    assert result.verdict is not None
    [anomaly] = result.verdict.anomalies
    assert (result.verdict.outcome, anomaly.kind, anomaly.node) == (Outcome.INVALID, "lost", "shard1-replica0")
    assert (anomaly.count, anomaly.first.index) == (1, 120)
    assert anomaly.key.startswith("k:{")
    assert result.report["shards"]["shard1"]["anomalies"] == 1
    assert result.report["shards"]["shard0"]["anomalies"] == 0


def test_a_replica_that_was_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stray(deployment: LocalDeployment) -> None:
        change(deployment, "shard0", ("LPUSH", key_in(deployment, "shard0-replica0"), "x"))

    result = run_planted(tmp_path, monkeypatch, stray)
    assert result.verdict is not None
    found = [(each.kind, each.node, each.count, each.first.index) for each in result.verdict.anomalies]
    assert found == [("phantom", "shard0-replica0", 1, 0)]


def test_a_list_that_shrank_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in the end is whole; only the samples show that an element was gone."""
    samplers: list[LagSampler] = []
    enter = LagSampler.__enter__

    def remembering(self: LagSampler) -> LagSampler:
        samplers.append(self)
        return enter(self)

    def shrink(deployment: LocalDeployment) -> None:
        [sampler] = samplers
        [watch] = [found for group in sampler._groups if (found := group._shrinking.get("shard1-replica0"))]
        eventually(lambda: list(watch._most.values()) == [500, 500], within_s=60)
        key = key_in(deployment, "shard1")
        with (
            Connection(deployment.control("shard1")) as primary,
            Connection(deployment.control("shard1-replica0")) as replica,
        ):
            replica.command("READONLY")
            last = primary.command("RPOP", key)
            assert isinstance(last, bytes)
            eventually(lambda: sampler.shrinks, within_s=60)
            primary.command("RPUSH", key, last)
            eventually(lambda: replica.command("LLEN", key) == 500, within_s=60)

    monkeypatch.setattr(LagSampler, "__enter__", remembering)
    result = run_planted(tmp_path, monkeypatch, shrink)
    assert result.verdict is not None
    assert result.verdict.not_checked == ()
    found = [(each.kind, each.node, each.count, each.first.expected) for each in result.verdict.anomalies]
    assert found == [("shrank", "shard1-replica0", 1, "500")]


def test_a_key_on_a_node_that_does_not_own_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(deployment: LocalDeployment) -> None:
        key = key_in(deployment, "shard0")
        slot = str(slot_of(key.encode()))
        importing = ("CLUSTER", "SETSLOT", slot, "IMPORTING", deployment.cluster.ids["shard0"])
        ask(deployment, "shard1", importing, ("ASKING",), ("RPUSH", key, "1"), ("CLUSTER", "SETSLOT", slot, "STABLE"))

    result = run_planted(tmp_path, monkeypatch, elsewhere)
    assert result.verdict is not None
    assert {(each.kind, each.node) for each in result.verdict.anomalies} == {
        ("misplaced", "shard1"),
        ("misplaced", "shard1-replica0"),
    }
    assert "shard0 owns its slot" in result.verdict.anomalies[0].message


def test_a_shard_without_a_replica_in_the_end_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow_another(deployment: LocalDeployment) -> None:
        ask(deployment, "shard1-replica0", ("CLUSTER", "REPLICATE", deployment.cluster.ids["shard0"]))
        eventually(lambda: not deployment.cluster.owners().replicas_of("shard1"), within_s=60)

    result = run_planted(tmp_path, monkeypatch, follow_another, before="look")
    assert result.verdict is not None
    assert result.verdict.outcome is Outcome.UNKNOWN
    assert any("shard1 has no replica at the end" in doubt for doubt in result.verdict.doubts)


@pytest.mark.parametrize("node", ["shard1", "shard1-replica0"])
def test_a_node_that_is_away_in_the_end_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    text = FILE.replace("converges_within_s: 30", "give_up_s: 1")
    result = run_planted(tmp_path, monkeypatch, lambda deployment: deployment.kill(node), before="look", text=text)
    assert result.verdict is not None
    assert result.verdict.outcome is Outcome.UNKNOWN
    assert any(node in doubt for doubt in result.verdict.doubts)
    assert not any("Traceback" in doubt or "Error:" in doubt for doubt in result.verdict.doubts)


def test_a_primary_that_answers_in_place_of_a_replica_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promote(deployment: LocalDeployment) -> None:
        ask(deployment, "shard1-replica0", ("CLUSTER", "FAILOVER", "TAKEOVER"))

    result = run_planted(tmp_path, monkeypatch, promote)
    assert result.verdict is not None
    assert result.verdict.outcome is not Outcome.VALID
    assert any("the node that answered is a primary, not a replica" in doubt for doubt in result.verdict.doubts)
