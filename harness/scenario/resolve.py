"""From a topology as written to one that can be started: default ports, profiles, passwords, one primary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.endpoint.profile import profiles
from harness.scenario.directives import as_text, directive_problems
from harness.scenario.messages import nearest
from harness.scenario.model import NodeSpec, TopologySpec
from harness.scenario.scalars import Path
from harness.topology import Node, Topology, cluster_nodes

Problem = tuple[Path, str]
FIRST_PORT = 6379
LAST_PORT = 65_535


def resolved_nodes(spec: TopologySpec, passwords: Mapping[str, str]) -> dict[str, Node]:
    """Every node with its port; whether they are a topology is not checked. passwords: by node name."""
    if spec.cluster is not None:
        directives = tuple((name, as_text(value)) for name, value in spec.cluster.config.items())
        return cluster_nodes(spec.cluster.shards, spec.cluster.replicas, spec.cluster.port, directives)
    ports = _ports(spec)
    return {
        name: Node(
            name=name,
            port=ports[name],
            replica_of=node.replica_of,
            password=passwords.get(name),
            profile=node.profile,
            engine=node.engine,
            directives=_directives(node),
        )
        for name, node in spec.nodes.items()
    }


# What a kind of link makes of the server that follows; a directive of the scenario's own counts instead.
_OF_LINK = {"replica-of": (("replica-read-only", "no"), ("replica-ignore-maxmemory", "yes"))}


def _directives(node: NodeSpec) -> tuple[tuple[str, str], ...]:
    own = tuple((directive, as_text(value)) for directive, value in node.config.items())
    written = {directive.lower() for directive, _ in own}
    return (*(pair for pair in _OF_LINK.get(node.link, ()) if pair[0] not in written), *own)


def _ports(spec: TopologySpec) -> dict[str, int]:
    """Written ports as they are; the others, in file order, get the first unused one from their profile's upwards."""
    ports = {name: node.port for name, node in spec.nodes.items() if node.port is not None}
    for name, node in spec.nodes.items():
        if name not in ports:
            known = profiles().get(node.profile)
            first = (known.port if known else None) or FIRST_PORT
            taken = set(ports.values())
            ports[name] = next(port for port in range(first, LAST_PORT + 1) if port not in taken)
    return ports


def topology_problems(spec: TopologySpec, nodes: Mapping[str, Node], *, alone: bool = True) -> Iterator[Problem]:
    """Everything that keeps this from being a topology that a scenario can use, as (path, sentence).

    alone: whether there has to be one primary, and a replica of it.
    """
    for mistake in Topology.mistakes(nodes):
        path = ("topology", "nodes", mistake.node, mistake.key)
        yield tuple(part for part in path if part), str(mistake)
    for name, node in spec.nodes.items():
        yield from _role_problems(name, node)
        yield from _profile_problems(name, node)
        yield from _link_problems(name, node, spec)
        yield from directive_problems(name, node)
    if spec.cluster is None:
        yield from _shape_problems(spec) if alone else ()
    else:
        for found, sentence in directive_problems("cluster", NodeSpec(config=spec.cluster.config)):
            yield ("topology", "cluster", *found[3:]), sentence


def _role_problems(name: str, node: NodeSpec) -> Iterator[Problem]:
    path: Path = ("topology", "nodes", name, "role")
    if node.role == "primary" and node.replica_of:
        yield path, f"a primary replicates from nobody, but replica_of says {node.replica_of}; drop one of the two"
    if node.role == "replica" and not node.replica_of:
        yield path, "a replica needs replica_of: the node that it replicates from"


def _profile_problems(name: str, node: NodeSpec) -> Iterator[Problem]:
    known = sorted(profiles())
    if node.profile not in known:
        near = nearest(node.profile, known)
        hint = f"; did you mean {near!r}?" if near else ""
        yield ("topology", "nodes", name, "profile"), f"expected one of {', '.join(known)}, not {node.profile!r}{hint}"


def _link_problems(name: str, node: NodeSpec, spec: TopologySpec) -> Iterator[Problem]:
    path: Path = ("topology", "nodes", name, "link")
    if node.link == "native":
        return
    source = spec.nodes.get(node.replica_of or "")
    if node.replica_of is None:
        yield path, f"a primary follows nobody: {node.link} needs replica_of"
    elif node.link == "online-migration" and source is not None and source.password:
        yield path, f"online migration needs a source without a password, and {node.replica_of} has one"


def _shape_problems(spec: TopologySpec) -> Iterator[Problem]:
    primaries = [name for name, node in spec.nodes.items() if not node.replica_of]
    path: Path = ("topology", "nodes")
    if len(primaries) > 1:
        names = ", ".join(primaries)
        yield (
            (*path, primaries[1]),
            f"a scenario has one primary, and here are {len(primaries)}: {names}; add replica_of",
        )
    if len(primaries) == len(spec.nodes) == 1:
        yield path, "a scenario needs a replica: there is nothing to compare the primary with"
