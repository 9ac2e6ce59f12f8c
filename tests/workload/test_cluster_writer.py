"""Keys of a cluster that are not where the writer believes: nothing is lost, doubled or out of order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from harness.engine.binaries import choose
from harness.errors import SetupError
from harness.history import Acknowledged, Ledger, Opened, Refused, Stamp
from harness.placement import DeploymentRouter
from harness.resp.connection import Connection
from harness.resp.replies import Status
from harness.runtime.local import LocalDeployment, LocalRuntime
from harness.runtime.owner import Owner
from harness.slots import slot_of
from harness.topology import Topology, cluster_nodes
from harness.workload.base import Patience
from harness.workload.cluster_writer import ClusterWriter
from harness.workload.numbered import WritePlan
from tests.support.pairs import ENGINES

SHAPES = ("single", "pipeline", "variadic", "multi")
numbers = itertools.count()


@pytest.fixture(scope="module", params=ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDeployment]:
    engine = "valkey" if "valkey" in request.param else "redis"
    with Owner() as owner:
        runtime = LocalRuntime(lambda node: choose(engine, {}), "any", owner)
        with runtime.deploy(Topology(cluster_nodes(2, 0, 7000))) as deployment:
            deployment.attach()
            yield deployment


class Stale(DeploymentRouter):
    """Believes at first that the key is with the other node."""

    def owner(self, key: bytes) -> str | None:
        found = super().owner(key)
        if not self.__dict__.setdefault("asked", False):
            self.__dict__["asked"] = True
            return "shard1" if found == "shard0" else "shard0"
        return found


def key_of(shard: int) -> bytes:
    """A key that nobody has used, in the slots of this shard."""
    slots = range(8192) if shard == 0 else range(8192, 16384)
    return next(key for number in numbers if slot_of(key := b"key:%d" % number) in slots)


def ask(cluster: LocalDeployment, node: str, *words: object) -> object:
    with Connection(cluster.control(node)) as connection:
        reply = connection.command(*[word if isinstance(word, bytes) else str(word) for word in words])
    return reply.text if isinstance(reply, Status) else reply


def write(router: DeploymentRouter, key: bytes, shape: str, look_on: Callable[[], None] = lambda: None) -> Ledger:
    plan = WritePlan(key, 300, shape=shape, sizes=(7,))
    ledger = Ledger(None)
    ClusterWriter([(plan, ledger)], router, patience=Patience(5, 2)).run(look_on)
    ledger.close()
    return ledger


def everything() -> list[bytes]:
    return [b"%d" % number for number in range(1, 301)]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_moved_is_sent_again_in_order(cluster: LocalDeployment, shape: str) -> None:
    key = key_of(1)
    ledger = write(Stale(cluster), key, shape)
    assert ask(cluster, "shard1", "LRANGE", key, 0, -1) == everything()
    refused = [entry for entry in ledger.entries if isinstance(entry, Refused)]
    assert refused
    assert all("MOVED" in entry.error or "EXECABORT" in entry.error for entry in refused)
    assert ledger.acknowledged == 300


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_on_its_way_is_asked_for_command_by_command(cluster: LocalDeployment, shape: str) -> None:
    key = key_of(0)
    slot, ids = slot_of(key), cluster.cluster.ids
    assert ask(cluster, "shard1", "CLUSTER", "SETSLOT", slot, "IMPORTING", ids["shard0"]) == "OK"
    assert ask(cluster, "shard0", "CLUSTER", "SETSLOT", slot, "MIGRATING", ids["shard1"]) == "OK"
    try:
        ledger = write(DeploymentRouter(cluster), key, shape)
        assert any(
            f"slot {slot} is half way from shard0 to shard1 (both" in text for text in cluster.cluster.half_moved()
        )
        for node in ("shard1", "shard0"):
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "NODE", ids["shard1"])
        assert ask(cluster, "shard1", "LRANGE", key, 0, -1) == everything()
    finally:
        ask(cluster, "shard1", "DEL", key)
        for node in ("shard0", "shard1"):
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "NODE", ids["shard0"])
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "STABLE")
    assert any(isinstance(entry, Refused) and "ASK" in entry.error for entry in ledger.entries)
    assert ledger.acknowledged == 300


def test_a_slot_that_nobody_owns_is_told(cluster: LocalDeployment) -> None:
    key = key_of(0)
    for node in ("shard0", "shard1"):
        ask(cluster, node, "CLUSTER", "DELSLOTS", slot_of(key))
    try:
        with pytest.raises(SetupError, match=f"nobody owns the slot of {key.decode()}"):
            write(DeploymentRouter(cluster), key, "pipeline")
    finally:
        for node in ("shard0",):
            ask(cluster, node, "CLUSTER", "ADDSLOTS", slot_of(key))


def test_where_writes_may_be_lost_the_ledger_tells_when_and_where(cluster: LocalDeployment) -> None:
    key, ledger = key_of(1), Ledger(None)
    plan = WritePlan(key, 300, shape="single", lossy=True)
    ClusterWriter([(plan, ledger)], DeploymentRouter(cluster)).run()
    ledger.close()
    kinds = [type(entry) for entry in ledger.entries]
    assert ledger.entries[0] == Opened(1, "shard1")
    assert kinds[-1] is Stamp
    assert {Acknowledged, Opened, Stamp} == set(kinds)
