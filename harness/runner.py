"""From a scenario to its result. The only module that knows all the others; `run_written` is the whole way in order."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.checker.evidence import Evidence
from harness.checker.judge import judge
from harness.checker.verdict import Verdict
from harness.errors import ExitCode
from harness.memory_need import require_memory
from harness.observation import observe, read_primary_too
from harness.options import Options
from harness.report.facts import FaultProxyFacts, RunFacts
from harness.report.store import RunDirectory
from harness.report.summary import summarize
from harness.scenario.loader import LoadedScenario, load
from harness.scenario.plain import as_yaml
from harness.stage import Stage, open_stage, require_images_in_use


class Progress(Protocol):
    """Told what a run is doing; drawn only where somebody looks."""

    def phase(self, name: str) -> None: ...

    def advance(self, done: int, total: int) -> None: ...


class Silent:
    """Tells nobody."""

    def phase(self, name: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Result:
    """How a part of a scenario ended. report: the object of `harness run --json`; run_dir: None if discarded."""

    scenario: LoadedScenario
    part: str
    verdict: Verdict | None
    skipped: str | None
    report: Mapping[str, object]
    run_dir: Path | None

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.NOTHING_SELECTED if self.verdict is None else self.verdict.exit_code


class Clock:
    """Seconds by step, for the report: start, write, converge, verify, judge, total. The first step begins at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = self._lap = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.begin("start")

    def begin(self, step: str) -> None:
        """A step begins, and the one before it ends."""
        self._progress.phase(step)
        self._lap = time.monotonic()

    def advance(self, done: int, total: int) -> None:
        self._progress.advance(done, total)

    def end(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = now - self._lap
        self.seconds["total"] = now - self._began


def run(loaded: LoadedScenario, options: Options, *, part: str = "written", progress: Progress | None = None) -> Result:
    """Run one part of a scenario, "written" or "property". Failures that are no verdict are raised (harness.errors)."""
    if options.runtime_name() != "external":
        require_memory(loaded, part)
    if part == "property":
        from harness.property_run import run_property  # here, since Hypothesis is loaded only where it draws

        return run_property(loaded, options, progress or Silent())
    return run_written(loaded, options, progress or Silent())


def run_written(loaded: LoadedScenario, options: Options, progress: Progress) -> Result:
    """Exactly what is written: start, write through A under faults, converge, read B, keep the evidence, judge it."""
    run_id = options.new_run_id()
    clock = Clock(progress)
    directory = RunDirectory.create(options.run_directories(), loaded.name, run_id, passwords(loaded))
    with ExitStack() as opened:
        try:
            stage = opened.enter_context(open_stage(loaded, options, run_id))
            evidence = observe(stage, loaded.scenario, directory, clock)
            clock.begin("judge")
            directory.save_evidence(evidence)
            verdict = judge(evidence, loaded.scenario.expect, strict_capabilities=options.strict_capabilities)
            if verdict.anomalies:
                evidence = read_primary_too(stage, loaded.scenario, evidence, directory)
                verdict = judge(evidence, loaded.scenario.expect, strict_capabilities=options.strict_capabilities)
            clock.end("judge")
            facts = replace(run_facts(stage, run_id, options, directory), seconds=clock.seconds)
            stage.deployment.dismiss()
            if stage.external is not None:
                opened.close()  # what it could not remove is known then
                verdict = replace(verdict, notes=(*verdict.notes, *stage.external.keys.left))
        except BaseException:
            directory.discard()
            raise
        return conclude(loaded, evidence, verdict, facts, directory, options)


def conclude(
    loaded: LoadedScenario,
    evidence: Evidence,
    verdict: Verdict,
    facts: RunFacts,
    directory: RunDirectory,
    options: Options,
) -> Result:
    """Store what was found, or discard it where all went as expected and nobody asked to keep it."""
    kept = options.keep or options.keep_directory or verdict.exit_code is not ExitCode.AS_EXPECTED
    if not kept:
        facts = replace(facts, run_dir=None, replay=None)
    report = summarize(loaded, evidence, verdict, facts)
    if kept:
        directory.save_scenario(as_yaml(loaded.stored()))
        directory.save_evidence(evidence)
        directory.save_facts(facts)
        directory.save_verdict(verdict)
        directory.save_report(report)
        directory.save_replay(str(facts.replay))
    else:
        directory.discard()
    return Result(loaded, facts.part, verdict, None, report, directory.path if kept else None)


def run_facts(stage: Stage, run_id: str, options: Options, directory: RunDirectory) -> RunFacts:
    """What the report says of where and with what the run ran."""
    deployment = stage.deployment
    nodes = deployment.topology.nodes
    facts = {node: deployment.facts(node) for node in nodes}
    proxy = stage.proxy
    return RunFacts(
        run_id=run_id,
        runtime=deployment.runtime,
        seed=options.seed,
        engines={node: fact.engine for node, fact in facts.items()},
        origins={node: fact.origin for node, fact in facts.items()},
        profiles={node: label for node in nodes if (label := stage.product(node)) != "oss"},
        addresses={node: deployment.endpoint(node).address for node in nodes},
        fault_proxy=FaultProxyFacts(proxy.kind, proxy.version, proxy.where) if proxy else None,
        run_dir=str(directory.path),
        replay=f"harness replay {shlex.quote(str(directory.path))}",
    )


def passwords(loaded: LoadedScenario) -> tuple[str, ...]:
    """Every password of the scenario, so that the run directory can keep them out."""
    return tuple(node.password for node in loaded.topology.nodes.values() if node.password)


def judge_again(run_dir: Path, *, strict_capabilities: bool = False) -> Result:
    """Judge the evidence that a run left; starts and asks no server."""
    directory = RunDirectory.open(run_dir)
    evidence, facts = directory.load_evidence(), directory.load_facts()
    loaded = replace(load(directory.scenario, throwaway_passwords=True), name=directory.name)
    expect = loaded.scenario.expect if facts.part == "written" else loaded.scenario.expect.of_draws()
    verdict = judge(evidence, expect, strict_capabilities=strict_capabilities)
    return Result(loaded, facts.part, verdict, None, summarize(loaded, evidence, verdict, facts), run_dir)


def replay(run_dir: Path, options: Options) -> Result:
    """Run what a run directory describes once more: the same scenario, and of a property the draw that failed.

    A property of which no draw failed is drawn again with the same seed. Runtime and engines are those of that run,
    unless options choose others; endpoints of an external run must be given again, since they hold credentials.
    """
    directory = RunDirectory.open(run_dir)
    facts = directory.load_facts()
    failed = directory.reproduce.exists()
    loaded = load(directory.reproduce if failed else directory.scenario, throwaway_passwords=True)
    runtime = facts.runtime if options.runtime == "auto" else options.runtime
    same = replace(
        options,
        runtime=runtime,
        engines=options.engines or _engines_again(facts),
        images=options.images or (() if options.engines or runtime != "container" else _images_again(facts)),
        seed=facts.seed if options.seed is None else options.seed,
        examples=options.examples or (_examples_again(facts, loaded) if facts.draws else None),
    )
    require_images_in_use(same, [loaded.topology])
    return run(replace(loaded, name=directory.name), same, part="written" if failed else facts.part)


def _engines_again(facts: RunFacts) -> tuple[str, ...]:
    """The engine of each node, as --engine has it; those of an external run were not ours to choose."""
    if facts.runtime == "external":
        return ()
    return tuple(f"{node}={engine}" for node, engine in facts.engines.items())


def _images_again(facts: RunFacts) -> tuple[str, ...]:
    """The images that were given or came from a registry, as --image has them; those made here are found by name."""
    images = {
        facts.engines[node]: origin.removeprefix("image ").partition("@")[0]
        for node, origin in facts.origins.items()
        if origin.startswith("image ") and not origin.startswith("image replication-harness/")
    }
    return tuple(f"{engine}={reference}" for engine, reference in images.items())


def _examples_again(facts: RunFacts, loaded: LoadedScenario) -> int:
    """How many examples Hypothesis drew, beside those that every run has."""
    from harness.scenario.strategies import always

    drawn = facts.draws.examples if facts.draws else 0
    return max(1, drawn - len(always(loaded.scenario)))
