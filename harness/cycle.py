"""One cycle on an attached deployment: write through A while the nemesis disturbs, converge, read B once.

The written run makes one cycle, a property one for each draw. What a cycle yields is evidence; it judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

from harness.checker.evidence import Convergence, FaultRecord, Reading, Stream, Target
from harness.convergence import Patience, ask, await_offsets, take_target
from harness.endpoint.view import NodeView, NodeViews, Sample
from harness.errors import Failure, SetupError
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import disturbances
from harness.place import Place
from harness.placement import DeploymentRouter, Shard, amiss, first_owners, look, shards_of, written_shard
from harness.plan import StreamPlan, writers_of
from harness.reading import Sources, Vouched, read_all
from harness.replication_log import refusal
from harness.resp.connection import Connection
from harness.resp.kept import KeptConnections
from harness.runtime.base import Deployment, VouchedByCanary, Watched
from harness.runtime.cluster import Owners
from harness.scenario.model import Fault
from harness.topology import CLIENT, Link
from harness.watch import RunWatch
from harness.workload.base import Marks, Route, Writer
from harness.workload.cluster_writer import ClusterWriter
from harness.workload.dialect import Style
from harness.workload.numbered import NumberedWriter, WritePlan
from harness.writing import write_all

WORTH_THREADS = 20_000  # values, from which on several nodes are read side by side


class Laps(Protocol):
    """Takes the time of each step, and hears how far it is."""

    def begin(self, step: str) -> None: ...

    def advance(self, done: int, total: int) -> None: ...

    def end(self, step: str) -> None: ...


@dataclass(frozen=True)
class Cycle:
    """What one cycle is to do. nodes: those that are waited for and read; give_up_s: how long at most.

    views: kept open from one cycle to the next; None where it shall open its own; kept: likewise, connections that
    write and read, used only where no fault could meet them. nodes empty: in a cluster, every replica, and the primary
    of a shard that has none.
    """

    deployment: Deployment
    plans: Sequence[StreamPlan]
    faults: Sequence[Fault]
    nodes: Sequence[str]
    place: Place
    give_up_s: float
    refusals_possible: bool = False
    views: NodeViews | None = None
    kept: KeptConnections | None = None

    @property
    def roots(self) -> tuple[str, ...]:
        """The primaries that are written to when writing begins."""
        return tuple(node.name for node in self.deployment.topology.primaries)

    @property
    def may_be_roots(self) -> tuple[str, ...]:
        """The nodes that may be primaries when it ends."""
        topology = self.deployment.topology
        return tuple(topology.nodes) if topology.is_cluster else self.roots

    @property
    def losing(self) -> frozenset[str]:
        """The shards of which a fault may cost acknowledged writes."""
        return frozenset(str(fault.taken_over) for fault in self.faults if fault.loses)

    @cached_property
    def by_canary(self) -> frozenset[str]:
        """The nodes whose offsets tell nothing."""
        return self.deployment.by_canary if isinstance(self.deployment, VouchedByCanary) else frozenset()


@dataclass(frozen=True)
class Observed:
    """What it yielded; the fields are those of Evidence."""

    streams: tuple[Stream, ...]
    readings: tuple[Reading, ...]
    targets: Mapping[str, Target]
    convergences: tuple[Convergence, ...]
    faults: tuple[FaultRecord, ...]
    doubts: tuple[str, ...]
    nodes: tuple[str, ...]


def run_cycle(cycle: Cycle, laps: Laps, also_read: Sequence[StreamPlan] = ()) -> Observed:
    """Write, converge, read. also_read: streams written before, such as preloads, that are read and waited for too."""
    plans = [*also_read, *cycle.plans]
    with ExitStack() as stack:
        views = cycle.views or stack.enter_context(NodeViews(cycle.deployment.control))
        before = {node: ask(views[node], NodeView.sample) for node in cycle.may_be_roots}
        watch, nemesis, writers = _prepare(cycle, stack)

        def look_on() -> str | None:
            laps.advance(watch.sent(), sum(plan.values for plan in cycle.plans))
            if any(fault.how == "kill" for fault in cycle.faults):
                return None
            return next(filter(None, (_death(cycle.deployment, root) for root in cycle.roots)), None)

        laps.begin("write")
        doubts = write_all(writers, nemesis.finished, look_on)
        nemesis.written()
        laps.end("write")

        laps.begin("converge")
        moments = [*(writer.last_acknowledged_at for writer in writers), nemesis.last_heal]
        since = max((moment for moment in moments if moment), default=time.monotonic())
        shards, unsure = _shards(cycle, plans)
        acknowledged = _acknowledged(cycle.plans, writers)
        end = _converge_all(_Converging(cycle, views, before, since), shards, acknowledged)
        laps.end("converge")

        laps.begin("verify")
        vouched = Vouched(cycle.deployment, watch, since, cycle.give_up_s)
        readings = _read(cycle, shards, vouched)
        nemesis.close()
        laps.end("verify")
        return Observed(
            streams=tuple(_stream(cycle, plan, shards) for plan in plans),
            readings=readings,
            targets=end.targets,
            convergences=(*end.convergences, *vouched.convergences()),
            faults=nemesis.records(),
            doubts=(*doubts, *unsure, *end.doubts),
            nodes=tuple(dict.fromkeys(node for shard in shards for node in shard.nodes)),
        )


def _shards(cycle: Cycle, plans: Sequence[StreamPlan]) -> tuple[tuple[Shard, ...], tuple[str, ...]]:
    """Who has which keys at the end, and what of it is in doubt."""
    try:
        seen = look(cycle.deployment)
        shards = shards_of(cycle.deployment, plans, cycle.nodes, cycle.losing, seen)
        return shards, amiss(seen, shards, plans) if seen else ()
    except Failure as error:
        return (), (f"who has which keys at the end is not known: {error}",)


def _acknowledged(plans: Sequence[StreamPlan], writers: Sequence[Writer]) -> dict[str, int]:
    """Elements acknowledged, by key."""
    ledgers = [ledger for writer in writers for ledger in writer.ledgers]
    ordered = [plan for group in writers_of(plans).values() for plan in group]
    found: dict[str, int] = {}
    for plan, ledger in zip(ordered, ledgers, strict=True):
        found[plan.reading] = found.get(plan.reading, 0) + ledger.acknowledged
    return found


def _prepare(cycle: Cycle, stack: ExitStack) -> tuple[RunWatch, Nemesis, list[Writer]]:
    """The writers and the nemesis at whose marks they stop; closed with the stack, healed whatever happens."""
    writers: list[Writer] = []
    watch = stack.enter_context(RunWatch(cycle.deployment, writers))
    replicas = [node.name for node in cycle.deployment.topology.replicas]
    totals = [sum(plan.values for plan in group) for group in writers_of(cycle.plans).values()]
    nemesis = stack.enter_context(
        Nemesis(disturbances(cycle.faults), cycle.deployment.proxied, totals, watch, replicas)
    )
    stack.push(lambda kind, error, at: watch.give_up() if kind else None)  # first: the nemesis may wait for a node
    writers += make_writers(cycle, cycle.plans, nemesis)
    return watch, nemesis, writers


def _read(cycle: Cycle, shards: Sequence[Shard], vouched: Vouched) -> tuple[Reading, ...]:
    """Long lists of several nodes side by side, unless canaries are to be waited for."""
    kept = None if cycle.faults else cycle.kept
    many = sum(plan.values for plan in cycle.plans) >= WORTH_THREADS
    return read_all(
        Sources(cycle.deployment, shards, cycle.place),
        vouched.ready,
        kept.reading if kept is not None else Connection,
        side_by_side=many and not cycle.by_canary,
    )


@dataclass(frozen=True)
class _End:
    """What was held at the end, and who reached it."""

    targets: Mapping[str, Target]
    convergences: tuple[Convergence, ...]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Converging:
    """What waiting needs. before: what each primary to be showed when writing began; since: as in Patience."""

    cycle: Cycle
    views: NodeViews
    before: Mapping[str, Sample]
    since: float


def _converge_all(waiting: _Converging, shards: Sequence[Shard], acknowledged: Mapping[str, int]) -> _End:
    """Wait for every shard's nodes whose offsets tell anything."""
    ends = [_converge(waiting, shard, sum(acknowledged.get(key, 0) for key in shard.keys)) for shard in shards]
    return _End(
        targets={root: target for end in ends for root, target in end.targets.items()},
        convergences=tuple(convergence for end in ends for convergence in end.convergences),
        doubts=tuple(doubt for end in ends for doubt in end.doubts),
    )


def _converge(waiting: _Converging, shard: Shard, acknowledged: int) -> _End:
    """A primary that can't be asked leaves a doubt and no target."""
    cycle, views, deployment = waiting.cycle, waiting.views, waiting.cycle.deployment
    nodes = {node: views[node] for node in shard.nodes if node not in cycle.by_canary and node != shard.root}
    keys = {name: plan.ref for name, plan in shard.keys.items()}
    take = partial(take_target, one_by_one=deployment.topology.is_cluster)

    def ask_target() -> Target:
        return take(views[shard.root], keys, waiting.before[shard.root], acknowledged)

    def hopeless(node: str) -> str | None:
        return _death(deployment, node) or refusal(deployment.log(node))

    try:
        target, convergences = await_offsets(nodes, ask_target, Patience(waiting.since, cycle.give_up_s, hopeless))
    except SetupError as error:
        return _End({}, (), (f"{shard.root} could not be asked what it holds at the end: {error}",))
    return _End({shard.root: target}, tuple(replace(each, primary=shard.root) for each in convergences))


def _death(deployment: Deployment, node: str) -> str | None:
    """How the node's server has ended, in one line, where it has and the runtime sees it; its log is kept anyway."""
    story = deployment.death(node) if isinstance(deployment, Watched) else None
    return story.splitlines()[0] if story else None


def make_writers(cycle: Cycle, plans: Sequence[StreamPlan], marks: Marks) -> list[Writer]:
    """A writer for each producer, with a new ledger for each key that it writes."""
    owners = first_owners(cycle.deployment)
    groups = enumerate(writers_of(plans).values())
    return [_make_writer(cycle, group, marks, (index, owners)) for index, group in groups]


def _make_writer(cycle: Cycle, plans: Sequence[StreamPlan], marks: Marks, which: tuple[int, Owners | None]) -> Writer:
    index, owners = which
    ledgers = [cycle.place.ledger(plan.name) for plan in plans]
    if not cycle.deployment.topology.is_cluster and len(plans) == 1:
        return NumberedWriter(write_plan(plans[0]), _route(cycle, plans[0]), ledgers[0], marks, index=index)
    refusing = cycle.refusals_possible or any(fault.reshapes for fault in cycle.faults)
    router = DeploymentRouter(cycle.deployment, refusing, plans[0].db, owners)
    plans_to_write = [replace(write_plan(plan), lossy=_may_lose(cycle, plan)) for plan in plans]
    written = list(zip(plans_to_write, ledgers, strict=True))
    return ClusterWriter(written, router, marks, index=index)


def _may_lose(cycle: Cycle, plan: StreamPlan) -> bool:
    """Whether a fault may cost what was acknowledged of this key; of keys that may move, no more is known."""
    if any(fault.move_slots is not None for fault in cycle.faults):
        return bool(cycle.losing)
    return bool(cycle.losing) and written_shard(cycle.deployment, plan.key) in cycle.losing


def write_plan(plan: StreamPlan) -> WritePlan:
    """The plan as its writer takes it."""
    return WritePlan(
        key=plan.key,
        values=plan.numbers,
        shape=plan.batch.shape,
        sizes=plan.batch.sizes or (plan.batch.size,),
        kind=plan.kind,
        style=Style(plan.push, plan.scores),
        shared=plan.read_as is not None,
    )


def _route(cycle: Cycle, plan: StreamPlan) -> Route:
    """How the primary is reached, in the plan's database."""
    deployment = cycle.deployment
    primary = deployment.topology.primaries[0].name
    return Route(
        node=primary,
        entry=deployment.entry(primary).with_database(plan.db),
        control=deployment.control(primary),
        no_fence=deployment.no_fence(primary),
        refusals_possible=cycle.refusals_possible,
        kept=None if cycle.faults else cycle.kept,
    )


def _stream(cycle: Cycle, plan: StreamPlan, shards: Sequence[Shard]) -> Stream:
    entries = {str(Link(CLIENT, root)) for root in cycle.roots}
    undisturbed = (
        all(fault.link not in entries and not fault.loses for fault in cycle.faults) and not cycle.refusals_possible
    )
    return Stream(
        name=plan.name,
        key=plan.key.decode("utf-8", "backslashreplace"),
        db=plan.db,
        values=plan.values,
        entries=cycle.place.entries(plan.name),
        must_acknowledge=undisturbed,
        kind=plan.kind,
        push=plan.push,
        scores=plan.scores,
        first=plan.numbers.first,
        block=plan.numbers.block,
        stride=plan.numbers.stride,
        read_as=plan.read_as,
        nodes=next((shard.nodes for shard in shards if plan.reading in shard.keys), ()),
        shards=_shard_names(cycle, plan, shards),
    )


def _shard_names(cycle: Cycle, plan: StreamPlan, shards: Sequence[Shard]) -> tuple[str, ...]:
    """Where the key's slot was when writing began, and where it is at the end."""
    if not cycle.deployment.topology.is_cluster:
        return ()
    roots = [shard.root for shard in shards if plan.reading in shard.keys]
    at_the_end = [cycle.deployment.topology.root_of(root).name for root in roots]
    return tuple(dict.fromkeys((written_shard(cycle.deployment, plan.key), *at_the_end)))
