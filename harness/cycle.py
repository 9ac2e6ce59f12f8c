"""One cycle on an attached deployment: write through A while the nemesis disturbs, converge, read B once.

The written run makes one cycle, a property one for each draw. What a cycle yields is evidence; it judges nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol

from harness.checker.evidence import Convergence, FaultRecord, KeyState, Reading, Stream, Target
from harness.convergence import Patience, ask, await_offsets, take_target
from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView, NodeViews, Sample
from harness.errors import Failure, SetupError
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import disturbances
from harness.place import Place
from harness.placement import DeploymentRouter, Shard, amiss, first_owners, look, shards_of, written_shard
from harness.plan import StreamPlan, keys_of, writers_of
from harness.replication_log import refusal
from harness.resp.connection import Connection
from harness.resp.kept import KeptConnections
from harness.resp.key_reader import KeyRead
from harness.resp.read import read_any
from harness.resp.replication_info import role_in
from harness.runtime.base import Deployment, VouchedByCanary, Watched
from harness.runtime.cluster import Owners
from harness.runtime.readiness import WaitedTooLongError
from harness.scenario.model import Fault
from harness.topology import CLIENT, Link
from harness.watch import RunWatch
from harness.workload.base import Marks, Route, Writer
from harness.workload.cluster_writer import ClusterWriter
from harness.workload.dialect import Style
from harness.workload.numbered import NumberedWriter, WritePlan

LOOK_EVERY_S = 0.2  # whether the server that is written to still runs
WORTH_THREADS = 20_000  # values, from which on several nodes are read side by side
MOST_READERS = 8
Connect = Callable[[Endpoint], AbstractContextManager[Connection]]


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
        vouched = Vouched(cycle, watch, since)
        readings = _read_all(cycle, shards, vouched)
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


def write_all(
    writers: Sequence[Writer],
    finished: Callable[[int], None] = lambda writer: None,
    ended: Callable[[], str | None] = lambda: None,
) -> tuple[str, ...]:
    """Run the writers until each has ended; returns why some ended early. Ctrl-C stops them all. One alone needs no
    thread of its own, which would cost a short run more than its writing does.

    finished: told each writer that has ended, however it did. ended: asked now and then, why there is no server
    any more to write to.
    """
    doubts: list[str] = []
    look_on = _LookingOn(ended, writers, doubts)
    try:
        if len(writers) == 1:
            _write(0, writers[0], finished, doubts, look_on.now_and_then)
        else:
            _write_side_by_side(writers, finished, doubts, look_on)
    except BaseException:
        for writer in writers:
            writer.stop()
        raise
    look_on()
    return tuple(doubts)


def _write_side_by_side(
    writers: Sequence[Writer], finished: Callable[[int], None], doubts: list[str], look_on: _LookingOn
) -> None:
    threads = [
        threading.Thread(target=_write, args=(index, writer, finished, doubts), name=f"writer {index}", daemon=True)
        for index, writer in enumerate(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(LOOK_EVERY_S)
            look_on()


class _LookingOn:
    """Asks why there is no server any more to write to, and stops the writers where there is none."""

    def __init__(self, ended: Callable[[], str | None], writers: Sequence[Writer], doubts: list[str]) -> None:
        self._ended, self._writers, self._doubts = ended, writers, doubts
        self._due = time.monotonic() + LOOK_EVERY_S
        self._told = False

    def now_and_then(self) -> None:
        """Look, unless it is too soon."""
        if time.monotonic() >= self._due:
            self()
            self._due = time.monotonic() + LOOK_EVERY_S

    def __call__(self) -> None:
        if not self._told and (death := self._ended()):
            self._told = True
            self._doubts.append(f"nothing more was written: {death}")
            for writer in self._writers:
                writer.stop()


def _write(
    index: int,
    writer: Writer,
    finished: Callable[[int], None],
    doubts: list[str],
    look_on: Callable[[], None] = lambda: None,
) -> None:
    """Whatever goes wrong in a writer becomes a doubt, and the other writers don't wait for it.

    `finished` is not told of Ctrl-C, after which no further fault is to be applied.
    """
    try:
        try:
            writer.run(look_on)
        finally:
            for ledger in writer.ledgers:
                ledger.close()
    except Failure as error:
        doubts.append(f"a writer ended early: {error}")
    except Exception as error:  # noqa: BLE001 - a writer's bug makes the run unknown, and must not hang the others
        doubts.append(f"a writer crashed: {type(error).__name__}: {error}")
    finished(index)


def _read_all(cycle: Cycle, shards: Sequence[Shard], vouched: Vouched) -> tuple[Reading, ...]:
    """Every key from every node that has it: a node's keys one after another, long ones of several nodes side by side,
    since one server alone does not keep a reader busy. Ctrl-C ends what is under way.
    """
    stopped = threading.Event()

    def from_node(shard: Shard, node: str, connect: Connect) -> list[Reading]:
        role, ready, place = shard.role_of(node), vouched.ready, cycle.place
        return [
            read(cycle.deployment, node, plan, place, ready, role=role, connect=connect) for plan in shard.keys.values()
        ]

    nodes = [(shard, node) for shard in shards for node in shard.nodes]
    if len(nodes) < 2 or cycle.by_canary or sum(plan.values for plan in cycle.plans) < WORTH_THREADS:
        kept = None if cycle.faults else cycle.kept
        connect: Connect = kept.reading if kept is not None else Connection
        return tuple(reading for each in nodes for reading in from_node(*each, connect))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(nodes), MOST_READERS), "reader") as pool:
        try:
            connect = partial(Connection, interrupted=stopped.is_set)
            under_way = [pool.submit(from_node, *each, connect) for each in nodes]
            return tuple(reading for each in under_way for reading in each.result())
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def read(
    deployment: Deployment,
    node: str,
    plan: StreamPlan,
    place: Place,
    ready: Callable[[Connection, str, StreamPlan], None],
    *,
    role: str = "",
    connect: Connect = Connection,
) -> Reading:
    """One stream from one node, once, as a user of that node would. ready: waits, on the very connection that reads;
    role: which the node must have when that connection has read, "" for any.
    """
    sink = place.sink(node, plan.reading)
    found = KeyRead(KeyState.UNREADABLE)
    try:
        with connect(deployment.entry(node).with_database(plan.db)) as connection:
            if deployment.topology.is_cluster:
                connection.command("READONLY")  # an owner of the slot answers all the same
            ready(connection, node, plan)
            found = read_any(connection, plan.ref, sink.add, push=plan.push, scores=plan.scores, numbers=plan.numbers)
            wrong_role = _wrong_role(connection, role)
            if found.error is not None:
                connection.close()  # there may be more to come on it
        if wrong_role:
            found = replace(found, state=KeyState.UNREADABLE, error=wrong_role)
    except Failure as failure:
        found = KeyRead(KeyState.UNREADABLE, error=str(failure))
    except BaseException:
        sink.abandon()
        raise
    sink.close()
    runs = place.runs(node, plan.reading)
    return Reading(
        node, plan.reading, found.state, runs, found.length, found.found_type, found.error, found.told, found.size
    )


def _wrong_role(connection: Connection, role: str) -> str:
    """Why what this connection read does not count, where the node at its other end is not what it was taken for."""
    if not role:
        return ""
    found = role_in(connection.command("ROLE"))
    return "" if found == role else f"the node that answered is a {found or 'node without a role'}, not a {role}"


def read_now(deployment: Deployment, node: str, plans: Sequence[StreamPlan], place: Place) -> tuple[Reading, ...]:
    """Every stream from one node, without waiting for anything."""
    return tuple(read(deployment, node, plan, place, _at_once) for plan in keys_of(plans).values())


def _at_once(connection: Connection, node: str, plan: StreamPlan) -> None:
    """Offsets have been waited for already."""


class Vouched:
    """Convergence of nodes that only a canary can vouch for: one for each stream, on the connection that reads it."""

    def __init__(self, cycle: Cycle, watch: RunWatch, since: float) -> None:
        self._cycle, self._watch, self._since = cycle, watch, since
        self._seen: dict[str, Convergence] = {}

    def ready(self, connection: Connection, node: str, plan: StreamPlan) -> None:
        """Wait until the connection that reads shows a canary written after the last value, or waiting is given up.

        Nodes whose offsets have been waited for are ready. The nemesis is told of the connection.
        """
        self._watch.reads(node, connection)
        deployment = self._cycle.deployment
        if node not in self._cycle.by_canary or not isinstance(deployment, VouchedByCanary):
            return
        left = max(0.0, self._since + self._cycle.give_up_s - time.monotonic())
        try:
            deployment.await_canary(node, connection, plan.key.decode("utf-8", "surrogateescape"), left)
        except WaitedTooLongError as error:
            self._seen[node] = Convergence(node, False, None, error.last_seen, how="canary")
            return
        if node not in self._seen or self._seen[node].reached:
            seconds = max(0.0, time.monotonic() - self._since)
            self._seen[node] = Convergence(node, True, seconds, f"the canary beside {plan.name}", how="canary")

    def convergences(self) -> tuple[Convergence, ...]:
        return tuple(self._seen.values())


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
