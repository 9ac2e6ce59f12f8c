"""Clusters in containers: how clients reach every node, what a toxic meets, a node that is cut off, nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from harness.errors import SetupError
from harness.fault.toxic import Toxic
from harness.options import Options
from harness.resp.connection import Connection
from harness.runner import run
from harness.runtime.container import ContainerDeployment
from harness.runtime.isolation import ISOLATE, why_no_isolation
from harness.runtime.labels import OWNER, RUN
from harness.runtime.owner import Owner
from harness.scenario.loader import load
from harness.slots import slot_of
from harness.topology import Link, Topology, cluster_nodes
from tests.conformance.runtimes import runtime_with_proxy
from tests.support.disturbed import eventually
from tests.support.docker import NOTHING, docker_client, inventory

pytestmark = pytest.mark.container

LINK = Link("shard0", "shard0-replica0")
ISOLATED = Path(__file__).parents[2] / "scenarios" / "cluster" / "isolated_primary.yaml"


@contextmanager
def cluster(links: Sequence[Link] = (LINK,), proxy: str = "toxiproxy") -> Iterator[tuple[ContainerDeployment, Owner]]:
    with ExitStack() as stack:
        owner = stack.enter_context(Owner())
        runtime, opener = stack.enter_context(runtime_with_proxy("container", proxy, owner))
        topology = Topology(cluster_nodes(3, 1, 7000))
        deployment = stack.enter_context(runtime.deploy(topology, links, opener))
        deployment.attach()
        assert isinstance(deployment, ContainerDeployment)
        yield deployment, owner


def ask(deployment: ContainerDeployment, node: str, *words: str) -> object:
    with Connection(deployment.control(node)) as connection:
        return connection.command(*words)


def key_of(slots: range) -> str:
    return next(key for number in range(100_000) if slot_of((key := f"key:{number}").encode()) in slots)


def seen_after(deployment: ContainerDeployment, shard: str, key: str) -> float:
    """Seconds from a write's answer until the shard's replica shows it."""
    with Connection(deployment.control(f"{shard}-replica0")) as replica:
        replica.command("READONLY")
        assert ask(deployment, shard, "RPUSH", key, "x") == 1
        since = time.monotonic()
        eventually(lambda: replica.command("EXISTS", key) == 1, within_s=60)
        return time.monotonic() - since


def test_from_its_start_to_its_end() -> None:
    """A client from outside reaches every node by a remapped address; a toxic meets one shard; nothing is left."""
    with cluster() as (deployment, owner):
        assert [owners[2:] for owners in deployment.cluster.owners().ranges] == [
            (f"shard{number}", (f"shard{number}-replica0",)) for number in range(3)
        ]
        _a_foreign_client_writes_everywhere(deployment)
        name = deployment.proxied[LINK].add(Toxic("latency", {"latency": 1500}), LINK)
        assert seen_after(deployment, "shard0", key_of(range(5000))) >= 1.0
        assert seen_after(deployment, "shard1", key_of(range(6000, 10000))) < 1.5
        deployment.proxied[LINK].remove(name)
        marker = owner.marker
    with docker_client() as client:
        assert inventory(client, f"{OWNER}={marker}") == NOTHING


def _a_foreign_client_writes_everywhere(deployment: ContainerDeployment) -> None:
    def remapped(address: tuple[str, int]) -> tuple[str, int]:
        node = deployment.cluster.node_at(*address)
        assert node is not None, address
        return deployment.endpoint(node).host, deployment.endpoint(node).port

    first = deployment.endpoint("shard1")
    client = redis.RedisCluster(host=first.host, port=first.port, address_remap=remapped)
    try:
        assert all(client.rpush(f"list:{number}", number) == 1 for number in range(30))
    finally:
        client.close()
    assert all(ask(deployment, f"shard{number}", "DBSIZE") for number in range(3))


def test_a_node_that_is_cut_off_is_reached_by_clients_alone() -> None:
    if reason := why_no_isolation():
        pytest.fail(f"a node has to be cut off here: {reason}")
    with cluster(()) as (deployment, _):
        assert ISOLATE in deployment.capabilities
        key = key_of(range(5000))
        deployment.isolate("shard0")
        assert ask(deployment, "shard0", "SET", key, "x") is not None
        time.sleep(1)  # in which it would have arrived
        with Connection(deployment.control("shard0-replica0")) as replica:
            replica.command("READONLY")
            assert replica.command("EXISTS", key) == 0
            deployment.reconnect("shard0")
            deployment.reconnect("shard0")
            eventually(lambda: replica.command("EXISTS", key) == 1, within_s=60)


def test_a_node_behind_a_proxy_of_this_machine_can_not_be_cut_off() -> None:
    with (
        cluster(proxy="embedded") as (deployment, _),
        pytest.raises(SetupError, match="node shard0 can't be cut off: shard0->shard0-replica0 leads through a fault"),
    ):
        deployment.isolate("shard0")


def test_what_an_isolated_primary_took_is_lost_and_told(tmp_path: Path) -> None:
    result = run(load(ISOLATED), Options(out=tmp_path / "runs", ports="any", runtime="container"))
    assert result.verdict is not None
    assert result.verdict.as_expected, result.verdict
    assert {(found.kind, found.node) for found in result.verdict.anomalies} == {("lost", "shard1-replica0")}
    assert sum(found.count for found in result.verdict.anomalies) >= 1
    assert all("acknowledged by shard1 from" in found.message for found in result.verdict.anomalies)
    [fault] = result.report["faults"]
    assert (fault["fault"], fault["link"], fault["met"]) == ("isolate", "shard1", True)


KILLED = """\
version: 1
title: A cluster that is written to for a minute
topology: {cluster: {shards: 3, replicas: 1}}
workload: {kind: sharded_list, key: "k:{n}", shards: 6, values: 20000, producers: 3, batch: {shape: variadic, size: 10}}
faults: [{at: 10%, until: 60s, link: "shard0->shard0-replica0", toxic: latency, latency_ms: 300}]
"""
VICTIM = """
import sys
from pathlib import Path
from harness.options import Options
from harness.runner import run
from harness.scenario.loader import load

class Told:
    def phase(self, name):
        print(name, flush=True)

    def advance(self, done, total):
        if done >= total:
            print("written", flush=True)

file, run_id = Path(sys.argv[1]), sys.argv[2]
options = Options(out=file.parent / "runs", ports="any", runtime="container", run_id=run_id)
run(load(file), options, progress=Told())
"""


@pytest.mark.parametrize("moment", [pytest.param("start", marks=pytest.mark.slow), "written"])
def test_a_run_that_is_killed_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """While the cluster forms, and when all is written and a fault is active: nobody but the watchdog can clean up."""
    run_id, file = f"killed-{os.getpid()}-{moment}", tmp_path / "killed.yaml"
    file.write_text(KILLED)
    (temporary := tmp_path / "temporary").mkdir()
    with docker_client() as client:
        ours = f"{RUN}={run_id}"
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(file), run_id],
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert victim.stdout is not None
            assert any(line.strip() == moment for line in victim.stdout)
            eventually(lambda: len(inventory(client, ours)["containers"]) >= 6, within_s=60)
        finally:
            victim.kill()
            victim.communicate()
        eventually(lambda: inventory(client, ours) == NOTHING and not list(temporary.iterdir()), within_s=60)
