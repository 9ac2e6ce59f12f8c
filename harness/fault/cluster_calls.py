"""Questions and orders to the nodes of a cluster, over connections of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Protocol, runtime_checkable

from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.errors import SetupError
from harness.resp.connection import CannotConnect, Connection, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.cluster import ClusterMap, Owners
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.topology import Topology

CHANGE_S = 30.0


@runtime_checkable
class Reshapeable(Protocol):
    """A deployment whose nodes make a cluster and can be killed and started again."""

    topology: Topology
    cluster: ClusterMap

    def control(self, node: str) -> Endpoint: ...

    def inside(self, node: str) -> tuple[str, int]: ...

    def kill(self, node: str) -> None: ...

    def restart(self, node: str) -> None: ...

    def death(self, node: str, wait_s: float = 0.0) -> str | None: ...


class ClusterCalls:
    """The nodes of one cluster; whoever opens it closes its connections. without: nodes that can't agree with the
    others, being cut off.
    """

    def __init__(self, servers: Reshapeable, without: Collection[str] = ()) -> None:
        self.servers, self._without = servers, without
        self._opened = ExitStack()
        self._connections: dict[str, Connection] = {}

    def close(self) -> None:
        self._connections.clear()
        self._opened.close()

    def await_agreement(self, also: Callable[[], bool] = lambda: True, what: str = "the nodes to agree") -> None:
        """Every node that runs tells the same owners of all slots, and the same replicas of each."""
        seen: list[str] = []

        def agreed() -> bool:
            try:
                views = {node: self._seen_from(node) for node in self._running()}
            except (CannotConnect, ConnectionLost) as error:
                seen[:] = [str(error)]
                return False
            seen[:] = [f"{node}: {sorted(view)}" for node, view in views.items()]
            return len(set(views.values())) == 1 and also()

        self._await(agreed, what, lambda: "; ".join(seen)[:1000])

    def _running(self) -> list[str]:
        return [
            node for node in self.servers.topology.nodes if node not in self._without and not self.servers.death(node)
        ]

    def _seen_from(self, node: str) -> frozenset[tuple[int, int, str, tuple[str, ...]]]:
        with Connection(self.servers.control(node), timeout_s=2.0) as connection:
            return frozenset(self.servers.cluster.parsed(connection.command("CLUSTER", "NODES")).ranges)

    def _role(self, node: str) -> str:
        with NodeView(self.servers.control(node)) as view:
            return str(view.replication().role)

    def _owners(self) -> Owners:
        return self.servers.cluster.owners()

    def _connection(self, node: str) -> Connection:
        if node not in self._connections:
            self._connections[node] = self._opened.enter_context(Connection(self.servers.control(node)))
        return self._connections[node]

    def _must(self, node: str, *words: object) -> Reply:
        reply = self._connection(node).command(*[word if isinstance(word, bytes) else str(word) for word in words])
        if isinstance(reply, ErrorReply):
            raise SetupError(f"{node} refuses {' '.join(map(str, words[:3]))}: {reply}")
        return reply

    def _all(self, node: str, commands: Sequence[tuple[object, ...]]) -> list[Reply]:
        connection = self._connection(node)
        connection.send(b"".join(connection.pack(*map(str, words)) for words in commands))
        return [connection.take_reply() for _ in commands]

    def _checked_all(self, node: str, commands: Sequence[tuple[object, ...]]) -> None:
        for words, reply in zip(commands, self._all(node, commands), strict=True):
            if isinstance(reply, ErrorReply):
                raise SetupError(f"{node} refuses {' '.join(map(str, words[:4]))}: {reply}")

    def _await(self, condition: Callable[[], bool], what: str, seen: Callable[[], str]) -> None:
        try:
            wait_until(condition, deadline_s=CHANGE_S, what=what, describe=seen)
        except WaitedTooLongError as error:
            raise SetupError(str(error)) from None
