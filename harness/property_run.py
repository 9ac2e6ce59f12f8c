"""The property of a scenario: Hypothesis draws sizes, batch shapes and fault timing, each written on a warm deployment.

Every draw has a key of its own and is judged by ledger and anomalies alone. A draw that fails is shrunk; the smallest
failing one decides the verdict, its evidence is kept, and a scenario file that shows it is written beside it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

from hypothesis import HealthCheck, Phase, example, given, seed, settings

from harness.checker.evidence import Evidence, FaultRecord
from harness.checker.judge import judge
from harness.checker.verdict import Kind, Verdict
from harness.convergence import GIVE_UP_S, ask, give_up_after
from harness.cycle import Cycle, make_writers, run_cycle
from harness.endpoint.view import NodeView, NodeViews
from harness.errors import ExitCode, Failure, SetupError
from harness.fault.cluster_calls import Reshapeable
from harness.fault.reshape import restore
from harness.fault.schedule import applicable
from harness.observation import can_refuse, judged_nodes, misplaced_keys, not_looked_for, notes_on, other_keys
from harness.options import Options
from harness.place import MemoryPlace
from harness.placement import shards_of
from harness.plan import StreamPlan, keys_of, plan_streams
from harness.report.facts import Counts, Draws, RunFacts
from harness.report.store import RunDirectory
from harness.report.summary import count_elements
from harness.resp.kept import KeptConnections
from harness.runner import Clock, Progress, Result, conclude, passwords, run_facts
from harness.scenario.loader import LoadedScenario
from harness.scenario.model import Expect, Fault, Property, Scenario, Workload
from harness.scenario.plain import as_yaml
from harness.scenario.strategies import Draw, always, apply, draws
from harness.stage import Stage, open_stage
from harness.workload.base import NoMarks
from harness.writing import write_all

SHRINK_WITHIN_S = 30.0  # after the first failure; then draws are answered from memory


class FailedDraw(Exception):  # one subclass a kind, so that shrinking does not slip from one to another
    """A draw broke a guarantee."""


class RefusedDraw(FailedDraw):
    """No guarantee is broken, and yet an expectation is not met: values were refused that had to be acknowledged."""


_BY_KIND: dict[Kind, type[FailedDraw]] = {kind: type(f"FailedDraw_{kind}", (FailedDraw,), {}) for kind in Kind}


def failure(verdict: Verdict) -> type[FailedDraw] | None:
    """The exception that a draw with this verdict raises, None where it does not fail."""
    if verdict.exit_code is not ExitCode.NOT_AS_EXPECTED:
        return None
    return _BY_KIND[verdict.unexpected[0].kind] if verdict.unexpected else RefusedDraw


@dataclass(frozen=True)
class Drawn:
    """One draw as it went."""

    draw: Draw
    evidence: Evidence
    verdict: Verdict


@dataclass
class Tally:
    """The draws so far. failed: the verdict of each that failed; smallest: the last that failed, so far."""

    examples: int = 0
    valid: int = 0
    failed: dict[Draw, Verdict] = field(default_factory=dict)
    unknown: list[Drawn] = field(default_factory=list)
    smallest: Drawn | None = None
    last: Drawn | None = None
    first_failure: float | None = None
    faults: dict[int, FaultRecord] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


class _NoLaps:
    """Draws are not timed step by step."""

    def begin(self, step: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self, step: str) -> None:
        """Nothing."""


def run_property(loaded: LoadedScenario, options: Options, progress: Progress) -> Result:
    """Draw, judge each draw, shrink what fails, and report on the whole."""
    chosen = options.seed if options.seed is not None else secrets.randbelow(1 << 32)
    options = replace(options, seed=chosen)
    run_id = options.new_run_id()
    clock = Clock(progress)
    directory = RunDirectory.create(options.run_directories(), loaded.name, run_id, passwords(loaded))
    try:
        with Drawing(loaded, options, run_id) as drawing:
            clock.end("start")
            clock.begin("draw")
            draw_all(loaded.scenario, drawing, options, progress)
            intermittent = drawing.repeat_smallest()
            clock.end("draw")
            facts = replace(run_facts(drawing.stage, run_id, options, directory), part="property")
    except BaseException:
        directory.discard()
        raise
    facts = replace(
        facts, seconds=clock.seconds, draws=_draws(drawing.tally, intermittent), counts=drawing.tally.counts
    )
    return _conclude(loaded, drawing.tally, facts, directory, options)


def draw_all(scenario: Scenario, drawing: Drawing, options: Options, progress: Progress) -> None:
    """Let Hypothesis draw until it is satisfied or a smallest failing draw is found."""
    examples = options.examples or (scenario.property or Property()).examples

    def check(draw: Draw) -> None:
        drawing.check(draw)
        progress.advance(drawing.tally.examples, examples)

    test = given(draws(scenario))(check)
    for fixed in reversed(always(scenario)):  # the one given last is the first to be tried
        test = example(fixed)(test)
    test = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(seed(options.seed)(test))
    try:
        test()
    except FailedDraw:
        return  # the tally holds it
    except BaseException:
        if drawing.broken is not None:
            raise drawing.broken from None
        raise


class Drawing:
    """A warm deployment on which draws are made; made anew after a draw that failed, whose leftovers could mislead."""

    def __init__(self, loaded: LoadedScenario, options: Options, run_id: str) -> None:
        self._loaded, self._options, self._run_id = loaded, options, run_id
        self._opened = ExitStack()
        self._stage: Stage | None = None
        self._views: NodeViews | None = None
        self._kept: KeptConnections | None = None
        self.tally = Tally()
        self.broken: Exception | None = None

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            self._open()
        assert self._stage is not None
        return self._stage

    @property
    def views(self) -> NodeViews:
        """Of the stage's nodes, open for as long as it is."""
        assert self._views is not None
        return self._views

    def check(self, draw: Draw) -> None:
        """Make one draw; raises a FailedDraw where a guarantee is broken. What is no verdict ends the drawing."""
        if self.broken is not None:
            raise self.broken
        tally = self.tally
        verdict = tally.failed.get(draw)
        if verdict is None and not self._time_is_up():
            try:
                verdict = self._judged(draw)
            except Exception as error:
                self.broken = error
                raise
        if verdict is not None and (failed := failure(verdict)):
            raise failed(str(draw))

    def repeat_smallest(self) -> bool:
        """Make the smallest failing draw once more; whether it went well this time (it stays a failure)."""
        if self.tally.smallest is None:
            return False
        try:
            return failure(self._make(self.tally.smallest.draw).verdict) is None
        except Failure:
            return False  # it could not be made again, which takes nothing from what was seen

    def _time_is_up(self) -> bool:
        first = self.tally.first_failure
        return first is not None and time.monotonic() - first > SHRINK_WITHIN_S

    def _judged(self, draw: Draw) -> Verdict:
        made, tally = self._make(draw), self.tally
        tally.examples += 1
        tally.counts += count_elements(made.evidence.streams)
        tally.last = made
        if failure(made.verdict):
            tally.failed[draw] = made.verdict
            tally.smallest = made
            tally.first_failure = tally.first_failure or time.monotonic()
            self._close()
        elif made.verdict.exit_code is ExitCode.UNKNOWN:  # also beside an anomaly that was expected
            tally.unknown.append(made)
            self._close()
        else:
            tally.valid += 1
        return made.verdict

    def _make(self, draw: Draw) -> Drawn:
        scenario = apply(self._loaded.scenario, draw, self._key())
        stage, place = self.stage, MemoryPlace()
        claimed = [self._claimed(workload) for workload in scenario.workloads()]
        plans = plan_streams("workload", claimed, shards=len(stage.deployment.topology.primaries))
        nodes = judged_nodes(scenario, stage.deployment.topology)
        faults = applicable(scenario.faults, stage.deployment.capabilities) if stage.external is None else ()
        give_up_s = give_up_after(None, scenario.expect.give_up_s)
        refusable, views = can_refuse(scenario), self.views
        cycle = Cycle(stage.deployment, plans, faults, nodes, place, give_up_s, refusable, views, self._kept)
        observed = run_cycle(cycle, _NoLaps())
        for index, fault in enumerate(observed.faults):
            if fault.met or index not in self.tally.faults:
                self.tally.faults[index] = fault
        strays, unasked = other_keys(stage.deployment, self.views, observed.nodes, [*stage.preload, *plans])
        misplaced, unlooked = misplaced_keys(stage.deployment, self.views)
        evidence = Evidence(
            nodes=observed.nodes,
            streams=observed.streams,
            readings=observed.readings,
            targets=observed.targets,
            convergences=observed.convergences,
            faults=observed.faults,
            other_keys=strays,
            misplaced=misplaced,
            doubts=(*observed.doubts, *unasked, *unlooked),
            not_checked=not_looked_for(plans),
            not_applied=stage.not_applied,
            notes=notes_on(stage),
        )
        drawn = Drawn(draw, evidence, judge(evidence, scenario.expect, faults_must_meet=False))
        if drawn.verdict.exit_code is not ExitCode.AS_EXPECTED:  # the deployment goes, and may not answer any more
            return drawn
        self._remove(plans)
        return self._restored(drawn, faults, scenario.expect)

    def _restored(self, drawn: Drawn, faults: Sequence[Fault], expect: Expect) -> Drawn:
        """Give a cluster its written shape back for the next draw; where that fails, this one is unknown."""
        deployment = self.stage.deployment
        if not (any(fault.reshapes for fault in faults) and isinstance(deployment, Reshapeable)):
            return drawn
        try:
            restore(deployment)
        except Failure as error:
            doubt = f"the cluster could not be given its written shape back: {error}"
            evidence = replace(drawn.evidence, doubts=(*drawn.evidence.doubts, doubt))
            return replace(drawn, evidence=evidence, verdict=judge(evidence, expect, faults_must_meet=False))
        return drawn

    def _key(self) -> str:
        return f"{self._loaded.scenario.workloads()[0].key}:draw:{self.tally.examples + 1}"

    def _claimed(self, workload: Workload) -> Workload:
        """The workload with the key that it may write; on servers that are not ours a key is claimed first."""
        if self.stage.external is None:
            return workload
        key = self.stage.external.keys.claim(self.stage.primary, workload.key, workload.db)
        return workload.model_copy(update={"key": key})

    def _remove(self, plans: tuple[StreamPlan, ...]) -> None:
        if self.stage.external is not None:
            for plan in keys_of(plans).values():
                self.stage.external.keys.release(self.stage.primary, plan.key.decode(), plan.db)
            return
        for shard in shards_of(self.stage.deployment, plans, ()):
            for plan in shard.keys.values():
                ask(self.views[shard.root], partial(NodeView.remove, key=plan.ref))

    def _open(self) -> None:
        stage = self._opened.enter_context(open_stage(self._loaded, self._options, self._run_id))
        cycle = Cycle(stage.deployment, stage.preload, (), (), MemoryPlace(), GIVE_UP_S)
        if doubts := write_all(make_writers(cycle, stage.preload, NoMarks())):
            raise SetupError(f"a preload could not be written: {'; '.join(doubts)}")
        stage.deployment.attach()
        self._views = self._opened.enter_context(NodeViews(stage.deployment.control))
        self._kept = stage.deployment.kept if stage.external is None else None
        self._stage = stage

    def _close(self) -> None:
        self._stage = self._views = self._kept = None
        self._opened.close()


def _draws(tally: Tally, intermittent: bool) -> Draws:
    return Draws(
        examples=tally.examples,
        valid=tally.valid,
        invalid=len(tally.failed),
        unknown=len(tally.unknown),
        smallest=str(tally.smallest.draw) if tally.smallest else None,
        intermittent=intermittent,
    )


def _conclude(
    loaded: LoadedScenario, tally: Tally, facts: RunFacts, directory: RunDirectory, options: Options
) -> Result:
    """Any invalid draw makes the whole invalid, else any unknown one unknown; a fault must have met some draw."""
    decisive = tally.smallest or (tally.unknown[0] if tally.unknown else tally.last)
    if decisive is None:
        raise RuntimeError("Hypothesis made no draw")
    own = decisive.evidence.faults
    met = [index for index, fault in tally.faults.items() if fault.met and index < len(own)]
    faults = tuple(replace(fault, met=True, why_not="") if index in met else fault for index, fault in enumerate(own))
    evidence = replace(decisive.evidence, faults=faults)
    verdict = judge(evidence, loaded.scenario.expect.of_draws(), strict_capabilities=options.strict_capabilities)
    if tally.smallest is not None:
        smallest = apply(loaded.scenario, tally.smallest.draw, loaded.scenario.workloads()[0].key)
        smallest = smallest.model_copy(update={"preload": loaded.scenario.preload})
        directory.reproduce.write_text(as_yaml(replace(loaded, scenario=smallest).stored()), encoding="utf-8")
    if verdict.exit_code is ExitCode.AS_EXPECTED:
        verdict = replace(verdict, notes=(*verdict.notes, f"{tally.valid} of {tally.examples} draws are valid"))
    return conclude(loaded, evidence, verdict, facts, directory, options)
