"""Slots that a move has left half way: the verdict says what stands where, and no draw inherits them."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness.cycle
from harness.checker.verdict import Outcome
from harness.errors import ExitCode
from harness.options import Options
from harness.resp.connection import Connection
from harness.resp.replies import OK
from harness.runner import run
from harness.runtime.local import LocalDeployment
from harness.scenario.loader import load
from harness.slots import slot_of
from tests.end_to_end.test_cluster_planted import FILE, ask, key_in, run_planted


def mark(deployment: LocalDeployment, key: str) -> None:
    """The key's slot is on its way from shard0 to shard1."""
    ids, slot = deployment.cluster.ids, str(slot_of(key.encode()))
    ask(deployment, "shard1", ("CLUSTER", "SETSLOT", slot, "IMPORTING", ids["shard0"]))
    ask(deployment, "shard0", ("CLUSTER", "SETSLOT", slot, "MIGRATING", ids["shard1"]))


def move_a_key(deployment: LocalDeployment) -> None:
    """One of shard0's keys has gone over, and its slot has not."""
    key = key_in(deployment, "shard0")
    mark(deployment, key)
    host, port = deployment.inside("shard1")
    with Connection(deployment.control("shard0")) as connection:
        assert connection.command("MIGRATE", host, str(port), key, "0", "10000") == OK


def test_where_no_key_has_moved_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(deployment: LocalDeployment) -> None:
        mark(deployment, key_in(deployment, "shard0"))

    result = run_planted(tmp_path, monkeypatch, plant, before="look")
    assert result.verdict is not None
    assert (result.exit_code, result.verdict.outcome) == (ExitCode.UNKNOWN, Outcome.UNKNOWN)
    [doubt] = result.verdict.doubts
    assert doubt.startswith("slot ")
    assert " is half way from shard0 to shard1 (both say so)" in doubt
    assert "undo it (MIGRATE them back, then CLUSTER SETSLOT … STABLE on both)" in doubt


def test_a_key_that_has_moved_without_its_slot_is_misplaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads from a replica of its owner finds nothing, and who asks the owner is sent elsewhere."""
    text = FILE.replace("producers: 2", "producers: 2, read_from: primaries")
    result = run_planted(tmp_path, monkeypatch, move_a_key, before="look", text=text)
    assert result.verdict is not None
    assert result.exit_code == ExitCode.NOT_AS_EXPECTED
    found = {(each.kind.value, each.node) for each in result.verdict.anomalies}
    # Where the primary tells its replicas that the slot is on its way, they send a reader elsewhere as well.
    assert found - {("missing_key", "shard0-replica0")} == {("misplaced", "shard1"), ("misplaced", "shard1-replica0")}
    assert len({each.key for each in result.verdict.anomalies}) == 1
    assert any("is half way from shard0 to shard1 (both say so)" in doubt for doubt in result.verdict.doubts)
    assert any("shard0 could not be read: ASK " in doubt for doubt in result.verdict.doubts)


def test_a_draw_that_leaves_a_slot_half_way_is_unknown_and_the_next_one_knows_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, met = harness.cycle.look, []

    def planted(deployment: LocalDeployment) -> object:
        if deployment not in met:
            met.append(deployment)
        if len(met) == 1:
            mark(deployment, key_in(deployment, "shard0"))
        return real(deployment)

    monkeypatch.setattr(harness.cycle, "look", planted)
    path = tmp_path / "drawn.yaml"
    path.write_text(
        FILE.replace("faults:", "# ")
        + "property: {values: {min: 50, max: 60}, shards: {min: 2, max: 2}, examples: 3}\n"
    )
    result = run(load(path), Options(out=tmp_path / "runs", ports="any", seed=7), part="property")
    draws = result.report["draws"]
    assert (result.exit_code, draws["invalid"], draws["unknown"]) == (ExitCode.UNKNOWN, 0, 1)
    assert len(met) == 2
