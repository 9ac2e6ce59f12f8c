"""Nodes and links: who replicates from whom. Pure values, checked when they are made.

A link is written as its data flows: ``a->b`` is the replication path from primary a to replica b, and
``client->a`` the path of our own commands to a. The role words that the servers use on the wire do not occur here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

CLIENT = "client"


class Role(StrEnum):
    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, order=True)
class Link:
    """A directed path; ``str(link)`` is its name in files and reports."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}->{self.target}"

    @property
    def is_client(self) -> bool:
        """Whether our own client's commands flow over it, rather than replication."""
        return self.source == CLIENT

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read ``a->b``; ValueError where the text has another shape."""
        source, arrow, target = (part.strip() for part in text.partition("->"))
        if not (source and arrow and target) or "->" in target:
            raise ValueError(f"a link is written source->target, as in a->b or client->a, not {text!r}")
        return cls(source, target)


@dataclass(frozen=True)
class Node:
    """One server of a topology, as the runtime starts it.

    port: TCP port clients connect to; in_cluster: whether it is one of a cluster's; profile: the product whose
    client-visible behaviour it has; directives: raw server configuration, name and value, in the file's order.
    """

    name: str
    port: int
    replica_of: str | None = None
    password: str | None = field(default=None, repr=False)
    profile: str = "oss"
    engine: str | None = None
    in_cluster: bool = False
    directives: tuple[tuple[str, str], ...] = ()

    @property
    def role(self) -> Role:
        return Role.REPLICA if self.replica_of else Role.PRIMARY


class TopologyMistake(ValueError):
    """A topology that can't exist; node names the node to blame, key its key."""

    def __init__(self, node: str, key: str, message: str) -> None:
        self.node, self.key = node, key
        super().__init__(message)


@dataclass(frozen=True)
class Topology:
    """All nodes by name, primaries before the replicas that follow them."""

    nodes: Mapping[str, Node]

    def __post_init__(self) -> None:
        for mistake in self.mistakes(self.nodes):
            raise mistake
        ordered = sorted(self.nodes.values(), key=self._depth)
        object.__setattr__(self, "nodes", {node.name: node for node in ordered})

    @staticmethod
    def mistakes(nodes: Mapping[str, Node]) -> Iterator[TopologyMistake]:
        """Everything that keeps these nodes from being a topology, so that a loader can report it all at once."""
        if not nodes:
            yield TopologyMistake("", "", "a topology needs at least one node")
        for node in nodes.values():
            if node.name == CLIENT:
                yield TopologyMistake(node.name, "", f"{CLIENT!r} is our own client's name in links")
            if node.replica_of is not None and node.replica_of not in nodes:
                others = ", ".join(name for name in nodes if name != node.name) or "none"
                yield TopologyMistake(node.name, "replica_of", f"no node {node.replica_of!r}; the others are {others}")
        yield from _shared_ports(nodes)
        yield from _cycles(nodes)

    @cached_property
    def is_cluster(self) -> bool:
        """Whether its nodes make one cluster, each primary with its replicas a shard."""
        return any(node.in_cluster for node in self.nodes.values())

    @cached_property
    def replication_links(self) -> tuple[Link, ...]:
        return tuple(Link(node.replica_of, node.name) for node in self.nodes.values() if node.replica_of)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every link a fault can name: the replication links, then our client's to each node."""
        return self.replication_links + tuple(Link(CLIENT, name) for name in self.nodes)

    @cached_property
    def replicas(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if node.role is Role.REPLICA)

    @cached_property
    def primaries(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if node.role is Role.PRIMARY)

    def root_of(self, name: str) -> Node:
        """The primary at the top of this node's chain, the node itself for a primary."""
        node = self.nodes[name]
        while node.replica_of:
            node = self.nodes[node.replica_of]
        return node

    def replicas_below(self, name: str) -> tuple[Node, ...]:
        """Every replica that follows this node, directly or through others, nearest first."""
        return tuple(node for node in self.replicas if node.name != name and self._follows(node, name))

    def _follows(self, node: Node, name: str) -> bool:
        while node.replica_of:
            if node.replica_of == name:
                return True
            node = self.nodes[node.replica_of]
        return False

    def _depth(self, node: Node) -> int:
        depth = 0
        while node.replica_of:
            node, depth = self.nodes[node.replica_of], depth + 1
        return depth


def cluster_nodes(
    shards: int, replicas: int, first_port: int, directives: tuple[tuple[str, str], ...] = ()
) -> dict[str, Node]:
    """The nodes of a cluster: shard0, shard1, …, shard0-replica0, … on consecutive ports."""
    primaries = [f"shard{shard}" for shard in range(shards)]
    followers = {f"{primary}-replica{index}": primary for primary in primaries for index in range(replicas)}
    names: dict[str, str | None] = {**dict.fromkeys(primaries), **followers}
    return {
        name: Node(name, first_port + index, replica_of, in_cluster=True, directives=directives)
        for index, (name, replica_of) in enumerate(names.items())
    }


def _shared_ports(nodes: Mapping[str, Node]) -> Iterator[TopologyMistake]:
    owners: dict[int, str] = {}
    for node in nodes.values():
        if node.port in owners:
            yield TopologyMistake(node.name, "port", f"port {node.port} is already that of node {owners[node.port]!r}")
        owners.setdefault(node.port, node.name)


def _cycles(nodes: Mapping[str, Node]) -> Iterator[TopologyMistake]:
    """Each cycle once, at the first of its nodes."""
    reported: set[str] = set()
    for node in nodes.values():
        names = _way_round(node, nodes)
        if names and reported.isdisjoint(names):
            reported.update(names)
            yield TopologyMistake(node.name, "replica_of", f"a cycle: {' follows '.join([*names, node.name])}")


def _way_round(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    """The names from node back to itself, [] where its way ends at a primary or joins a cycle that it is not on."""
    names = [node.name]
    while node.replica_of in nodes and node.replica_of is not None:
        node = nodes[node.replica_of]
        if node.name == names[0]:
            return names
        if node.name in names:
            return []
        names.append(node.name)
    return []
