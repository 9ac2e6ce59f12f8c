"""Clusters of real servers, as small as they can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.endpoint.address import Endpoint
from harness.resp.connection import Connection
from harness.resp.replies import Reply
from harness.runtime.readiness import wait_until
from tests.support.servers import running

HALF = 8192


def tell(node: Endpoint, *words: object) -> Reply:
    with Connection(node) as connection:
        return connection.command(*map(str, words))


@contextmanager
def two_primaries(engine: str, folder: Path) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Two servers that share the slots: 0 to 8191, and the others."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(running(engine, folder / name, "cluster-enabled yes", "cluster-node-timeout 30000"))
            for name in ("first", "second")
        )
        tell(first, "CLUSTER", "ADDSLOTSRANGE", 0, HALF - 1)
        tell(second, "CLUSTER", "ADDSLOTSRANGE", HALF, 16383)
        tell(second, "CLUSTER", "SET-CONFIG-EPOCH", 2)
        tell(first, "CLUSTER", "MEET", second.host, second.port)
        for node in (first, second):
            wait_until(lambda node=node: complete(node), deadline_s=60, what="the cluster to form")  # type: ignore[misc]
        yield first, second


def complete(node: Endpoint) -> bool:
    info = tell(node, "CLUSTER", "INFO")
    known = b"cluster_state:ok" in info and b"cluster_slots_assigned:16384" in info  # type: ignore[operator]
    slots = tell(node, "CLUSTER", "SLOTS")
    return known and isinstance(slots, list) and len(slots) == 2


def move_slot(slot: int, source: Endpoint, target: Endpoint) -> None:
    """As redis-cli does it: every key, then the slot; both nodes know at once."""
    ids = {node: tell(node, "CLUSTER", "MYID").decode() for node in (source, target)}  # type: ignore[union-attr]
    tell(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    tell(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    keys = tell(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000)
    for key in keys if isinstance(keys, list) else []:
        assert isinstance(key, bytes)
        tell(source, "MIGRATE", target.host, target.port, key.decode(), 0, 30_000)
    for node in (target, source):
        tell(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
