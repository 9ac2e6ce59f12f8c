"""Reads what nodes hold at the end: each key once from each node, over connections that are known to be ready.

Nodes whose offsets tell nothing are ready once a canary that was written after the last value shows up on the very
connection that reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from harness.checker.evidence import Convergence, KeyState, Reading
from harness.endpoint.address import Endpoint
from harness.errors import Failure
from harness.place import Place
from harness.placement import Shard
from harness.plan import StreamPlan, keys_of
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead
from harness.resp.read import read_any
from harness.resp.replication_info import role_in
from harness.runtime.base import Deployment, VouchedByCanary
from harness.runtime.readiness import WaitedTooLongError
from harness.watch import RunWatch

MOST_READERS = 8  # at once
Connect = Callable[[Endpoint], AbstractContextManager[Connection]]
Ready = Callable[[Connection, str, StreamPlan], None]  # waits on the connection that is to read this from this node


@dataclass(frozen=True)
class Sources:
    """What is to be read at the end, from which nodes, and where it is kept."""

    deployment: Deployment
    shards: Sequence[Shard]
    place: Place

    def of(self, shard: Shard, node: str, ready: Ready, connect: Connect) -> list[Reading]:
        """All keys of one node, one after another."""
        return [
            read(self.deployment, node, plan, self.place, ready, role=shard.role_of(node), connect=connect)
            for plan in shard.keys.values()
        ]


def read_all(
    sources: Sources, ready: Ready, connect: Connect = Connection, *, side_by_side: bool = False
) -> tuple[Reading, ...]:
    """Every key from every node that has it. side_by_side: several nodes at once, since one server alone does not keep
    a reader busy; each then over connections of its own. Ctrl-C ends what is under way.
    """
    nodes = [(shard, node) for shard in sources.shards for node in shard.nodes]
    if not side_by_side or len(nodes) < 2:
        return tuple(reading for each in nodes for reading in sources.of(*each, ready, connect))
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()
    interruptible = partial(Connection, interrupted=stopped.is_set)
    with ThreadPoolExecutor(min(len(nodes), MOST_READERS), "reader") as pool:
        try:
            under_way = [pool.submit(sources.of, *each, ready, interruptible) for each in nodes]
            return tuple(reading for each in under_way for reading in each.result())
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def read(
    deployment: Deployment,
    node: str,
    plan: StreamPlan,
    place: Place,
    ready: Ready,
    *,
    role: str = "",
    connect: Connect = Connection,
) -> Reading:
    """One stream from one node, once, as a user of that node would. ready: waits, on the very connection that reads;
    role: which the node must have when that connection has read, "" for any.
    """
    sink = place.sink(node, plan.reading)
    found = KeyRead(KeyState.UNREADABLE)
    try:
        with connect(deployment.entry(node).with_database(plan.db)) as connection:
            if deployment.topology.is_cluster:
                connection.command("READONLY")  # an owner of the slot answers all the same
            ready(connection, node, plan)
            found = read_any(connection, plan.ref, sink.add, push=plan.push, scores=plan.scores, numbers=plan.numbers)
            wrong_role = _wrong_role(connection, role)
            if found.error is not None:
                connection.close()  # there may be more to come on it
        if wrong_role:
            found = replace(found, state=KeyState.UNREADABLE, error=wrong_role)
    except Failure as failure:
        found = KeyRead(KeyState.UNREADABLE, error=str(failure))
    except BaseException:
        sink.abandon()
        raise
    sink.close()
    runs = place.runs(node, plan.reading)
    return Reading(
        node, plan.reading, found.state, runs, found.length, found.found_type, found.error, found.told, found.size
    )


def _wrong_role(connection: Connection, role: str) -> str:
    """Why what this connection read does not count, where the node at its other end is not what it was taken for."""
    if not role:
        return ""
    found = role_in(connection.command("ROLE"))
    return "" if found == role else f"the node that answered is a {found or 'node without a role'}, not a {role}"


def read_now(deployment: Deployment, node: str, plans: Sequence[StreamPlan], place: Place) -> tuple[Reading, ...]:
    """Every stream from one node, without waiting for anything."""
    return tuple(read(deployment, node, plan, place, _at_once) for plan in keys_of(plans).values())


def _at_once(connection: Connection, node: str, plan: StreamPlan) -> None:
    """Offsets have been waited for already."""


class Vouched:
    """Convergence of nodes that only a canary can vouch for: one for each stream, on the connection that reads it."""

    def __init__(self, deployment: Deployment, watch: RunWatch, since: float, give_up_s: float) -> None:
        self._deployment, self._watch, self._since, self._give_up_s = deployment, watch, since, give_up_s
        self._seen: dict[str, Convergence] = {}

    def ready(self, connection: Connection, node: str, plan: StreamPlan) -> None:
        """Wait until the connection that reads shows a canary written after the last value, or waiting is given up.

        Nodes whose offsets have been waited for are ready. The nemesis is told of the connection.
        """
        self._watch.reads(node, connection)
        deployment = self._deployment
        if not isinstance(deployment, VouchedByCanary) or node not in deployment.by_canary:
            return
        left = max(0.0, self._since + self._give_up_s - time.monotonic())
        try:
            deployment.await_canary(node, connection, plan.key.decode("utf-8", "surrogateescape"), left)
        except WaitedTooLongError as error:
            self._seen[node] = Convergence(node, False, None, error.last_seen, how="canary")
            return
        if node not in self._seen or self._seen[node].reached:
            seconds = max(0.0, time.monotonic() - self._since)
            self._seen[node] = Convergence(node, True, seconds, f"the canary beside {plan.name}", how="canary")

    def convergences(self) -> tuple[Convergence, ...]:
        return tuple(self._seen.values())
