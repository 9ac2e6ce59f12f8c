"""Links between nodes: what a fault does to replication is the same for every runtime and every fault proxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from harness.endpoint.view import NodeView
from harness.fault.link import FaultLink
from harness.fault.toxic import Direction, Toxic
from harness.resp.connection import Connection, ConnectionLost
from harness.runtime.base import Deployment
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Link, Node, Topology
from tests.conformance.runtimes import PROXIES, runtime_with_proxy

PAIR = Topology({"a": Node("a", 6379, password="secret"), "b": Node("b", 10878, replica_of="a")})
A_TO_B, CLIENT_TO_A = Link("a", "b"), Link("client", "a")
Deploy = Callable[[Sequence[Link]], Deployment]


@pytest.fixture(params=PROXIES)
def deploy(request: pytest.FixtureRequest) -> Iterator[Deploy]:
    """deploy(links): an attached pair whose links lead through the proxy; closed after the test."""
    kind, proxy = request.param
    with Owner() as owner, runtime_with_proxy(kind, proxy, owner) as (runtime, opener):
        started: list[Deployment] = []

        def attached(links: Sequence[Link]) -> Deployment:
            started.append(runtime.deploy(PAIR, links, opener))
            started[-1].attach()
            return started[-1]

        yield attached
        for deployment in started:
            deployment.close()


def write_and_await(deployment: Deployment, value: int) -> float:
    """Write through A; seconds until B shows it."""
    with Connection(deployment.entry("a")) as a, Connection(deployment.control("b")) as b:
        began = time.monotonic()
        a.command("SET", "k", value)
        wait_until(lambda: b.command("GET", "k") == str(value).encode(), deadline_s=20, what="the value on b")
        return time.monotonic() - began


def link_is_up(deployment: Deployment) -> bool:
    with NodeView(deployment.control("b")) as view:
        return bool(view.replication().link_up)


@pytest.mark.alone
def test_latency_delays_the_replica_and_not_the_writer(deploy: Deploy) -> None:
    deployment = deploy([A_TO_B])
    link = deployment.proxied[A_TO_B]
    name = link.add(Toxic("latency", {"latency": 100}, Direction.TO_TARGET), A_TO_B)
    assert 0.1 <= write_and_await(deployment, 1) < 1
    began = time.monotonic()
    with Connection(deployment.entry("a")) as a:
        a.command("SET", "k", "x")
    assert time.monotonic() - began < 0.1
    link.remove(name)
    write_and_await(deployment, 2)


@pytest.mark.alone
def test_latency_on_the_client_delays_the_writer(deploy: Deploy) -> None:
    deployment = deploy([CLIENT_TO_A])
    assert deployment.entry("a") != deployment.endpoint("a")
    deployment.proxied[CLIENT_TO_A].add(Toxic("latency", {"latency": 50}, Direction.TO_TARGET), CLIENT_TO_A)
    with Connection(deployment.entry("a")) as a:
        began = time.monotonic()
        a.command("PING")
        assert 0.05 <= time.monotonic() - began < 1


@pytest.mark.alone
def test_bandwidth(deploy: Deploy) -> None:
    deployment = deploy([A_TO_B])
    deployment.proxied[A_TO_B].add(Toxic("bandwidth", {"rate": 500}, Direction.TO_TARGET), A_TO_B)
    with Connection(deployment.entry("a")) as a:
        began = time.monotonic()
        a.command("SET", "big", b"x" * 500_000)
        a.command("WAIT", 1, 10_000)
        assert 0.6 < time.monotonic() - began < 3  # a second, less what the proxy lets through at once


def test_order_survives_jitter(deploy: Deploy) -> None:
    """5 MB of list elements, sliced and shaken."""
    deployment = deploy([A_TO_B])
    link = deployment.proxied[A_TO_B]
    link.add(Toxic("latency", {"latency": 5, "jitter": 5}, Direction.TO_TARGET), A_TO_B)
    link.add(
        Toxic("slicer", {"average_size": 20_000, "size_variation": 10_000, "delay": 10}, Direction.TO_TARGET), A_TO_B
    )
    elements = [f"{number:050d}".encode() for number in range(100_000)]
    with Connection(deployment.entry("a"), timeout_s=30) as a, Connection(deployment.control("b")) as b:
        for first in range(0, len(elements), 10_000):
            a.command("RPUSH", "list", *elements[first : first + 10_000])
        assert a.command("WAIT", 1, 20_000) == 1
        assert b.command("LRANGE", "list", 0, -1) == elements


@pytest.mark.parametrize("link", [A_TO_B, CLIENT_TO_A], ids=str)
def test_cut_and_heal(deploy: Deploy, link: Link) -> None:
    deployment = deploy([link])
    proxied: FaultLink = deployment.proxied[link]
    if link.is_client:
        with Connection(deployment.entry("a")) as a:
            proxied.cut()
            with pytest.raises(ConnectionLost):
                a.command("PING")
    else:
        proxied.cut()
        wait_until(lambda: not link_is_up(deployment), deadline_s=20, what="the link to be down")
        with Connection(deployment.entry("a")) as a:
            a.command("SET", "k", "while cut")
    proxied.restore()
    wait_until(lambda: link_is_up(deployment), deadline_s=20, what="the link to be up")
    write_and_await(deployment, 3)


def test_a_restarted_primary_is_reached_through_the_same_link(deploy: Deploy) -> None:
    deployment = deploy([A_TO_B])
    deployment.restart("a")  # type: ignore[attr-defined]  # every runtime here can
    wait_until(lambda: link_is_up(deployment), deadline_s=20, what="the link to be up")
    write_and_await(deployment, 4)


BREAKING = {"timeout": {"timeout": 50}, "reset_peer": {"timeout": 20}, "limit_data": {"bytes": 3000}}


def test_what_breaks_a_link_breaks_it_until_it_is_healed(deploy: Deploy) -> None:
    """And what it held back arrives then."""
    deployment = deploy([A_TO_B])
    for number, (kind, attributes) in enumerate(BREAKING.items()):
        name = deployment.proxied[A_TO_B].add(Toxic(kind, attributes, Direction.TO_TARGET), A_TO_B)
        with Connection(deployment.entry("a")) as a:
            a.command("SET", "large", str(number) * 100_000)
        wait_until(lambda: not link_is_up(deployment), deadline_s=60, what="the link to break")
        deployment.proxied[A_TO_B].remove(name)
        wait_until(lambda: link_is_up(deployment), deadline_s=60, what="the link to be up again")
        write_and_await(deployment, number)
        with Connection(deployment.control("b")) as b:
            assert b.command("GET", "large") == str(number).encode() * 100_000
