"""A real cluster behind a simulated endpoint: clients are led through it by the endpoint's own addresses only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile
from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
from harness.endpoint.simulated.plan import Plan
from harness.endpoint.simulated.redirects import MOVING, Redirects
from harness.errors import SetupError
from tests.endpoint.simulated.clusters import move_slot, tell, two_primaries
from tests.endpoint.simulated.endpoints import Raw, simulated

FRONTS = {("10.0.0.1", 7000): 11000, ("10.0.0.9", 7001): 11001}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Endpoint]]:
    with two_primaries("valkey-server", tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.mark.parametrize("name", ["azure-managed-redis/oss", "elasticache", "memorystore-cluster"])
def test_a_cluster_client_sees_our_addresses_only(
    cluster: tuple[Endpoint, Endpoint], name: str, tmp_path: Path
) -> None:
    real = {node.port for node in cluster}
    with simulated(cluster[0], name, tmp_path) as endpoint:
        with redis.RedisCluster(host=endpoint.host, port=endpoint.port, protocol=2) as user:
            shown = {node.port for node in user.get_nodes()}
            assert len(shown) == 2
            assert endpoint.port in shown
            assert not shown & real
            for number in range(100):
                user.set(f"{name}:{number}", number)
            assert [user.get(f"{name}:{number}") for number in range(100)] == [b"%d" % number for number in range(100)]
        for port in shown:
            with Raw(Endpoint(endpoint.host, port)) as raw:
                raw.send(b"DEBUG SLEEP 0\r\n")
                assert raw.line().startswith((b"-ERR unknown command", b"-NOPERM"))
                raw.send(b"SUNION a b\r\n")  # their slots lie on different nodes
                assert raw.line().startswith(b"-CROSSSLOT")
    assert {tell(node, "DBSIZE") for node in cluster} != {0}


def test_slots_that_move_are_followed(cluster: tuple[Endpoint, Endpoint], tmp_path: Path) -> None:
    first, second = cluster
    with simulated(first, "memorystore-cluster", tmp_path) as endpoint:
        with redis.RedisCluster(host=endpoint.host, port=endpoint.port, protocol=2) as user:
            user.set("foo", "1")  # slot 12182, of the second
            move_slot(12182, second, first)
            try:
                assert user.incr("foo") == 2
                assert user.get_node_from_key("foo").port == endpoint.port
            finally:
                move_slot(12182, first, second)
            assert user.incr("foo") == 3
        with Raw(endpoint) as raw:
            raw.send(b"GET foo\r\n")
            kind, slot, address = raw.line().split()
            assert (kind, slot) == (b"-MOVED", b"12182")
            assert address.startswith(b"127.0.0.1:")
            assert int(address.partition(b":")[2]) not in {first.port, second.port}


@pytest.mark.parametrize("name", ["oss", "redis-enterprise", "redis-enterprise/sharded", "memorystore"])
def test_what_shows_no_cluster_refuses_one(cluster: tuple[Endpoint, Endpoint], name: str, tmp_path: Path) -> None:
    plan = Plan(name, "127.0.0.1", 0, upstream_of(cluster[0]), profile(name).behaviour)
    endpoint = SimulatedEndpoint(plan, tmp_path / "log")
    try:
        with pytest.raises(SetupError, match=rf"is a member of a cluster, and {name} can't lead its clients"):
            endpoint.wait_ready()
    finally:
        endpoint.stop()


def changed(data: bytes, cuts: list[int]) -> tuple[bytes, int]:
    unknown: list[None] = []
    redirects = Redirects(("10.0.0.1", 7000), FRONTS.get, lambda: unknown.append(None))
    redirects.host = "127.0.0.1"
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(redirects.feed(data[start:end]) for start, end in pairwise(places)), len(unknown)


BULK = st.binary(max_size=40).map(lambda value: b"$%d\r\n%b\r\n" % (len(value), value))
TRAP = b"-MOVED 5 10.0.0.9:7001\r\n"
PIECES = {
    b"+OK\r\n": b"+OK\r\n",
    b":12\r\n": b":12\r\n",
    b"$-1\r\n": b"$-1\r\n",
    b"*-1\r\n": b"*-1\r\n",
    b"%1\r\n+a\r\n#t\r\n": b"%1\r\n+a\r\n#t\r\n",
    b"-ERR no\r\n": b"-ERR no\r\n",
    b"$%d\r\n%b\r\n" % (len(TRAP), TRAP): b"$%d\r\n%b\r\n" % (len(TRAP), TRAP),
    b"$%d\r\n\r\n%b\r\n" % (len(TRAP) + 2, TRAP): b"$%d\r\n\r\n%b\r\n" % (len(TRAP) + 2, TRAP),
    TRAP: b"-MOVED 5 127.0.0.1:11001\r\n",
    b"-ASK 7 :7000\r\n": b"-ASK 7 127.0.0.1:11000\r\n",
    b"*2\r\n" + TRAP + b"$1\r\nx\r\n": b"*2\r\n-MOVED 5 127.0.0.1:11001\r\n$1\r\nx\r\n",
    b"-MOVED 5 10.0.0.7:7001\r\n": MOVING,
}


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(sorted(PIECES)) | BULK, max_size=60), st.lists(st.integers(0, 10**6), max_size=8))
def test_redirections_are_found_however_they_are_cut_and_values_never_change(
    pieces: list[bytes], cuts: list[int]
) -> None:
    out, unknown = changed(b"".join(pieces), cuts)

    assert out == b"".join(PIECES.get(piece, piece) for piece in pieces)
    assert unknown == pieces.count(b"-MOVED 5 10.0.0.7:7001\r\n")
