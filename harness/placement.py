"""Where each key of a run is: with a plain topology's one primary, or in the shard of a cluster that owns its slot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import Failure
from harness.plan import StreamPlan, keys_of
from harness.runtime.base import Clustered, Deployment, Watched
from harness.runtime.cluster import Look, Owners
from harness.slots import shard_of, slot_of
from harness.workload.base import Route

SETTLED_WITHIN_S = 5.0  # nodes hear of a new owner at different times


@dataclass(frozen=True)
class Shard:
    """A primary, the nodes from which its keys are read and judged, and these keys (by the names they are read as)."""

    root: str
    nodes: tuple[str, ...]
    keys: Mapping[str, StreamPlan]
    in_cluster: bool = False

    def role_of(self, node: str) -> str:
        """The role that this node of a cluster has; "" where there is none to prove it by."""
        if not self.in_cluster:
            return ""
        return "primary" if node == self.root else "replica"


def look(deployment: Deployment) -> Look | None:
    """What the nodes of a cluster tell of it now; None where there is none."""
    return deployment.cluster.look() if deployment.topology.is_cluster and isinstance(deployment, Clustered) else None


def first_owners(deployment: Deployment) -> Owners | None:
    """Who owns which slot before anything is written; None where there is no cluster, or nobody tells."""
    try:
        seen = look(deployment)
        return seen.owners() if seen else None
    except Failure:
        return None


def shards_of(
    deployment: Deployment,
    plans: Sequence[StreamPlan],
    judged: Sequence[str],
    whole: Collection[str] = (),
    seen: Look | None = None,
) -> tuple[Shard, ...]:
    """Every shard as it is now; keys whose slot nobody owns are in none. judged: what a scenario wants to see; whole:
    shards, by their first primaries, whose primary is read as well; seen: what `look` has shown a moment ago.
    """
    topology, keys = deployment.topology, keys_of(plans)
    seen = seen or look(deployment)
    if seen is None:
        return (Shard(topology.primaries[0].name, tuple(judged), keys),)
    owners = seen.owners()
    roots = {name: owners.of(slot_of(plan.key)) for name, plan in keys.items()}
    from_primaries = any(plan.read_from == "primaries" for plan in plans)
    return tuple(
        Shard(
            root,
            _read_from(root, owners, judged, (from_primaries, topology.root_of(root).name in whole)),
            {name: plan for name, plan in keys.items() if roots[name] == root},
            in_cluster=True,
        )
        for root in dict.fromkeys(owner for _, _, owner, _ in owners.ranges)
    )


def _read_from(root: str, owners: Owners, judged: Sequence[str], primary_too: tuple[bool, bool]) -> tuple[str, ...]:
    """The first is the one to show: a replica unless keys are read from primaries. primary_too: first, and at all."""
    replicas = owners.replicas_of(root)
    wanted = tuple(node for node in replicas if node in judged) if judged else replicas
    first, at_all = primary_too
    if first or not replicas:
        return root, *wanted
    return (*wanted, root) if at_all else wanted


def written_shard(deployment: Deployment, key: bytes) -> str:
    """The first primary of the shard that got this key's slot when the cluster was made."""
    primaries = deployment.topology.primaries
    return primaries[shard_of(slot_of(key), len(primaries))].name


def amiss(seen: Look, shards: Sequence[Shard], plans: Sequence[StreamPlan]) -> tuple[str, ...]:
    """What of a cluster has no place in any shard, or none that lasts; each is a reason for doubt."""
    topology, owners = seen.known.topology, seen.owners()
    placed = {node for _, _, owner, replicas in owners.ranges for node in (owner, *replicas)}
    kept = {name for shard in shards for name in shard.keys}
    bare = [shard.root for shard in shards if topology.replicas and not owners.replicas_of(shard.root)]
    return (
        *(f"{node} is in no shard at the end" for node in topology.nodes if node not in placed),
        *(f"{root} has no replica at the end, so that its keys could be read from a primary alone" for root in bare),
        *(f"nobody owns the slot of {name} at the end" for name in keys_of(plans) if name not in kept),
        *seen.half_moved(),
        *seen.known.disagreements(SETTLED_WITHIN_S, seen),
    )


def spread(deployment: Deployment, plans: Sequence[StreamPlan]) -> str:
    """How unevenly a cluster's shards hold the keys of a run with several; "" where they are even or there is one."""
    keys, topology = keys_of(plans), deployment.topology
    if not (topology.is_cluster and isinstance(deployment, Clustered)) or len(keys) < 2:
        return ""
    owners = deployment.cluster.owners()
    counted = dict.fromkeys((node.name for node in topology.primaries), 0)
    for plan in keys.values():
        owner = owners.of(slot_of(plan.key)) or "nobody"
        counted[owner] = counted.get(owner, 0) + 1
    fewest, most = min(counted.values()), max(counted.values())
    if most == fewest or (fewest and most == fewest + 1):
        return ""
    return "the keys are spread unevenly: " + ", ".join(f"{count} in {name}" for name, count in counted.items())


@dataclass
class DeploymentRouter:
    """workload.cluster_writer.Router over a deployment, for one writer."""

    deployment: Deployment
    refusals_possible: bool = False
    db: int = 0
    owners: Owners | None = None  # as they were a moment ago

    def owner(self, key: bytes) -> str | None:
        topology = self.deployment.topology
        if not (topology.is_cluster and isinstance(self.deployment, Clustered)):
            return topology.primaries[0].name
        if self.owners is None:
            self.owners = self.deployment.cluster.owners()
        return self.owners.of(slot_of(key))

    def refresh(self) -> None:
        self.owners = None

    def node_at(self, host: str, port: int) -> str | None:
        return self.deployment.cluster.node_at(host, port) if isinstance(self.deployment, Clustered) else None

    def route(self, node: str) -> Route:
        deployment = self.deployment
        return Route(
            node=node,
            entry=deployment.entry(node).with_database(self.db),
            control=deployment.control(node),
            no_fence=deployment.no_fence(node),
            refusals_possible=self.refusals_possible,
            gone=lambda: deployment.death(node) if isinstance(deployment, Watched) else None,
        )
