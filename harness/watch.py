"""What the nemesis sees of a run: elements sent, traffic on links, links up or down, full syncs under way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from harness.convergence import ask
from harness.endpoint.view import NodeView
from harness.errors import SetupError
from harness.fault.cluster_calls import Reshapeable
from harness.fault.reshape import Operation, begin
from harness.replication_log import count_syncs
from harness.resp.connection import CannotConnect, Connection, ConnectionLost
from harness.resp.replies import ErrorReply
from harness.runtime.base import Deployment
from harness.scenario.model import Fault, StrayWrite
from harness.topology import Link
from harness.workload.base import Writer

CONNECT_WITHIN_S = 1.0
T = TypeVar("T")


class RunWatch:
    """fault.active.Watch over a deployment and its writers; called under the nemesis' lock, one thread at a time."""

    def __init__(self, deployment: Deployment, writers: Sequence[Writer]) -> None:
        self._deployment, self._writers = deployment, writers
        self._views: dict[str, NodeView] = {}
        self._readers: list[tuple[str, Connection]] = []
        self._given_up = threading.Event()
        self._offsets: dict[str, int] = {}
        self._killed = False
        self._deposed: set[str] = set()  # primaries whose shards have failed over

    def give_up(self) -> None:
        """Wait for no node any more, from any thread: whoever waits gets Interrupted."""
        self._given_up.set()

    def reads(self, node: str, connection: Connection) -> None:
        """From now on this connection, over which we read from the node, counts as one of our clients."""
        self._readers.append((node, connection))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for view in self._views.values():
            view.close()

    def sent(self) -> int:
        return sum(writer.sent for writer in self._writers)

    def traffic(self, link: Link) -> int:
        if not link.is_client:
            return self._offset(link.source)
        read = sum(connection.bytes_sent for node, connection in self._readers if node == link.target)
        return read + sum(writer.bytes_to(link.target) for writer in self._writers)

    def shard_traffic(self, change: Fault) -> int:
        move, topology = change.move_slots, self._deployment.topology
        concerned = [move.source, move.target] if move is not None else [str(change.taken_over or change.restart)]
        roots = {topology.root_of(name).name for name in concerned}
        nodes = [node for node in topology.nodes if topology.root_of(node).name in roots]
        return sum(writer.bytes_to(node) for writer in self._writers for node in nodes)

    def breaks(self, link: Link) -> int:
        return sum(writer.breaks_at(link.target) for writer in self._writers) if link.is_client else 0

    def link_up(self, link: Link) -> bool:
        if not link.is_client:
            return bool(self._ask(link.target, NodeView.replication).link_up)
        try:
            socket.create_connection(self._deployment.proxied[link].listen, CONNECT_WITHIN_S).close()
        except OSError:
            return False
        return True

    def sync_bytes(self, link: Link) -> int:
        return 0 if link.is_client else self._ask(link.target, NodeView.sample).sync_bytes

    def full_syncs(self, link: Link) -> tuple[int, int]:
        if link.is_client:
            return 0, 0
        counts = count_syncs(self._deployment.log(link.target))
        return counts.full_started, counts.full_finished

    def write_stray(self, stray: StrayWrite) -> None:
        endpoint = self._deployment.endpoint(stray.node).with_database(stray.db)
        with Connection(endpoint) as connection:
            reply = connection.command("RPUSH", stray.key, stray.element)
        if isinstance(reply, ErrorReply):
            raise SetupError(f"{stray.node} refused the stray write: {reply}")

    def reshape(self, fault: Fault) -> Operation:
        deployment = self._deployment
        assert isinstance(deployment, Reshapeable)  # the rules hold: such a fault needs a cluster of our own
        for node in deployment.topology.primaries:
            self._offset(node.name)
        self._killed = self._killed or fault.how == "kill"
        operation = begin(deployment, fault)
        if operation.primary:
            self._deposed.add(operation.primary)
        return operation

    def abandoned(self, link: Link) -> bool:
        return not link.is_client and link.source in self._deposed

    def redirected(self) -> int:
        return sum(writer.redirected for writer in self._writers)

    def _offset(self, node: str) -> int:
        """The node's offset; the last one that was seen where it was killed since."""
        try:
            self._offsets[node] = self._ask(node, NodeView.replication).offset
        except (CannotConnect, ConnectionLost):
            if node not in self._offsets or not self._killed:
                raise
        return self._offsets[node]

    def _ask(self, node: str, question: Callable[[NodeView], T]) -> T:
        if node not in self._views:
            self._views[node] = NodeView(self._deployment.control(node), interrupted=self._given_up.is_set)
        return ask(self._views[node], question)
