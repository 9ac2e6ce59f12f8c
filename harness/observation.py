"""What a written run observes on its stage: preload, attach, one cycle with lag sampling, what the nodes say of it.

Evidence only; nothing is judged here, and what could not be measured is said instead of left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from harness.checker.evidence import Evidence, MisplacedKey, OtherKey, Shrink, SyncCounts
from harness.convergence import ask, give_up_after
from harness.cycle import Cycle, Laps, make_writers, run_cycle
from harness.endpoint.view import NodeView, NodeViews
from harness.errors import Failure
from harness.kinds import KeyRef
from harness.lag import Followed, LagSampler
from harness.place import DirectoryPlace
from harness.placement import shards_of, spread, written_shard
from harness.plan import StreamPlan, keys_of
from harness.reading import read_now
from harness.replication_log import count_syncs
from harness.report.lag_file import LagWriter
from harness.report.store import RunDirectory
from harness.resp.connection import CannotConnect, ConnectionLost
from harness.runtime.base import Clustered, Deployment, KeepsLogs, VouchedByCanary
from harness.runtime.canary import CanaryLag
from harness.runtime.cluster import Owners
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.scenario.directives import REFUSING_WRITES
from harness.scenario.model import Fault, Scenario
from harness.slots import slot_of
from harness.stage import Stage
from harness.topology import Topology
from harness.workload.base import NoMarks
from harness.writing import write_all

MAX_OTHER_KEYS = 100
SETTLED_WITHIN_S = 3.0


def observe(stage: Stage, scenario: Scenario, directory: RunDirectory, laps: Laps) -> Evidence:
    """The whole run on an open stage; its ledgers, readings, lag samples, INFO and logs go into the run directory."""
    deployment = stage.deployment
    cycle = cycle_of(stage, scenario, directory)
    preload_doubts = write_all(make_writers(cycle, stage.preload, NoMarks()))
    deployment.attach()
    with NodeViews(deployment.control, deployment.kept) as views:
        save_info(deployment, views, directory, "before")
        at_readiness, unread = _syncs(deployment)
        uneven = spread(deployment, stage.workload)
        laps.end("start")

        with Sampling(stage, directory) as sampling:
            observed = run_cycle(replace(cycle, views=views), _Relaxing(laps, sampling), also_read=stage.preload)
        save_info(deployment, views, directory, "after")
        save_logs(deployment, directory)
        strays, unasked = other_keys(deployment, views, observed.nodes, stage.plans)
        misplaced, unlooked = misplaced_keys(deployment, views)
    syncs, unread_later = _syncs(deployment)
    counted = "sync_counts" in deployment.capabilities
    return Evidence(
        nodes=observed.nodes,
        streams=observed.streams,
        readings=observed.readings,
        targets=observed.targets,
        convergences=observed.convergences,
        faults=observed.faults,
        syncs=_since(at_readiness, syncs) if counted else None,
        initial_syncs={link: _first(counts) for link, counts in at_readiness.items()} if counted else {},
        max_lag_ms=sampling.max_lag_ms,
        shrinks=sampling.shrinks,
        other_keys=strays,
        misplaced=misplaced,
        doubts=(*preload_doubts, *observed.doubts, *sampling.failures, *unasked, *unlooked, *unread, *unread_later),
        not_checked=not_looked_for(stage.workload, stage.faults),
        not_applied=stage.not_applied,
        notes=(*notes_on(stage), *([uneven] if uneven else [])),
    )


def not_looked_for(plans: Sequence[StreamPlan], faults: Sequence[Fault] = ()) -> tuple[str, ...]:
    """What nobody looks for in a run like this, though it does elsewhere."""
    together = any(plan.read_as is not None and plan.batch.shape in ("variadic", "multi") for plan in plans)
    changing = sorted({*_changing_shards(faults), *(fault.restart for fault in faults if fault.restart)})
    return (
        *(f"shrank: the lengths of keys in {name} are not sampled, since a fault changes it" for name in changing),
        *(["whether a command of one producer stands together in a key that others write"] if together else []),
    )


def _changing_shards(faults: Sequence[Fault]) -> set[str]:
    """Shards of a cluster whose keys come and go, or whose primary changes."""
    moves = [fault.move_slots for fault in faults if fault.move_slots is not None]
    taken_over = {fault.taken_over for fault in faults if fault.taken_over is not None}
    return taken_over | {name for move in moves for name in (move.source, move.target)}


def _never_shrinking(stage: Stage, root: str) -> dict[str, KeyRef]:
    """The keys whose lengths must never shrink on the replicas of this primary."""
    keys = dict(keys_of(stage.plans))
    if stage.deployment.topology.is_cluster:
        steady = root not in _changing_shards(stage.faults)
        keys = {
            name: plan for name, plan in keys.items() if steady and written_shard(stage.deployment, plan.key) == root
        }
    return {name: plan.ref for name, plan in keys.items()}


def notes_on(stage: Stage) -> tuple[str, ...]:
    """What a reader has to know of these nodes."""
    of_nodes = (note for node in stage.deployment.topology.nodes for note in stage.deployment.facts(node).notes)
    of_proxy = stage.proxy.notes if stage.proxy else ()
    return (*of_nodes, *of_proxy, *(stage.external.notes if stage.external else ()))


def cycle_of(stage: Stage, scenario: Scenario, directory: RunDirectory) -> Cycle:
    """The cycle that the scenario describes, its evidence in the run directory."""
    expect = scenario.expect
    return Cycle(
        deployment=stage.deployment,
        plans=stage.workload,
        faults=stage.faults,
        nodes=judged_nodes(scenario, stage.deployment.topology),
        place=DirectoryPlace(directory),
        give_up_s=give_up_after(expect.converges_within_s, expect.give_up_s),
        refusals_possible=can_refuse(scenario),
    )


def judged_nodes(scenario: Scenario, topology: Topology) -> tuple[str, ...]:
    """Every replica, unless the scenario narrows it."""
    if topology.is_cluster:
        return scenario.expect.nodes or ()  # who is a replica in the end shows then
    return scenario.expect.nodes or tuple(node.name for node in topology.replicas)


def can_refuse(scenario: Scenario) -> bool:
    """Whether a server of this scenario is set up so that it may refuse writes."""
    specs = [scenario.topology.cluster] if scenario.topology.cluster else scenario.topology.nodes.values()
    return any(name.lower() in REFUSING_WRITES for spec in specs for name in spec.config)


def read_primary_too(stage: Stage, scenario: Scenario, evidence: Evidence, directory: RunDirectory) -> Evidence:
    """The same evidence with the primary's own lists, to tell "A holds it, B does not" from "A lost it as well"."""
    place = DirectoryPlace(directory)
    readings = [
        reading
        for shard in shards_of(stage.deployment, stage.plans, evidence.nodes)
        if shard.root not in evidence.nodes
        for reading in read_now(stage.deployment, shard.root, list(shard.keys.values()), place)
    ]
    return replace(evidence, readings=(*evidence.readings, *readings))


class Sampling:
    """Lag sampling while the run lasts, its curve on disk: by offsets, by canaries where offsets tell nothing."""

    def __init__(self, stage: Stage, directory: RunDirectory) -> None:
        self._stage, self._directory = stage, directory
        self._opened = ExitStack()
        self._samplers: list[LagSampler | CanaryLag] = []

    def __enter__(self) -> Self:
        deployment, first = self._stage.deployment, self._stage.workload[0]
        curve = self._opened.enter_context(LagWriter(self._directory.lag))
        by_canary = deployment.by_canary if isinstance(deployment, VouchedByCanary) else frozenset()
        topology = deployment.topology
        failing = {fault.taken_over for fault in self._stage.faults}
        restarting = {fault.restart for fault in self._stage.faults}  # its connections end with it
        followed = []
        for root in topology.primaries:
            if root.name in failing:
                continue  # whoever is the primary is not the one to compare with any more
            below = [node.name for node in topology.replicas_below(root.name)]
            plain = {node: deployment.control(node) for node in below if node not in by_canary | restarting}
            if plain:
                streams = _never_shrinking(self._stage, root.name)
                followed.append(Followed(deployment.control(root.name), plain, streams, apart=topology.is_cluster))
        if followed:
            self._samplers.append(LagSampler(followed, curve.add))
        if by_canary and isinstance(deployment, VouchedByCanary):
            key = first.key.decode("utf-8", "surrogateescape")
            self._samplers.append(deployment.canary_lag(sorted(by_canary), key, first.db, curve.add))
        for sampler in self._samplers:
            self._opened.enter_context(sampler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    def relax(self) -> None:
        """Everything is written and has converged: leave the servers to those who read."""
        for sampler in self._samplers:
            if isinstance(sampler, LagSampler):
                sampler.relax()

    @property
    def max_lag_ms(self) -> dict[str, float]:
        """The largest lag seen, by node."""
        return {node: lag for sampler in self._samplers for node, lag in sampler.max_lag_ms.items()}

    @property
    def failures(self) -> tuple[str, ...]:
        """Why a sampler died, where one did."""
        return tuple(failure for sampler in self._samplers for failure in sampler.failures)

    @property
    def shrinks(self) -> tuple[Shrink, ...]:
        return tuple(
            shrink for sampler in self._samplers if isinstance(sampler, LagSampler) for shrink in sampler.shrinks
        )


@dataclass(frozen=True)
class _Relaxing:
    """The laps of a run, which relax its sampling when its reading begins."""

    laps: Laps
    sampling: Sampling

    def begin(self, step: str) -> None:
        if step == "verify":
            self.sampling.relax()
        self.laps.begin(step)

    def advance(self, done: int, total: int) -> None:
        self.laps.advance(done, total)

    def end(self, step: str) -> None:
        self.laps.end(step)


def _syncs(deployment: Deployment) -> tuple[dict[str, SyncCounts], tuple[str, ...]]:
    """By link, and why those of some could not be counted: a log that is missing tells of no sync."""
    counted: dict[str, SyncCounts] = {}
    unread = []
    for link in deployment.topology.replication_links:
        log = deployment.log(link.target)
        if why := deployment.why_no_log(link.target) if isinstance(deployment, KeepsLogs) else "":
            unread.append(f"the resyncs of {link} could not be counted: {why}")
        else:
            counted[str(link)] = count_syncs(log)
    return counted, tuple(unread)


def _since(before: Mapping[str, SyncCounts], after: Mapping[str, SyncCounts]) -> dict[str, SyncCounts]:
    return {
        link: SyncCounts(
            counts.full_started - before[link].full_started,
            counts.full_finished - before[link].full_finished,
            counts.partial - before[link].partial,
        )
        for link, counts in after.items()
        if link in before
    }


def _first(counts: SyncCounts) -> str:
    return "full" if counts.full_finished else "partial"


def save_info(deployment: Deployment, views: NodeViews, directory: RunDirectory, when: str) -> None:
    """INFO of every node that can be asked; all are asked before the first answer is awaited."""
    asked = [node for node in deployment.topology.nodes if _ask_info(views[node])]
    for node in deployment.topology.nodes:
        try:
            text = _answered_info(views[node], node in asked)
        except (CannotConnect, ConnectionLost) as error:
            text = f"# not to be had: {error}\n"
        directory.save_info(node, when, text)


def _ask_info(view: NodeView) -> bool:
    try:
        view.ask_info("all")
    except (CannotConnect, ConnectionLost):
        view.close()
        return False
    return True


def _answered_info(view: NodeView, asked: bool) -> str:
    """A connection that had been closed meanwhile is made anew."""
    if asked:
        try:
            return view.answered_info()
        except ConnectionLost:
            view.close()
    return ask(view, lambda view: view.info("all"))


def save_logs(deployment: Deployment, directory: RunDirectory) -> None:
    """The log of every node that has one."""
    for node in deployment.topology.nodes:
        if log := deployment.log(node):
            directory.save_log(node, log)


def misplaced_keys(deployment: Deployment, views: NodeViews) -> tuple[tuple[MisplacedKey, ...], tuple[str, ...]]:
    """Keys on nodes of a cluster that neither own their slot nor follow its owner (a redirection hides them), and why
    some nodes could not be asked.
    """
    if not (deployment.topology.is_cluster and isinstance(deployment, Clustered)):
        return (), ()
    cluster, unasked = deployment.cluster, []
    found: dict[str, list[bytes]] = {}
    for node in deployment.topology.nodes:
        try:
            found[node] = ask(views[node], lambda view: list(view.keys(0)))
        except Failure as error:
            unasked.append(f"{node} could not be asked for misplaced keys: {error}")
    misplaced: list[MisplacedKey] = []

    def settled() -> bool:
        """Nodes hear of a new owner at different times; keys are not looked for again, which could hide some."""
        owners = cluster.owners()
        misplaced[:] = [key for node, keys in found.items() for key in _misplaced(node, keys, owners)]
        return not misplaced

    try:
        wait_until(settled, deadline_s=SETTLED_WITHIN_S, what="the owners of slots to settle")
    except WaitedTooLongError:
        pass  # they are misplaced
    except Failure as error:
        unasked.append(f"misplaced keys could not be looked for: {error}")
    return tuple(misplaced[:MAX_OTHER_KEYS]), tuple(unasked)


def _misplaced(node: str, keys: Iterable[bytes], owners: Owners) -> Iterator[MisplacedKey]:
    for key in keys:
        owner = owners.of(slot_of(key)) or ""
        if node != owner and node not in owners.replicas_of(owner):
            yield MisplacedKey(node, key.decode("utf-8", "backslashreplace"), slot_of(key), owner)


def other_keys(
    deployment: Deployment, views: NodeViews, nodes: Sequence[str], plans: Sequence[StreamPlan]
) -> tuple[tuple[OtherKey, ...], tuple[str, ...]]:
    """Keys on these nodes that are none of ours, at most MAX_OTHER_KEYS a node, and why some could not be asked.

    Only servers that we started are asked; with others somebody else may use them.
    """
    if "exclusive" not in deployment.capabilities:
        return (), ()
    ours: dict[int, set[bytes]] = {}
    for plan in plans:
        ours.setdefault(plan.db, set()).add(plan.key)
    found: list[OtherKey] = []
    unasked: list[str] = []
    for node in nodes:
        try:
            strays = ask(views[node], lambda view: _strays(view, ours))
        except (CannotConnect, ConnectionLost) as error:
            unasked.append(f"{node} could not be asked for its other keys: {error}")
        else:
            found += (OtherKey(node, db, key.decode("utf-8", "backslashreplace")) for db, key in strays)
    return tuple(found), tuple(unasked)


def _strays(view: NodeView, ours: Mapping[int, set[bytes]]) -> list[tuple[int, bytes]]:
    strays: dict[tuple[int, bytes], None] = {}
    for db, key in view.every_key():
        if key not in ours.get(db, ()):
            strays[db, key] = None
        if len(strays) >= MAX_OTHER_KEYS:
            break
    return list(strays)
