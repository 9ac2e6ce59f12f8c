"""Packets that vanish: proved by the kernel's own counter and by what replication does; healed without a trace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from harness.errors import SetupError
from harness.fault.link import FaultLink, Lossy
from harness.fault.toxic import LOSS, Direction, Toxic
from harness.resp.connection import Connection
from harness.runtime.base import Deployment
from harness.runtime.container import ContainerDeployment
from harness.runtime.owner import Owner
from harness.runtime.packet_loss import PacketLoss, why_no_loss
from harness.runtime.readiness import wait_until
from harness.topology import Link, Node, Topology
from tests.conformance.runtimes import runtime_with_proxy
from tests.support.docker import docker_client

PAIR = Topology({"a": Node("a", 6379, password="secret"), "b": Node("b", 10878, replica_of="a")})
A_TO_B, CLIENT_TO_A = Link("a", "b"), Link("client", "a")
BOTH_WAYS = [Direction.TO_TARGET, Direction.TO_SOURCE]

pytestmark = pytest.mark.container


@pytest.fixture(params=["embedded", "toxiproxy"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """An attached pair whose links lead through this proxy."""
    with Owner() as owner, runtime_with_proxy("container", request.param, owner) as (runtime, opener):
        if reason := why_no_loss():
            pytest.fail(f"packets have to be lost here: {reason}")
        assert LOSS in runtime.capabilities
        with runtime.deploy(PAIR, [A_TO_B, CLIENT_TO_A], opener) as deployed:
            assert LOSS in deployed.capabilities
            deployed.attach()
            yield deployed


def lossy(deployment: Deployment) -> tuple[FaultLink, Lossy]:
    link = deployment.proxied[A_TO_B]
    assert isinstance(link, Lossy)
    return link, link


def rules(deployment: Deployment, node: str = "b") -> Sequence[str]:
    """The packet filter's, where this node is."""
    assert isinstance(deployment, ContainerDeployment)
    where = f"--net=/proc/{deployment._container(node).pid()}/ns/net"
    shown = subprocess.run(["nsenter", where, "iptables", "-S"], capture_output=True, text=True, check=True, timeout=30)
    return [line for line in shown.stdout.splitlines() if line.startswith("-A")]


def write_until(deployment: Deployment, lost: Lossy, name: str) -> list[bytes]:
    """Append to a list until some packets have vanished; what was appended."""
    written: list[bytes] = []
    with Connection(deployment.control("a")) as a:

        def more() -> bool:
            elements = [f"{len(written) + number}".encode() for number in range(1000)]
            written.extend(elements)
            a.command("RPUSH", "list", *elements)
            return lost.lost(name) >= 5

        wait_until(more, deadline_s=60, what="packets to vanish", describe=lambda: lost.lost(name))
    return written


@pytest.mark.parametrize("direction", BOTH_WAYS, ids=str)
def test_packets_vanish_and_everything_arrives_in_order(deployment: Deployment, direction: Direction) -> None:
    link, lost = lossy(deployment)
    name = link.add(Toxic(LOSS, {"percent": 20}, direction), A_TO_B)
    assert len(rules(deployment)) == 1
    written = write_until(deployment, lost, name)
    link.remove(name)
    assert rules(deployment) == []
    with Connection(deployment.control("b")) as b:
        wait_until(
            lambda: b.command("LRANGE", "list", 0, -1) == written, deadline_s=60, what="the list on b to be whole"
        )


def test_when_all_packets_vanish_nothing_arrives_until_it_is_healed(deployment: Deployment) -> None:
    link, lost = lossy(deployment)
    latency = link.add(Toxic("latency", {"latency": 1}), A_TO_B)
    name = link.add(Toxic(LOSS, {"percent": 100}), A_TO_B)
    with Connection(deployment.control("a")) as a, Connection(deployment.control("b")) as b:
        a.command("SET", "k", "v")
        wait_until(lambda: lost.lost(name) >= 2, deadline_s=60, what="packets to vanish")
        assert b.command("GET", "k") is None
        link.clear()
        assert rules(deployment) == []
        wait_until(lambda: b.command("GET", "k") == b"v", deadline_s=60, what="the value on b")
    with pytest.raises(SetupError, match="toxic not found"):
        link.remove(latency)


def test_a_loss_goes_with_the_node_that_it_meets(deployment: Deployment) -> None:
    link, lost = lossy(deployment)
    refuse_what_is_no_loss(deployment)
    name = link.add(Toxic(LOSS, {"percent": 50}), A_TO_B)
    deployment.restart("b")  # type: ignore[attr-defined]  # every runtime here can
    assert rules(deployment) == []
    assert lost.lost(name) == 0
    deployment.kill("b")  # type: ignore[attr-defined]
    link.remove(name)
    with pytest.raises(SetupError, match="node b has ended"):
        link.add(Toxic(LOSS, {"percent": 50}), A_TO_B)


def refuse_what_is_no_loss(deployment: Deployment) -> None:
    link, _ = lossy(deployment)
    for attributes in ({"percent": 0}, {"percent": 101}, {}, {"percent": 5, "jitter": 1}):
        with pytest.raises(SetupError, match=r"loss takes percent, above 0 to 100"):
            link.add(Toxic(LOSS, attributes), A_TO_B)
    with pytest.raises(SetupError, match=r"replication links only, and client->a is a client's"):
        deployment.proxied[CLIENT_TO_A].add(Toxic(LOSS, {"percent": 5}), CLIENT_TO_A)
    assert rules(deployment) == []


def test_a_process_of_this_machine_is_no_container() -> None:
    """As where the daemon numbers processes otherwise than we do."""
    if why_no_loss():
        pytest.skip(why_no_loss())
    loss = PacketLoss("b", os.getpid, ("198.51.100.1", 6379))
    with pytest.raises(SetupError, match=rf"packets of node b can't be made to vanish: process {os.getpid()} is no"):
        loss.add(Toxic(LOSS, {"percent": 50}))


def test_this_machines_own_rules_are_left_alone() -> None:
    """Other tests' deployments change Docker's own rules meanwhile."""
    with docker_client():
        why_no_loss.cache_clear()
        assert why_no_loss() == ""
    rules = subprocess.run(["iptables-save"], capture_output=True, check=True, timeout=30).stdout
    assert b"statistic" not in rules
