"""Any scenario as a matrix cell's content: its primaries run the one engine, its replicas the other."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checker.verdict import Kind
from harness.checker.verdict import Outcome as Judged
from harness.errors import ExitCode, HarnessError, SetupError, UsageError
from harness.matrix.cell import Found
from harness.matrix.cells import Anomaly, Cell, EngineFacts, Expectation, Key, Outcome
from harness.matrix.comparison import LOST_KINDS
from harness.matrix.run import expectation

if TYPE_CHECKING:
    from harness.engine.binaries import Engine
    from harness.matrix.run import Plan
    from harness.runner import Result
    from harness.scenario.loader import LoadedScenario

Tell = Callable[[int, int], None]
_ENDED = re.compile(r"ended (?:with exit code|by signal)[^\n]*")
_REFUSED = re.compile(r"too old to read its primary|does not know its primary|an RDB encoding|refuses to replicate")


@dataclass(frozen=True)
class _Task:
    loaded: LoadedScenario
    key: Key
    primary: Engine
    replica: Engine
    part: str
    replay: str


def run_scenarios(plan: Plan, path: Path, part: str, tell: Tell) -> tuple[tuple[EngineFacts, ...], tuple[Cell, ...]]:
    """The engines as their programs name themselves, and a cell for each pair, in the plan's order.

    part: of the scenario, "written" or "property".
    """
    from harness.scenario.loader import load

    loaded = load(path)
    if part == "property" and loaded.scenario.property is None:
        raise UsageError(f"{path} has no property to draw from; leave --property out")
    facts = {engine.name: _facts(engine) for engine in plan.engines}
    engines = {engine.name: engine for engine in plan.engines}
    replay = f"{plan.replay} --scenario {shlex.quote(str(path))}{' --property' * (part == 'property')}"
    cells: list[Cell] = []
    with ThreadPoolExecutor(plan.jobs) as threads:
        tasks = [
            _Task(loaded, Key(*pair, loaded.name, "scenario"), engines[pair[0]], engines[pair[1]], part, replay)
            for pair in plan.pairs
        ]
        try:
            for cell in threads.map(lambda task: _cell(task, facts), tasks):
                cells.append(cell)
                tell(len(cells), len(tasks))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(facts.values()), tuple(cells)


def _facts(engine: Engine) -> EngineFacts:
    return EngineFacts(engine.name, engine.family, engine.version, engine.origin)


def _cell(task: _Task, facts: dict[str, EngineFacts]) -> Cell:
    key = task.key
    asked = Key(key.primary, key.replica, "list", "scenario")  # what a scenario writes are lists
    expected = expected_of(task.loaded, expectation(facts[key.primary], facts[key.replica], asked))
    began = time.monotonic()
    found = _found(task)
    seconds = round(time.monotonic() - began, 4)
    replay = f"{task.replay} --pair {key.primary}:{key.replica}"
    told = (found.reason, found.anomalies, None, seconds, found.evidence, replay)
    return Cell(key, found.outcome, expected, *told, unmet=found.unmet)


def expected_of(loaded: LoadedScenario, by_rule: Expectation) -> Expectation:
    """What a scenario that shows a broken guarantee expects, where no rule says that it can't even be tried."""
    kinds = loaded.scenario.expect.anomalies
    if not kinds or by_rule.outcome is not Outcome.OK:
        return by_rule
    reason = f"the scenario expects exactly these anomalies: {', '.join(kind.value for kind in kinds)}"
    return Expectation(_broken(kinds), "scenario", reason, loaded.name)


def _broken(kinds: Collection[Kind]) -> Outcome:
    return Outcome.LOST if any(kind.value in LOST_KINDS for kind in kinds) else Outcome.CHANGED


def _found(task: _Task) -> Found:
    from harness.options import Options
    from harness.runner import run

    nodes = task.loaded.topology.nodes.values()
    engines = {node.name: task.replica if node.replica_of else task.primary for node in nodes}
    options = Options(
        runtime="local",
        engines=tuple(f"{node}={engine.name}" for node, engine in engines.items()),
        engine_paths=tuple(sorted({f"{engine.name}={engine.program}" for engine in engines.values()})),
        ports="any",
    )
    try:
        return outcome_of(run(task.loaded, options, part=task.part))
    except SetupError as error:
        return of_failure(str(error))
    except HarnessError as error:
        return Found(Outcome.UNKNOWN, str(error).splitlines()[0])


def of_failure(message: str) -> Found:
    """What a run that could not begin says of its cell."""
    lines = message.splitlines()
    if ended := _ENDED.search(message):
        return Found(Outcome.CRASHED, ended[0], evidence=tuple(lines))
    outcome = Outcome.REFUSED if _REFUSED.search(message) else Outcome.UNKNOWN
    return Found(outcome, lines[0], evidence=tuple(lines))


def outcome_of(result: Result) -> Found:
    """A verdict in the matrix's words: never ok where it is invalid, although a scenario may expect just that."""
    verdict = result.verdict
    if verdict is None:
        return Found(Outcome.NOT_APPLICABLE, str(result.skipped))
    anomalies = tuple(Anomaly(anomaly.kind.value, anomaly.message) for anomaly in verdict.anomalies)
    if verdict.exit_code is ExitCode.AS_EXPECTED and verdict.outcome is Judged.VALID:
        return Found(Outcome.OK, "as the scenario expects")
    if verdict.exit_code is ExitCode.UNKNOWN:
        return Found(Outcome.UNKNOWN, "; ".join(verdict.doubts) or "unknown", anomalies)
    if anomalies:
        unmet = verdict.exit_code is not ExitCode.AS_EXPECTED
        why = "; ".join((*("not as the scenario expects" for _ in range(unmet)), *verdict.unmet, anomalies[0].what))
        return Found(_broken([anomaly.kind for anomaly in verdict.anomalies]), why, anomalies, unmet=unmet)
    return Found(Outcome.DEGRADED, "; ".join(verdict.unmet) or "an expectation was not met")
