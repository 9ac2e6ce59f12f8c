from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.engine.binaries import Engine, find_engines
from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.runtime.follow import levels
from harness.runtime.local import LocalDeployment, LocalRuntime
from harness.runtime.owner import Owner
from harness.topology import Node, Topology

PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 6380, replica_of="a")})


def test_replicas_attach_from_the_primary_downwards() -> None:
    nodes = [Node("a", 1), Node("b", 2, "a"), Node("c", 3, "b"), Node("d", 4, "a"), Node("x", 5), Node("y", 6, "x")]
    made = levels(Topology({node.name: node for node in nodes}))

    assert [[node.name for node in level] for level in made] == [["b", "d", "y"], ["c"]]


@pytest.fixture
def owner() -> Iterator[Owner]:
    with Owner() as owner:
        yield owner


def attach_or_refusal(deployment: LocalDeployment) -> str | None:
    try:
        deployment.attach()
    except SetupError as error:
        return str(error)
    return None


@pytest.mark.parametrize("replica", find_engines(), ids=str)
@pytest.mark.parametrize("primary", find_engines(), ids=str)
def test_a_replica_follows_or_the_reason_is_named_within_seconds(
    primary: Engine, replica: Engine, owner: Owner
) -> None:
    """An engine can be too old for another's data: it says so in its log, and would retry for ever."""
    engines = {"a": primary, "b": replica}
    with LocalRuntime(lambda node: engines[node.name], "written", owner).deploy(PAIR) as deployment:
        began = time.monotonic()
        refusal = attach_or_refusal(deployment)
        assert time.monotonic() - began < 10
        assert refusal is None or refusal.startswith(
            "node b can't follow a: it is too old to read its primary's RDB format, version"
        )
        assert refusal is None or primary != replica
        assert deployment.death("b") is None


def test_data_written_before_attaching_is_there_with_its_offsets_comparable(owner: Owner) -> None:
    engine = find_engines()[0]
    with LocalRuntime(lambda node: engine, "written", owner).deploy(PAIR) as deployment:
        with Connection(deployment.control("a")) as a:
            for index in range(100):
                a.command("RPUSH", "list", *range(1000 * index, 1000 * (index + 1)))
        deployment.attach()
        with Connection(deployment.control("b")) as b:
            assert b.command("LLEN", "list") == 100_000


def test_a_primary_that_is_gone_is_named(owner: Owner) -> None:
    engine = find_engines()[0]
    with LocalRuntime(lambda node: engine, "written", owner).deploy(PAIR) as deployment:
        deployment.kill("a")
        with pytest.raises(SetupError, match=r"node a \(.*\) ended by signal 9"):
            deployment.attach()
