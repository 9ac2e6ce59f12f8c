"""Workloads, preloads and draws that can't be: two on one key, a database that a server lacks, nothing to vary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.kinds import SHARDED
from harness.scenario.model import Fault, NodeSpec, Property, TopologySpec, Workload
from harness.scenario.resolve import Problem
from harness.scenario.scalars import Path
from harness.topology import Topology

OWN_PREFIX = "harness:"
DEFAULT_DATABASES = 16
Written = tuple[Path, Workload]


def written(workload: Workload | tuple[Workload, ...] | None, preload: Sequence[Workload] | None) -> list[Written]:
    """Every workload and preload with its path in the file."""
    found: list[Written] = [(("preload", index), load) for index, load in enumerate(preload or ())]
    if isinstance(workload, Workload):
        return [*found, (("workload",), workload)]
    return [*found, *((("workload", index), load) for index, load in enumerate(workload or ()))]


def write_problems(loads: Sequence[Written], topology: TopologySpec | None) -> Iterator[Problem]:
    """What is wrong with what is written, as (path, sentence); topology None: databases can't be told."""
    places: dict[tuple[int, str], Path] = {}
    for path, load in loads:
        if load.key.startswith(OWN_PREFIX):
            yield (*path, "key"), f"keys that begin with {OWN_PREFIX!r} are the harness's own"
        place = (load.db, load.key)
        if place in places:
            other = ".".join(map(str, places[place]))
            yield (*path, "key"), f"{load.key!r} in database {load.db} is already written by {other}"
        places.setdefault(place, path)
        if topology is not None and topology.cluster is not None:
            yield from _cluster_problems(path, load, topology.cluster.replicas)
        elif topology is not None:
            yield from _database_problems(path, load, topology)


def _cluster_problems(path: Path, load: Workload, replicas: int) -> Iterator[Problem]:
    if not replicas and load.read_from == "replicas" and "read_from" in load.model_fields_set:
        yield (*path, "read_from"), "this cluster has no replicas: read_from: primaries, or replicas: 1 in its topology"
    if load.db:
        yield (*path, "db"), "a cluster has one database, 0"
    if path[0] == "preload":
        yield path, "a cluster's replicas follow from the beginning, so that nothing can be written before they attach"


def _database_problems(path: Path, load: Workload, topology: TopologySpec) -> Iterator[Problem]:
    for name, node in topology.nodes.items():
        databases = _databases(node)
        if load.db >= databases:
            message = f"node {name} has {databases} databases, 0 to {databases - 1}, so {load.db} is none of them"
            yield (*path, "db"), f"{message}; set config: {{databases: {load.db + 1}}} on each node"
            return


def _databases(node: NodeSpec) -> int:
    for name, value in node.config.items():
        if name.lower() == "databases" and str(value).isdigit():
            return int(value)
    return DEFAULT_DATABASES


def property_problems(drawn: Property | None, faults: Sequence[Fault] | None) -> Iterator[Problem]:
    """What is wrong with what Hypothesis draws, as (path, sentence); faults None: they are wrong themselves."""
    if drawn is None:
        return
    for index, shape in enumerate(drawn.batch.shapes):
        if shape in drawn.batch.shapes[:index]:
            yield ("property", "batch", "shapes", index), f"{shape} is already there"
    if drawn.fault_timing and faults is not None and not any(fault.at.percent is not None for fault in faults):
        message = "no fault begins at a share of the values (at: 20%), so there is nothing to draw"
        yield ("property", "fault_timing"), message


def drawn_problems(drawn: Property, topology: Topology, first: Workload) -> Iterator[Problem]:
    """What cannot be drawn for this topology and its first workload."""
    if drawn.reshape and not (topology.is_cluster and topology.replicas):
        yield ("property", "reshape"), "only a cluster with replicas has a shape to change: topology: {cluster: …}"
    if drawn.shards is not None and first.kind not in SHARDED:
        yield ("property", "shards"), f"{first.kind} writes one key; {' and '.join(SHARDED)} write several"
    if drawn.producers is not None and drawn.producers.max > 1 and first.kind == "stream":
        yield ("property", "producers"), "a stream's ids must rise, so that one producer alone can write it"
