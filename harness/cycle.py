"""One cycle on an attached deployment: write through A while the nemesis disturbs, converge, read B once.

The written run makes one cycle, a property one for each draw. What a cycle yields is evidence; it judges nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from harness.checker.evidence import Convergence, FaultRecord, KeyState, Reading, Stream, Target
from harness.checker.resync import refusal
from harness.convergence import Patience, await_offsets, take_target
from harness.endpoint.view import NodeView
from harness.errors import Failure
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import disturbances
from harness.place import Place
from harness.plan import StreamPlan
from harness.resp.connection import Connection
from harness.resp.list_reader import read_list
from harness.runtime.base import Deployment, VouchedByCanary
from harness.runtime.readiness import WaitedTooLongError
from harness.scenario.model import Fault
from harness.topology import CLIENT, Link
from harness.watch import RunWatch
from harness.workload.base import Marks, Route, Writer
from harness.workload.list_append import AppendPlan, ListAppendWriter


class Laps(Protocol):
    """Takes the time of each step."""

    def begin(self, step: str) -> None: ...

    def end(self, step: str) -> None: ...


@dataclass(frozen=True)
class Cycle:
    """What one cycle is to do. nodes: those that are waited for and read; give_up_s: how long at most."""

    deployment: Deployment
    plans: Sequence[StreamPlan]
    faults: Sequence[Fault]
    nodes: Sequence[str]
    place: Place
    give_up_s: float
    refusals_possible: bool = False


@dataclass(frozen=True)
class Observed:
    """What it yielded; the fields are those of Evidence."""

    streams: tuple[Stream, ...]
    readings: tuple[Reading, ...]
    targets: Mapping[str, Target]
    convergences: tuple[Convergence, ...]
    faults: tuple[FaultRecord, ...]
    doubts: tuple[str, ...]


def run_cycle(cycle: Cycle, laps: Laps, also_read: Sequence[StreamPlan] = ()) -> Observed:
    """Write, converge, read. also_read: streams written before, such as preloads, that are read and waited for too."""
    deployment, every_plan = cycle.deployment, [*also_read, *cycle.plans]
    root = deployment.topology.primaries[0].name
    with ExitStack() as stack:
        look = {node: stack.enter_context(NodeView(deployment.control(node))) for node in (root, *cycle.nodes)}
        keys = {plan.name: plan.list_key for plan in every_plan}
        before = look[root].sample()
        nemesis, writers = _prepare(cycle, stack)

        laps.begin("write")
        doubts = write_all(writers, nemesis.finished)
        nemesis.written()
        laps.end("write")

        laps.begin("converge")
        acknowledged = sum(writer.ledger.acknowledged for writer in writers)
        moments = [*(writer.last_acknowledged_at for writer in writers), nemesis.last_heal]
        since = max((moment for moment in moments if moment), default=time.monotonic())
        by_canary = deployment.by_canary if isinstance(deployment, VouchedByCanary) else frozenset()
        target, convergences = await_offsets(
            {node: look[node] for node in cycle.nodes if node not in by_canary},
            lambda: take_target(look[root], keys, before, acknowledged),
            Patience(since, cycle.give_up_s, lambda node: refusal(deployment.log(node))),
        )
        vouched = Vouched(deployment, since, cycle.give_up_s)
        laps.end("converge")

        laps.begin("verify")
        readings = tuple(
            read(deployment, node, plan, cycle.place, vouched.await_canary if node in by_canary else _at_once)
            for node in cycle.nodes
            for plan in every_plan
        )
        nemesis.close()
        laps.end("verify")
        streams = tuple(_stream(cycle, plan) for plan in every_plan)
        return Observed(
            streams, readings, {root: target}, (*convergences, *vouched.convergences()), nemesis.records(), doubts
        )


def _prepare(cycle: Cycle, stack: ExitStack) -> tuple[Nemesis, list[Writer]]:
    """The writers and the nemesis at whose marks they stop; closed with the stack, healed whatever happens."""
    writers: list[Writer] = []
    watch = stack.enter_context(RunWatch(cycle.deployment, writers))
    replicas = [node.name for node in cycle.deployment.topology.replicas]
    totals = [plan.values for plan in cycle.plans]
    nemesis = stack.enter_context(
        Nemesis(disturbances(cycle.faults), cycle.deployment.proxied, totals, watch, replicas)
    )
    writers += make_writers(cycle, cycle.plans, nemesis)
    return nemesis, writers


def make_writers(cycle: Cycle, plans: Sequence[StreamPlan], marks: Marks) -> list[Writer]:
    """A writer through the primary, with a new ledger, for each plan."""
    return [
        ListAppendWriter(
            AppendPlan(plan.key, plan.values, plan.batch.shape, plan.batch.sizes or (plan.batch.size,)),
            _route(cycle, plan),
            cycle.place.ledger(plan.name),
            marks,
            index=index,
        )
        for index, plan in enumerate(plans)
    ]


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
    )


def write_all(writers: Sequence[Writer], finished: Callable[[int], None] = lambda writer: None) -> tuple[str, ...]:
    """Run the writers side by side until each has ended; returns why some ended early. Ctrl-C stops them all."""
    doubts: list[str] = []

    def write(index: int, writer: Writer) -> None:
        try:
            writer.run()
        except Failure as error:
            doubts.append(f"a writer ended early: {error}")
        except Exception as error:  # noqa: BLE001 - a writer's bug makes the run unknown, and must not hang the others
            doubts.append(f"a writer crashed: {type(error).__name__}: {error}")
        finally:
            writer.ledger.close()
            finished(index)

    threads = [
        threading.Thread(target=write, args=each, name=f"writer {each[0]}", daemon=True) for each in enumerate(writers)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except BaseException:
        for writer in writers:
            writer.stop()
        raise
    return tuple(doubts)


def read(
    deployment: Deployment,
    node: str,
    plan: StreamPlan,
    place: Place,
    ready: Callable[[Connection, str, StreamPlan], None],
) -> Reading:
    """One stream from one node, once, as a user of that node would. ready: waits, on the very connection that reads."""
    sink = place.sink(node, plan.name)
    state, length, found_type, error = KeyState.UNREADABLE, 0, None, None
    try:
        with Connection(deployment.entry(node).with_database(plan.db)) as connection:
            ready(connection, node, plan)
            found = read_list(connection, plan.key, sink.add)
        state, length, found_type, error = found.state, found.length, found.found_type, found.error
    except Failure as failure:
        error = str(failure)
    except BaseException:
        sink.abandon()
        raise
    sink.close()
    runs = place.runs(node, plan.name)
    return Reading(node, plan.name, state, runs, length=length, found_type=found_type, error=error)


def read_now(deployment: Deployment, node: str, plans: Sequence[StreamPlan], place: Place) -> tuple[Reading, ...]:
    """Every stream from one node, without waiting for anything."""
    return tuple(read(deployment, node, plan, place, _at_once) for plan in plans)


def _at_once(connection: Connection, node: str, plan: StreamPlan) -> None:
    """Offsets have been waited for already."""


class Vouched:
    """Convergence of nodes that only a canary can vouch for: one for each stream, on the connection that reads it."""

    def __init__(self, deployment: Deployment, since: float, give_up_s: float) -> None:
        self._deployment, self._since, self._give_up_s = deployment, since, give_up_s
        self._seen: dict[str, Convergence] = {}

    def await_canary(self, connection: Connection, node: str, plan: StreamPlan) -> None:
        """Wait until the connection shows a canary written after the stream's last value, or until waiting is given up."""
        assert isinstance(self._deployment, VouchedByCanary)
        left = max(0.0, self._since + self._give_up_s - time.monotonic())
        try:
            self._deployment.await_canary(node, connection, plan.key.decode("utf-8", "surrogateescape"), left)
        except WaitedTooLongError as error:
            self._seen[node] = Convergence(node, False, None, error.last_seen, how="canary")
            return
        if node not in self._seen or self._seen[node].reached:
            seconds = max(0.0, time.monotonic() - self._since)
            self._seen[node] = Convergence(node, True, seconds, f"the canary beside {plan.name}", how="canary")

    def convergences(self) -> tuple[Convergence, ...]:
        return tuple(self._seen.values())


def _stream(cycle: Cycle, plan: StreamPlan) -> Stream:
    entry = str(Link(CLIENT, cycle.deployment.topology.primaries[0].name))
    undisturbed = all(fault.link != entry for fault in cycle.faults) and not cycle.refusals_possible
    return Stream(
        name=plan.name,
        key=plan.key.decode("utf-8", "backslashreplace"),
        db=plan.db,
        values=plan.values,
        entries=cycle.place.entries(plan.name),
        must_acknowledge=undisturbed,
    )
