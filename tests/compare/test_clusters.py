"""Clusters with different numbers of shards, and a cluster against one server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from harness.endpoint.address import Endpoint
from tests.compare.clusters import cluster
from tests.compare.made import look, seen
from tests.support.pairs import ENGINES

Shards = list[Endpoint]


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shards, Shards]]:
    folder = tmp_path_factory.mktemp("clusters")
    with cluster(ENGINES[-1], folder / "three", 3) as three, cluster(ENGINES[-1], folder / "five", 5) as five:
        yield three, five


def client_of(shards: Shards) -> Any:
    return closing(RedisCluster(startup_nodes=[ClusterNode(each.host, each.port) for each in shards]))


def fill(client: Any) -> None:
    for number in range(300):
        client.rpush(f"list:{number}", *range(20))
        client.set(f"string:{{tag{number % 7}}}:{number}", "v")
    client.rpush("large", *range(5_000))
    client.hset("large:hash", mapping={f"f{each}": each for each in range(1_000)})


def test_three_shards_against_five(clusters: tuple[Shards, Shards], pair: tuple[Endpoint, Endpoint]) -> None:
    three, five = clusters
    for shards in clusters:
        with client_of(shards) as client:
            fill(client)
    outcome = look((three[1], five[2]))
    assert (outcome.verdict, outcome.totals.keys, outcome.totals.keys_b) == ("equal", 602, 602)
    with closing(redis.Redis(port=pair[0].port)) as client:
        fill(client)
    assert look((pair[0], five[0])).verdict == "equal"
    with client_of(five) as client:
        client.lset("large", 4_000, "X")
        client.delete("list:17")
        client.set("more", "v")
        client.hdel("large:hash", "f500")
    expected = [
        ("large", "element", 4_000, b"4000", b"X"),
        ("large:hash", "field_missing", b"f500", b"500", None),
        ("list:17", "missing_key", None, b"list", None),
        ("more", "extra_key", None, None, b"string"),
    ]
    assert seen(look((three[0], five[0]))) == expected
    assert seen(look((pair[0], five[0]))) == expected
