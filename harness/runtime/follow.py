"""Makes replicas follow their primaries, and waits until they really do; every runtime that starts servers uses it.

"The link is up" is not enough: a server can say so a second before it streams. A replica is ready when something that
its primary produced after the link came up has been processed by it. What is produced is a published message: it
travels through replication, moves the offset, and leaves no key behind. A replica that can never follow says why in
its own log, over and over; that is found there, not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.errors import HarnessError, SetupError
from harness.replication import ReplicationInfo
from harness.replication_log import refusal
from harness.resp.connection import CannotConnect, ConnectionLost
from harness.resp.kept import KeptConnections
from harness.resp.replication_info import info_fields, parse_replication, replicate_from, sync_bytes
from harness.resp.replies import ErrorReply
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.topology import Node, Topology

ATTACH_S = 30.0  # without progress
CHANNEL = "harness:ready"
_GLANCE_S = 0.2  # how often logs, dead processes and progress are looked at; states are polled faster
_SHOWN_LINES = 12
_DEATH_S = 1.0  # how long a server may take to end after its connection has broken

Done = Callable[[str, ReplicationInfo], bool]  # node, what it shows


class Attachable(Protocol):
    """What is needed of started servers."""

    topology: Topology
    kept: KeptConnections

    def control(self, node: str) -> Endpoint: ...

    def inside(self, node: str) -> tuple[str, int]: ...

    def log(self, node: str) -> str: ...

    def death(self, node: str, wait_s: float) -> str | None:
        """The whole story where the server has ended, within wait_s; None while it runs."""


def follow_all(
    servers: Attachable,
    sources: Mapping[str, tuple[str, int]],
    afterwards: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Make every replica follow, those nearest to a primary first, and return when all of them have processed what
    their primary produced after that. sources: by replica, the address to follow, a proxy's or the primary's own.
    afterwards: a command that a node gets when all follow.

    SetupError names the replica that can't, or what was seen last, or what a node refuses.
    """
    with ExitStack() as stack:
        attachment = Attachment(servers, stack)
        for level in levels(servers.topology):
            for node in level:
                attachment.tell(node, sources[node.name])
            attachment.wait_for([node.name for node in level], "to have its link up", has_link_up)
        targets = {node.name: attachment.produce(node.name) for node in servers.topology.primaries}
        roots = {node.name: targets[servers.topology.root_of(node.name).name] for node in servers.topology.replicas}
        attachment.wait_for(list(roots), "to follow", lambda node, info: has_processed(info, roots[node]))
        attachment.command_each(afterwards)


def levels(topology: Topology) -> list[list[Node]]:
    """The replicas by their distance from the primary: a replica can serve others only when it follows itself."""
    found: list[list[Node]] = []
    names = {node.name for node in topology.primaries}
    while level := [node for node in topology.replicas if node.replica_of in names]:
        found.append(level)
        names = {node.name for node in level}
    return found


def has_link_up(node: str, info: ReplicationInfo) -> bool:
    return bool(info.link_up)


def has_processed(info: ReplicationInfo, target: ReplicationInfo) -> bool:
    return (
        bool(info.link_up)
        and info.replication_id == target.replication_id
        and info.processed_offset is not None
        and info.processed_offset >= target.offset
    )


@dataclass
class _Seen:
    """What one replica showed last, and how far it came."""

    shown: str = "no answer"
    sync_bytes: int = 0


class Attachment:
    """The connections and the waiting of one `follow_all`."""

    def __init__(self, servers: Attachable, stack: ExitStack) -> None:
        self.servers, self._stack = servers, stack
        self._views: dict[str, NodeView] = {}
        self._log_before: dict[str, int] = {}
        self._glanced = time.monotonic()
        self._persistence = 0.0

    def tell(self, node: Node, source: tuple[str, int]) -> None:
        """Let one node begin to follow."""
        self.note(node)
        try:
            replicate_from(self.view(node.name).connection.command, *source)
        except HarnessError as error:
            raise SetupError(f"node {node.name} can't be made a replica: {error}") from None

    def note(self, node: Node) -> None:
        """What a node's log says from now on is about how it follows."""
        self._log_before[node.name] = len(self.servers.log(node.name))
        self.view(node.name)

    def produce(self, primary: str) -> ReplicationInfo:
        """Let a primary produce something that leaves no key, and return where it stands after that."""
        view = self.view(primary)
        reply, info = view.connection.commands(("PUBLISH", CHANNEL, ""), ("INFO", "replication"))
        if isinstance(reply, ErrorReply):
            raise SetupError(f"node {primary} can't publish a message for its replicas to process: {reply}")
        if not isinstance(info, bytes):
            raise SetupError(f"node {primary} answered INFO with {info!r}")
        return parse_replication(info.decode("utf-8", "replace"))

    def command_each(self, commands: Mapping[str, Sequence[str]]) -> None:
        """A command for each of these nodes, all sent before the first answer is awaited."""
        for node, words in commands.items():
            connection = self.view(node).connection
            connection.send(connection.pack(*words))
        for node, words in commands.items():
            if isinstance(reply := self.view(node).connection.take_reply(), ErrorReply):
                raise SetupError(f"node {node} refuses {' '.join(words[:2])}, which the harness needs: {reply}")

    def wait_for(self, nodes: Sequence[str], what: str, done: Done) -> None:
        seen = {node: _Seen() for node in nodes}
        waiting = list(nodes)

        def all_done() -> bool:
            waiting[:] = [node for node in waiting if not self._look(node, seen[node], done)]
            if waiting and time.monotonic() - self._glanced > _GLANCE_S:
                self._glance(waiting)
            return not waiting

        try:
            wait_until(
                all_done,
                deadline_s=ATTACH_S,
                what=f"{', '.join(nodes)} {what}",
                describe=lambda: "; ".join(f"{node}: {seen[node].shown}" for node in waiting),
                progress=lambda: self._persistence + sum(one.sync_bytes for one in seen.values()),
            )
        except WaitedTooLongError as error:
            raise SetupError(f"{error}\n{self._end_of_log(waiting[0])}") from None

    def _look(self, node: str, seen: _Seen, done: Done) -> bool:
        """Ask a replica for its state; whether it is done."""
        try:
            text = self.view(node).info("replication")
        except (ConnectionLost, CannotConnect) as error:
            self._check_alive(node, _DEATH_S)
            seen.shown = str(error)
            self._views.pop(node).close()
            return False
        info = parse_replication(text)
        seen.shown, seen.sync_bytes = _shown(info), max(seen.sync_bytes, sync_bytes(text))
        return done(node, info)

    def _glance(self, waiting: Sequence[str]) -> None:
        """What is worth a look now and then: dead servers, a replica that can never follow, saving and loading."""
        for node in waiting:
            self._check_alive(node)
            if reason := refusal(self.servers.log(node)[self._log_before[node] :]):
                raise SetupError(f"node {node} can't follow {self._source(node)}: {reason}\n{self._end_of_log(node)}")
        for node in {self._source(node) for node in waiting}:
            self._check_alive(node)
        self._persistence = sum(self._saved_or_loaded(node) for node in self.servers.topology.nodes)
        self._glanced = time.monotonic()

    def _saved_or_loaded(self, node: str) -> float:
        """Something that grows while a server saves a snapshot (seconds) or loads one (bytes)."""
        try:
            fields = info_fields(self.view(node).info("persistence"))
        except (ConnectionLost, CannotConnect):
            self._views.pop(node).close()
            return 0.0
        saving_s = max(0.0, float(fields.get("rdb_current_bgsave_time_sec", 0)))
        return saving_s + float(fields.get("loading_loaded_bytes", 0))

    def _check_alive(self, node: str, wait_s: float = 0.0) -> None:
        if story := self.servers.death(node, wait_s):
            raise SetupError(story)

    def _source(self, node: str) -> str:
        return self.servers.topology.nodes[node].replica_of or node

    def view(self, node: str) -> NodeView:
        if node not in self._views:
            self._views[node] = self._stack.enter_context(NodeView(self.servers.control(node), kept=self.servers.kept))
        return self._views[node]

    def _end_of_log(self, node: str) -> str:
        lines = self.servers.log(node).strip().splitlines()[-_SHOWN_LINES:]
        return f"  the log of {node} ends:" + "".join(f"\n    {line}" for line in lines)


def _shown(info: ReplicationInfo) -> str:
    link = {True: "up", False: "down", None: "none"}[info.link_up]
    syncing = ", in a full sync" if info.sync_in_progress else ""
    return f"{info.role}, link {link}{syncing}, offset {info.processed_offset}, id {info.replication_id[:8]}"
