"""Changes a cluster's shape while it is written to (slots move, replicas take over), and gives it its own shape back.

A change runs in a thread of its own, since what it meets is what is written meanwhile. It has ended when every node
agrees on who owns what.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from harness.endpoint.view import NodeView
from harness.errors import Failure, SetupError
from harness.fault.cluster_calls import CHANGE_S, Reshapeable
from harness.fault.slot_moves import SlotMoves
from harness.resp.connection import CannotConnect, Connection, ConnectionLost
from harness.resp.replies import ErrorReply
from harness.runtime.server_config import NODE_TIMEOUT_MS
from harness.scenario.model import Fault, MoveSlots
from harness.slots import shard_ranges
from harness.topology import Topology

QUICK_TIMEOUT_MS = 1000


@runtime_checkable
class Isolating(Protocol):
    """A deployment that can cut one node off from all others, while clients still reach it."""

    def isolate(self, node: str) -> None: ...

    def reconnect(self, node: str) -> None: ...


class Operation:
    """A change under way. error: why it failed, "" where it did not; to be read when it has ended.

    loses: the shard whose acknowledged writes it may cost, "" where none; primary: the node that acknowledged them;
    took_over_at: time.monotonic() when another primary was seen there.
    """

    def __init__(
        self,
        change: Callable[[Operation], None],
        undo: Callable[[], None] = lambda: None,
        *,
        loses: str = "",
        primary: str = "",
    ) -> None:
        self._change, self._undo, self.loses, self.primary = change, undo, loses, primary
        self.error = ""
        self.took_over_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="reshape", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._change(self)
        except Failure as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - told as the reason why it counts as having met nothing
            self.error = f"{type(error).__name__}: {error}"

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def heal(self) -> None:
        """Wait until it has ended, and bring back what it took away; Failure where that goes wrong."""
        self._thread.join(2 * CHANGE_S)
        if self._thread.is_alive():
            raise SetupError(f"it has not ended within {2 * CHANGE_S:g} s")
        self._undo()
        if self.error:
            raise SetupError(self.error)


def begin(servers: Reshapeable, fault: Fault) -> Operation:
    """Begin what this fault says: move_slots, failover, restart or isolate."""
    if (move := fault.move_slots) is not None:
        return Operation(lambda operation: _move_share(servers, move))
    if (node := fault.restart) is not None:
        return Operation(lambda operation: _restart(servers, node))
    shard, how = str(fault.taken_over), fault.how or "graceful"
    with Reshaping(servers) as reshaping:
        primary, replica = reshaping.roles(shard)
    if fault.isolate is not None:
        return _isolate(servers, shard, primary, replica)
    if how == "kill":  # at once: what is sent from now on must not reach it any more
        servers.kill(primary)
    dead = [primary] if how == "kill" else []
    return Operation(
        lambda operation: _promote(servers, operation, replica, how),
        partial(_rejoin, servers, dead),
        loses=shard if fault.loses else "",
        primary=primary,
    )


def _isolate(servers: Reshapeable, shard: str, primary: str, replica: str) -> Operation:
    """As it goes by itself: the primary hears from nobody and stops to take writes, then its replica is elected."""
    assert isinstance(servers, Isolating)  # a runtime without this capability gets no such fault
    servers.isolate(primary)

    def change(operation: Operation) -> None:
        with Reshaping(servers, without=[primary]) as reshaping:
            reshaping.await_refusal(primary)
            reshaping.promote(replica, "force", operation)

    def undo() -> None:
        servers.reconnect(primary)
        with Reshaping(servers) as reshaping:
            reshaping.await_agreement()

    return Operation(change, undo, loses=shard, primary=primary)


def restore(servers: Reshapeable) -> None:
    """Give a cluster the shape back in which it was made."""
    with Reshaping(servers) as reshaping:
        reshaping.restore()


def _move_share(servers: Reshapeable, move: MoveSlots) -> None:
    with Reshaping(servers) as reshaping:
        reshaping.move_share(move.source, move.target, move.share.percent or 0.0)


def _promote(servers: Reshapeable, operation: Operation, replica: str, how: str) -> None:
    with Reshaping(servers) as reshaping:
        reshaping.promote(replica, how, operation)


def _restart(servers: Reshapeable, node: str) -> None:
    """The node ends in order and comes back, empty where it saves nothing, and follows or serves again."""
    servers.restart(node)
    with Reshaping(servers) as reshaping:
        reshaping.await_agreement()


def _rejoin(servers: Reshapeable, dead: Sequence[str]) -> None:
    """Start again what was killed; it finds its place in the cluster by itself."""
    for node in dead:
        servers.restart(node)
    if dead:
        with Reshaping(servers) as reshaping:
            reshaping.await_agreement()


class Reshaping(SlotMoves):
    """One change, over connections of its own."""

    def __enter__(self) -> Self:
        self._gossip_every(QUICK_TIMEOUT_MS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gossip_every(NODE_TIMEOUT_MS)
        self.close()

    def _gossip_every(self, timeout_ms: int) -> None:
        """Nodes ask each other twice in this time; what changes is else known to all only after seconds."""
        for name, node in self.servers.topology.nodes.items():
            if self.servers.death(name) or any(word.lower() == "cluster-node-timeout" for word, _ in node.directives):
                continue
            with suppress(CannotConnect, ConnectionLost), Connection(self.servers.control(name)) as connection:
                connection.command("CONFIG", "SET", "cluster-node-timeout", timeout_ms)

    # roles

    def roles(self, shard: str) -> tuple[str, str]:
        """The primary that a shard has now, and the first of its replicas."""
        owners = self._owners()
        primary = _acting(shard, owners.replicas_of, self.servers.topology)
        replicas = owners.replicas_of(primary)
        if not replicas:
            raise SetupError(f"{primary} has no replica that could take over")
        return primary, replicas[0]

    def promote(self, replica: str, how: str = "graceful", operation: Operation | None = None) -> None:
        """Let a replica take over its shard. operation: is told when it has."""
        mode = {"graceful": (), "force": ("FORCE",)}.get(how, ("TAKEOVER",))
        reply = self._connection(replica).command("CLUSTER", "FAILOVER", *mode)
        if isinstance(reply, ErrorReply):
            raise SetupError(f"{replica} refuses to take over: {reply}")
        self._await(lambda: self._role(replica) == "primary", f"{replica} to take over", lambda: "it is a replica")
        if operation is not None:
            operation.took_over_at = time.monotonic()
        self.await_agreement()

    def await_refusal(self, node: str) -> None:
        """A primary that reaches no majority says that the cluster is down, and takes no more writes."""
        seen: list[str] = []

        def refuses() -> bool:
            reply = self._must(node, "CLUSTER", "INFO")
            seen[:] = [reply.decode("utf-8", "replace").partition("\r\n")[0] if isinstance(reply, bytes) else ""]
            return seen == ["cluster_state:fail"]

        self._await(refuses, f"{node} to refuse writes", lambda: seen[0])

    # the way back

    def restore(self) -> None:
        self.undo_half_moved()
        topology = self.servers.topology
        for node in topology.primaries:
            if self._role(node.name) != "primary":
                self._await(partial(self._is_in_step, node.name), f"{node.name} to follow", lambda: "its link is down")
                self.promote(node.name)
        for node, written in zip(topology.primaries, shard_ranges(len(topology.primaries)), strict=True):
            self._bring_back(node.name, written)
        self.await_agreement()

    def _is_in_step(self, node: str) -> bool:
        with NodeView(self.servers.control(node)) as view:
            return bool(view.replication().link_up)

    def _bring_back(self, node: str, written: range) -> None:
        astray: dict[str, list[int]] = {}
        for first, last, owner, _ in self._owners().ranges:
            slots = [slot for slot in range(first, last + 1) if slot in written and owner != node]
            if slots:
                astray.setdefault(owner, []).extend(slots)
        for owner, slots in astray.items():
            self._move(owner, node, slots, set(self._with_keys(owner, slots)))
            self.await_agreement()


def _acting(shard: str, replicas_of: Callable[[str], Sequence[str]], topology: Topology) -> str:
    """The primary that a shard has now, where it is known by the one that it was written with."""
    if replicas_of(shard):
        return shard
    below = [node.name for node in topology.replicas_below(shard)]
    return next((node for node in below if shard in replicas_of(node)), shard)
