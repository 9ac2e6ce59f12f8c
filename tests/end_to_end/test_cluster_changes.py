"""A cluster's changes while it is written to: what each of them met, and that everything is whole afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import harness.cycle
from harness.checker.verdict import Kind, Outcome
from harness.fault.active import ActiveFault
from harness.fault.reshape import Reshaping
from harness.history import Ledger
from harness.resp.connection import Connection
from harness.runner import Result
from harness.runtime.local import LocalDeployment
from harness.slots import shard_of, slot_of
from harness.workload.cluster_writer import ClusterWriter
from harness.workload.numbered import WritePlan
from tests.end_to_end.test_cluster_planted import ask, run_planted

WRITTEN = """\
version: 1
title: Three shards
topology: {cluster: {shards: 3, replicas: 1}}
workload: {kind: sharded_list, key: "k:{n}", shards: 6, values: 6000, producers: 3, batch: {shape: pipeline, size: 20}}
"""
EXPECTED = "expect: {list: exact, converges_within_s: 60}\n"
Owned = Sequence[tuple[str, tuple[str, ...]]]


class Looking:
    """Notes what a cluster says of itself when its fault is healed and nothing is read yet."""

    owned: Owned = ()
    owner_of: Callable[[int], str | None]
    links: Sequence[bool] = ()

    def __call__(self, deployment: LocalDeployment) -> None:
        owners = deployment.cluster.owners()
        self.owner_of = owners.of
        self.owned = [(owner, replicas) for _, _, owner, replicas in owners.ranges]
        self.links = [up_to(deployment, replica) for _, replicas in self.owned for replica in replicas]
        assert deployment.cluster.half_moved() == ()


def up_to(deployment: LocalDeployment, replica: str) -> bool:
    with Connection(deployment.control(replica)) as connection:
        told = connection.command("INFO", "replication")
    return isinstance(told, bytes) and b"master_link_status:up" in told


def change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, expect: str = EXPECTED
) -> tuple[Result, Looking]:
    seen = Looking()
    text = f"{WRITTEN}faults: [{{at: 30%, until: 70%, {fault}}}]\n{expect}"
    result = run_planted(tmp_path, monkeypatch, seen, text=text)
    assert result.verdict is not None
    assert result.verdict.as_expected, result.verdict
    [record] = result.report["faults"]
    assert record["met"], record
    assert len(seen.links) >= 3
    assert all(seen.links)
    return result, seen


def test_a_replica_that_restarts_is_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saves nothing, so that it comes back empty: a full sync of that link, and of no other."""
    syncs = ", ".join(f'"shard{number}->shard{number}-replica0": {int(number == 0)}' for number in range(3))
    expect = EXPECTED.replace("}", f", full_syncs: {{{syncs}}}}}")
    result, seen = change(tmp_path, monkeypatch, "restart: shard0-replica0", expect)
    assert result.verdict is not None
    assert result.verdict.outcome is Outcome.VALID
    assert seen.owned == [(f"shard{number}", (f"shard{number}-replica0",)) for number in range(3)]


@pytest.mark.parametrize("how", ["force", "takeover"])
def test_a_replica_takes_over_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """What that costs is told as lost, if anything was; the old primary follows the new one."""
    expect = "expect: {lost: {within_s: 30}, converges_within_s: 60}\n"
    may_lose: dict[int, bool] = {}  # by shard; elsewhere lengths go on telling of what the primary itself loses
    writing = harness.cycle.ClusterWriter

    def noted(plans: Sequence[tuple[WritePlan, Ledger]], *rest: Any, **how: Any) -> ClusterWriter:
        may_lose.update({shard_of(slot_of(plan.key), 3): plan.lossy for plan, _ in plans})
        return writing(plans, *rest, **how)

    monkeypatch.setattr(harness.cycle, "ClusterWriter", noted)
    result, seen = change(tmp_path, monkeypatch, f"failover: shard1, how: {how}", expect)
    assert may_lose == {0: False, 1: True, 2: False}
    assert result.verdict is not None
    assert {found.kind for found in result.verdict.anomalies} <= {Kind.LOST}
    assert ("shard1-replica0", ("shard1",)) in seen.owned
    assert result.report["faults"][0]["fault"] == f"{how} failover"


def test_a_move_that_its_target_refuses_is_told_and_leaves_no_slot_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slot's keys have moved when it begins to refuse: that slot is its new owner's, the others their old one's."""
    seen, moving = Looking(), Reshaping._move_keys
    moved: list[int] = []

    def refused(self: Reshaping, source: str, target: str, slot: int) -> None:
        assert isinstance(self.servers, LocalDeployment)
        if (source, target) == ("shard0", "shard2"):
            moved.append(slot)
            if len(moved) > 1:
                ask(self.servers, target, ("ACL", "SETUSER", "default", "-restore", "-restore-asking"))
        moving(self, source, target, slot)

    monkeypatch.setattr(Reshaping, "_move_atomically", lambda *_: False)  # the classic way, on any engine
    monkeypatch.setattr(Reshaping, "_move_keys", refused)
    faults = "faults: [{at: 30%, until: 70%, move_slots: {from: shard0, to: shard2, share: 90%}}]\n"
    text = (WRITTEN + faults + EXPECTED).replace("shards: 6", "shards: 12")
    result = run_planted(tmp_path, monkeypatch, seen, text=text)
    assert result.verdict is not None
    assert (result.verdict.outcome, result.verdict.anomalies) == (Outcome.UNKNOWN, ())
    assert any("shard0 refuses MIGRATE" in doubt and "NOPERM" in doubt for doubt in result.verdict.doubts)
    assert any("no slot is left on its way" in doubt for doubt in result.verdict.doubts)
    first, second = dict.fromkeys(moved)
    assert (seen.owner_of(first), seen.owner_of(second)) == ("shard2", "shard0")


def test_slots_that_are_filled_after_the_look_at_them_move_with_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move takes every slot for empty, as one is whose first key comes a moment later."""
    looking, looks = Reshaping._with_keys, []

    def too_early(self: Reshaping, node: str, slots: Sequence[int]) -> list[int]:
        looks.append(node)
        return [] if len(looks) == 1 else looking(self, node, slots)

    monkeypatch.setattr(Reshaping, "_move_atomically", lambda *_: False)  # the classic way, on any engine
    monkeypatch.setattr(Reshaping, "_with_keys", too_early)
    result, seen = change(tmp_path, monkeypatch, "move_slots: {from: shard0, to: shard2, share: 90%}")
    assert result.verdict is not None
    assert result.verdict.outcome is Outcome.VALID
    assert looks[0] == "shard0"
    assert {owner for owner, _ in seen.owned} == {"shard0", "shard1", "shard2"}


def test_every_producer_stands_at_the_mark_of_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has sent its own share, and none sends more before the change has begun."""
    sent: list[tuple[int, int]] = []
    apply = ActiveFault.apply

    def counted(self: ActiveFault) -> None:
        before = self._watch.sent()
        apply(self)
        sent.append((before, self._watch.sent()))

    monkeypatch.setattr(ActiveFault, "apply", counted)
    result, _ = change(tmp_path, monkeypatch, "failover: shard1")
    assert sent == [(1800, 1800)]
    assert result.verdict is not None


def test_a_failover_of_a_shard_that_nobody_writes_to_has_met_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = WRITTEN.replace('kind: sharded_list, key: "k:{n}", shards: 6', "kind: list_append, key: orders")
    assert shard_of(slot_of(b"orders"), 3) == 0
    text += "faults: [{at: 30%, until: 70%, failover: shard2}]\n" + EXPECTED
    result = run_planted(tmp_path, monkeypatch, lambda deployment: None, text=text)
    assert result.verdict is not None
    assert result.verdict.outcome is Outcome.UNKNOWN
    [doubt] = result.verdict.doubts
    assert doubt == "graceful failover on shard2 at 30% met nothing: nothing was sent to its shard while it was active"
