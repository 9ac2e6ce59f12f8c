"""Clusters on local processes: how they form, what they announce, and what of them is told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from harness.endpoint.view import NodeViews
from harness.engine.binaries import choose
from harness.errors import SetupError
from harness.fault.reshape import Reshaping, restore
from harness.fault.toxiproxy import open_fault_proxy
from harness.observation import misplaced_keys
from harness.resp.connection import Connection
from harness.resp.replies import OK
from harness.runtime.cluster import Owners
from harness.runtime.local import LocalDeployment, LocalRuntime
from harness.runtime.owner import Owner
from harness.slots import shard_ranges, slot_of
from harness.topology import Link, Topology, cluster_nodes
from tests.support.pairs import ENGINES


@pytest.fixture(scope="module", params=ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDeployment]:
    engine = "valkey" if "valkey" in request.param else "redis"
    link = Link("shard0", "shard0-replica0")
    with Owner() as owner, open_fault_proxy("embedded", popen=owner.popen) as proxy:
        runtime = LocalRuntime(lambda node: choose(engine, {}), "any", owner)
        with runtime.deploy(Topology(cluster_nodes(3, 1, 7000)), [link], proxy) as deployment:
            deployment.attach()
            yield deployment


def ask(deployment: LocalDeployment, node: str, *words: str) -> object:
    with Connection(deployment.control(node)) as connection:
        return connection.command(*words)


def test_all_slots_are_owned_and_every_primary_has_its_replica(cluster: LocalDeployment) -> None:
    owners = cluster.cluster.owners()
    assert [(first, last, owner, replicas) for first, last, owner, replicas in owners.ranges] == [
        (0, 5460, "shard0", ("shard0-replica0",)),
        (5461, 10921, "shard1", ("shard1-replica0",)),
        (10922, 16383, "shard2", ("shard2-replica0",)),
    ]
    assert owners.of(slot_of(b"foo")) == "shard2"
    assert owners.replicas_of("shard1") == ("shard1-replica0",)
    assert owners.replicas_of("nobody") == ()


def test_readiness_leaves_no_key(cluster: LocalDeployment) -> None:
    assert [ask(cluster, node, "DBSIZE") for node in cluster.topology.nodes] == [0] * 6


def test_a_disturbed_link_leads_through_its_proxy_and_clients_past_it(cluster: LocalDeployment) -> None:
    proxy = cluster.proxied[Link("shard0", "shard0-replica0")]
    info = ask(cluster, "shard0-replica0", "INFO", "replication")
    assert isinstance(info, bytes)
    assert b"_port:%d\r\n" % proxy.listen[1] in info
    moved = str(ask(cluster, "shard1", "SET", "b", "1"))  # slot 3300, shard0
    assert moved.startswith("MOVED 3300 ")
    host, _, port = moved.split()[-1].rpartition(":")
    assert (host, int(port)) == proxy.listen
    assert cluster.cluster.node_at(host, int(port)) == "shard0"
    assert cluster.entry("shard0").address != f"{host}:{port}"


def test_an_unknown_address_is_nobodys(cluster: LocalDeployment) -> None:
    assert cluster.cluster.node_at("127.0.0.1", 1) is None


def keys_of(shard: int, count: int) -> list[str]:
    """Keys that the shard owned when the cluster was made, each in a slot of its own."""
    keys = (f"key:{number}" for number in range(100_000))
    return list(islice((key for key in keys if slot_of(key.encode()) in shard_ranges(3)[shard]), count))


def set_slot(cluster: LocalDeployment, node: str, key: str, *state: str) -> None:
    """state: as in the command, a node by its name."""
    words = [cluster.cluster.ids.get(word, word) for word in state]
    assert ask(cluster, node, "CLUSTER", "SETSLOT", str(slot_of(key.encode())), *words) == OK


def begin_elsewhere(cluster: LocalDeployment, node: str, key: str) -> None:
    with Connection(cluster.control(node)) as connection:
        connection.command("ASKING")
        assert connection.command("SET", key, "elsewhere") == OK


def test_slots_that_are_half_way_are_whole_again_in_the_written_shape(cluster: LocalDeployment) -> None:
    """Keys at both ends, with both, the one or the other of them saying that the slot is on its way."""
    keys = keys_of(0, 3)
    gone, begun, stays = keys
    for key in keys:
        assert ask(cluster, "shard0", "SET", key, "1") == OK
    set_slot(cluster, "shard2", gone, "IMPORTING", "shard0")
    set_slot(cluster, "shard0", gone, "MIGRATING", "shard2")
    host, port = cluster.inside("shard2")
    assert ask(cluster, "shard0", "MIGRATE", host, str(port), gone, "0", "10000") == OK
    set_slot(cluster, "shard1", begun, "IMPORTING", "shard0")
    begin_elsewhere(cluster, "shard1", f"{{{begun}}}beside")
    set_slot(cluster, "shard0", stays, "MIGRATING", "shard1")
    told = [text.partition(": ")[0] for text in cluster.cluster.half_moved()]
    assert sorted(text.partition(" from ")[2] for text in told) == [
        "shard0 to shard1 (only shard0 says so)",
        "shard0 to shard1 (only shard1 says so)",
        "shard0 to shard2 (both say so)",
    ]

    restore(cluster)

    assert cluster.cluster.half_moved() == ()
    assert [ask(cluster, node, "DBSIZE") for node in ("shard0", "shard1", "shard2")] == [4, 0, 0]
    for key in (*keys, f"{{{begun}}}beside"):
        assert ask(cluster, "shard0", "DEL", key) == 1


def test_nodes_that_tell_different_owners_are_named(cluster: LocalDeployment) -> None:
    assert cluster.cluster.disagreements(30) == ()
    [key] = keys_of(0, 1)
    slot = slot_of(key.encode())
    set_slot(cluster, "shard0", key, "NODE", "shard1")  # and nobody else hears of it
    told = cluster.cluster.disagreements(0.1)
    assert f"the nodes don't agree who owns slot {slot}: shard0 says shard1, shard1 shard0" in told
    set_slot(cluster, "shard0", key, "NODE", "shard0")
    assert cluster.cluster.disagreements(30) == ()


def test_a_misplaced_key_that_goes_away_while_owners_settle_is_told(
    cluster: LocalDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    [key] = keys_of(0, 1)
    set_slot(cluster, "shard1", key, "IMPORTING", "shard0")
    begin_elsewhere(cluster, "shard1", key)
    tell = cluster.cluster.owners

    def owners() -> Owners:
        with Connection(cluster.control("shard1")) as connection:
            connection.command("ASKING")
            connection.command("DEL", key)
        return tell()

    monkeypatch.setattr(cluster.cluster, "owners", owners)
    with NodeViews(cluster.control) as views:
        found, unasked = misplaced_keys(cluster, views)
    set_slot(cluster, "shard1", key, "STABLE")
    assert ("shard1", key, "shard0") in [(each.node, each.key, each.owner) for each in found]
    assert unasked == ()


def test_a_key_that_stands_at_both_ends_is_not_overwritten(cluster: LocalDeployment) -> None:
    [key] = keys_of(1, 1)
    assert ask(cluster, "shard1", "SET", key, "here") == OK
    set_slot(cluster, "shard0", key, "IMPORTING", "shard1")
    begin_elsewhere(cluster, "shard0", key)
    with pytest.raises(SetupError, match=r"shard0 refuses MIGRATE .*BUSYKEY"):
        restore(cluster)
    assert ask(cluster, "shard1", "GET", key) == b"here"
    with Connection(cluster.control("shard0")) as connection:
        connection.command("ASKING")
        assert connection.command("DEL", key) == 1
    restore(cluster)
    assert cluster.cluster.half_moved() == ()
    assert ask(cluster, "shard1", "DEL", key) == 1


def test_nobody_to_ask() -> None:
    with Owner() as owner:
        runtime = LocalRuntime(lambda node: choose("redis", {}), "any", owner)
        with runtime.deploy(Topology(cluster_nodes(1, 0, 7000))) as deployment:
            deployment.attach()
            deployment.kill("shard0")
            with pytest.raises(SetupError, match="nobody tells who owns which slot"):
                deployment.cluster.owners()


@pytest.mark.slow
@pytest.mark.parametrize(("shards", "replicas"), [(1, 3), (4, 1), (16, 0), (5, 3), (8, 2), (16, 3)])
def test_other_shapes(shards: int, replicas: int) -> None:
    """Every slot is owned, every primary has its replicas; so it is again after a share of the slots has moved."""
    with Owner() as owner:
        runtime = LocalRuntime(lambda node: choose(None), "any", owner)
        with runtime.deploy(Topology(cluster_nodes(shards, replicas, 7000))) as deployment:
            deployment.attach()
            formed = deployment.cluster.owners().ranges
            assert sum(last - first + 1 for first, last, _, _ in formed) == 16384
            assert [owner for _, _, owner, _ in formed] == [f"shard{number}" for number in range(shards)]
            assert [len(each) for _, _, _, each in formed] == [replicas] * shards
            if shards > 1:
                with Reshaping(deployment) as reshaping:
                    reshaping.move_share("shard0", f"shard{shards - 1}", 50.0)
                assert deployment.cluster.owners().ranges != formed
                restore(deployment)
                assert deployment.cluster.owners().ranges == formed
