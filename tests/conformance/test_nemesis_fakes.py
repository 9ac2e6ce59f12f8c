"""What the nemesis is tested with behaves as what it works with: one suite over the made-up world and the real one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import harness
from harness.endpoint.client import connect
from harness.errors import Failure
from harness.fault.active import Watch
from harness.fault.link import FaultLink
from harness.fault.toxic import Toxic
from harness.scenario.model import StrayWrite
from harness.topology import Link
from harness.watch import RunWatch
from tests.support.disturbed import World, eventually

A_TO_B, TO_B = Link.parse("a->b"), Link.parse("client->b")
PAIR = """\
version: 1
title: A pair
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380}}}
workload: {key: "numbers:list", values: 1}
"""


@dataclass
class Subject:
    """write(n): n elements go to A, and A has them."""

    watch: Watch
    links: dict[Link, FaultLink]
    write: Callable[[int], None]


@pytest.fixture(scope="module", params=["made up", "real"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    if request.param == "made up":
        world = World("a->b", "client->b")
        world.failing["write_stray"] = Failure("READONLY")
        yield Subject(world, dict(world.links), functools.partial(world.write))
        return
    path: Path = tmp_path_factory.mktemp("pair") / "pair.yaml"
    path.write_text(PAIR)
    with (
        harness.deploy(path, disturb=["client->b"]) as deployed,
        RunWatch(deployed.deployment, ()) as watch,
        closing(connect(deployed.deployment.control("a"))) as client,
    ):

        def write(count: int) -> None:
            client.rpush("list", *range(count))

        yield Subject(watch, dict(deployed.deployment.proxied), write)


@pytest.mark.parametrize("link", [A_TO_B, TO_B], ids=str)
def test_a_cut_takes_the_link_down_and_a_restore_brings_it_back(subject: Subject, link: Link) -> None:
    assert subject.watch.link_up(link)
    subject.links[link].cut()
    eventually(lambda: not subject.watch.link_up(link))
    subject.links[link].cut()
    subject.links[link].restore()
    eventually(lambda: subject.watch.link_up(link))
    subject.links[link].restore()
    assert subject.watch.link_up(link)


def test_toxics_have_names_of_their_own_and_are_removed_once(subject: Subject) -> None:
    link = subject.links[A_TO_B]
    names = [link.add(Toxic("latency", {"latency": 1}), A_TO_B) for _ in range(2)]
    assert len(set(names)) == 2
    link.remove(names[0])
    with pytest.raises(Failure):
        link.remove(names[0])
    link.clear()
    with pytest.raises(Failure):
        link.remove(names[1])
    assert subject.watch.link_up(A_TO_B)


def test_toxics_may_change_while_the_link_is_cut(subject: Subject) -> None:
    link = subject.links[A_TO_B]
    link.cut()
    name = link.add(Toxic("bandwidth", {"rate": 1}), A_TO_B)
    link.remove(name)
    eventually(lambda: not subject.watch.link_up(A_TO_B))
    link.clear()
    eventually(lambda: subject.watch.link_up(A_TO_B))


def test_what_is_written_shows_as_traffic_at_once(subject: Subject) -> None:
    before = subject.watch.traffic(A_TO_B)
    subject.write(5)
    assert subject.watch.traffic(A_TO_B) >= before + 5


def test_a_link_at_rest_shows_no_full_sync_under_way(subject: Subject) -> None:
    begun, finished = subject.watch.full_syncs(A_TO_B)
    assert begun == finished
    assert subject.watch.sync_bytes(A_TO_B) == 0
    assert subject.watch.full_syncs(TO_B) == (0, 0)
    assert subject.watch.sync_bytes(TO_B) == 0
    assert subject.watch.breaks(A_TO_B) == 0


def test_a_stray_write_that_the_node_refuses_is_a_failure(subject: Subject) -> None:
    with pytest.raises(Failure, match="READONLY"):
        subject.watch.write_stray(StrayWrite(node="b", key="k", element="x"))
