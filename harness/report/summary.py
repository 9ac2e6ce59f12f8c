"""The object of `harness run --json`: one run's report as plain JSON values, from which tables are drawn as well.

It has the same keys for every run; what a run could not measure is null or missing from a map, never a made-up 0.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.checker.evidence import Evidence, FaultRecord, KeyState, Reading, Run, Stream
from harness.checker.newest import merged_newest, whole
from harness.checker.verdict import Anomaly, Verdict
from harness.errors import ExitCode
from harness.history import Acknowledged, Refused, Unanswered
from harness.kinds import SHARDED
from harness.report.facts import Counts, RunFacts
from harness.scenario.model import Batch, Scenario, Workload

if TYPE_CHECKING:
    from harness.scenario.loader import LoadedScenario

VERSION = 1
NEWEST_SHOWN = 5
REDIRECTION = re.compile(r"\b(MOVED|ASK|TRYAGAIN)\b")

Report = dict[str, Any]


def summarize(loaded: LoadedScenario, evidence: Evidence, verdict: Verdict, facts: RunFacts) -> Report:
    """The report of a run that came to a verdict, ready for json.dumps."""
    report = _frame(loaded, facts)
    counts = facts.counts or count_elements(evidence.streams)
    report |= {
        "verdict": verdict.outcome.value,
        "as_expected": verdict.as_expected,
        "exit_code": int(verdict.exit_code),
        "anomalies": [_anomaly(anomaly) for anomaly in verdict.anomalies],
        "unmet": list(verdict.unmet),
        "doubts": list(verdict.doubts),
        "not_checked": list(verdict.not_checked),
        "not_applied": list(verdict.not_applied),
        "notes": list(verdict.notes),
        "acknowledged": counts.acknowledged,
        "failed": counts.failed,
        "unknown": counts.unknown,
        "read": _read(evidence),
        "newest_first": _newest_of_each_node(loaded.scenario, evidence),
        "redirected": dict(counts.redirected),
        "shards": _shards(evidence, verdict),
        "converged": {
            convergence.node: {
                "reached": convergence.reached,
                "seconds": _number(convergence.seconds),
                "how": convergence.how,
                "last_seen": convergence.last_seen,
            }
            for convergence in evidence.convergences
        },
        "faults": [_fault(fault) for fault in evidence.faults],
        "sync": {
            link: {"full": counts.full_finished, "partial": counts.partial, "full_started": counts.full_started}
            for link, counts in (evidence.syncs or {}).items()
        },
        "lag": {node: {"max_ms": _number(lag)} for node, lag in (evidence.max_lag_ms or {}).items()},
    }
    return report


def summarize_skipped(loaded: LoadedScenario, reason: str, facts: RunFacts) -> Report:
    """The report of a scenario that this runtime can't run."""
    return _frame(loaded, facts) | {"skipped": reason, "exit_code": int(ExitCode.NOTHING_SELECTED)}


def summarize_failure(loaded: LoadedScenario, message: str, exit_code: ExitCode, facts: RunFacts) -> Report:
    """The report of a run that came to no verdict: the machine lacks something, or the harness failed."""
    return _frame(loaded, facts) | {"error": message, "exit_code": int(exit_code)}


def count_elements(streams: Iterable[Stream]) -> Counts:
    """Elements by how they ended, summed over the ledgers. What was refused and then sent again did not fail."""
    counts = Counts()
    for stream in streams:
        totals = {Acknowledged: 0, Refused: 0, Unanswered: 0}
        redirected: dict[str, int] = {}
        for entry in stream.entries():
            if isinstance(entry, (Acknowledged, Refused, Unanswered)):
                totals[type(entry)] += entry.last - entry.first + 1
            if isinstance(entry, Refused) and (answer := REDIRECTION.search(entry.error)):
                redirected[answer[0]] = redirected.get(answer[0], 0) + entry.last - entry.first + 1
        never_sent_again = stream.values - totals[Acknowledged] - totals[Unanswered]
        failed = min(totals[Refused], max(0, never_sent_again))
        counts += Counts(totals[Acknowledged], failed, totals[Unanswered], redirected)
    return counts


def newest(runs: Iterable[Run], count: int) -> list[str]:
    """The last `count` elements as text, the newest first; memory is bounded by count."""
    if count <= 0:
        return []
    values: list[str] = []
    for run in reversed(deque(runs, maxlen=count)):
        if run.raw is not None:
            values.append(_text(run.raw))
        else:
            last = run.first + run.count - 1
            values.extend(str(value) for value in range(last, max(run.first - 1, last - (count - len(values))), -1))
        if len(values) >= count:
            break
    return values[:count]


def _frame(loaded: LoadedScenario, facts: RunFacts) -> Report:
    """Every key of the object, in the order in which it is read best, with what a run that measured nothing has."""
    scenario = loaded.scenario
    proxy = facts.fault_proxy
    return {
        "version": VERSION,
        "scenario": loaded.name,
        "file": str(loaded.path),
        "part": facts.part,
        "title": scenario.title,
        "verdict": None,
        "as_expected": None,
        "exit_code": None,
        "skipped": None,
        "error": None,
        "anomalies": [],
        "unmet": [],
        "doubts": [],
        "not_checked": [],
        "not_applied": [],
        "notes": [],
        "seed": facts.seed,
        "workload": _workloads(scenario),
        "draws": None if facts.draws is None else vars(facts.draws).copy(),
        "acknowledged": 0,
        "failed": 0,
        "unknown": 0,
        "read": {},
        "newest_first": {},
        "redirected": {},
        "shards": {},
        "converged": {},
        "engines": dict(facts.engines),
        "origins": dict(facts.origins),
        "profiles": dict(facts.profiles),
        "addresses": dict(facts.addresses),
        "runtime": facts.runtime,
        "fault_proxy": None if proxy is None else {"kind": proxy.kind, "version": proxy.version, "where": proxy.where},
        "faults": [],
        "sync": {},
        "lag": {},
        "seconds": {step: _number(seconds) for step, seconds in facts.seconds.items()},
        "run_id": facts.run_id,
        "run_dir": facts.run_dir,
        "replay": facts.replay,
    }


def _workloads(scenario: Scenario) -> Report | list[Report]:
    """One object where the file has one workload, a list where it has a list."""
    if isinstance(scenario.workload, tuple):
        return [_workload(workload) for workload in scenario.workload]
    return _workload(scenario.workload)


def _workload(workload: Workload) -> Report:
    return {
        "kind": workload.kind,
        "key": workload.key,
        "db": workload.db,
        "values": workload.values,
        "batch": _batch(workload.batch),
    }


def _batch(batch: Batch) -> Report:
    if batch.sizes is not None:
        return {"shape": batch.shape, "sizes": list(batch.sizes)}
    return {"shape": batch.shape, "size": batch.size}


def _anomaly(anomaly: Anomaly) -> Report:
    first = anomaly.first
    return {
        "kind": anomaly.kind.value,
        "node": anomaly.node,
        "db": anomaly.db,
        "key": anomaly.key,
        "count": anomaly.count,
        "at_least": anomaly.at_least,
        "first": {"index": first.index, "expected": first.expected, "found": first.found},
        "message": anomaly.message,
    }


def _fault(fault: FaultRecord) -> Report:
    return {name: _number(value) if isinstance(value, float) else value for name, value in vars(fault).items()}


def _read(evidence: Evidence) -> dict[str, int]:
    """Elements read from each judged node, all keys together."""
    read = dict.fromkeys(evidence.nodes, 0)
    for reading in evidence.readings:
        read[reading.node] = read.get(reading.node, 0) + reading.length
    return read


def _newest_of_each_node(scenario: Scenario, evidence: Evidence) -> Mapping[str, list[str]]:
    """The newest elements of each judged node's first workload, as it sent them; merged where it has several keys."""
    wanted = scenario.expect.newest_first
    count = wanted if isinstance(wanted, int) else len(wanted or ()) or NEWEST_SHOWN
    stream = first_workload(evidence.streams)
    if stream is not None and stream.kind in SHARDED:
        return {nodes: _merged(readings, count) for nodes, readings in whole(evidence, stream.workload)}
    shown = (reading for reading in evidence.readings if stream is not None and reading.stream == stream.reading)
    return {reading.node: _newest_of(reading, count) for reading in shown}


def first_workload(streams: Iterable[Stream]) -> Stream | None:
    """The stream that stands for the run where only one can be shown: the first that is no preload."""
    everything = tuple(streams)
    workloads = (stream for stream in everything if not stream.name.startswith("preload"))
    return next(workloads, everything[0] if everything else None)


def _newest_of(reading: Reading, count: int) -> list[str]:
    return newest(reading.runs(), count) if reading.state is KeyState.LIST else []


def _merged(readings: Sequence[Reading], count: int) -> list[str]:
    return [_text(value) for value in merged_newest(readings, count)]


def _shards(evidence: Evidence, verdict: Verdict) -> dict[str, Report]:
    """What each shard of a cluster held, by its primary at the end."""
    if len(evidence.targets) < 2:
        return {}
    keys = {stream.reading: stream for stream in evidence.streams}
    return {
        root: {
            "keys": len(target.lengths),
            "elements": sum(target.lengths.values()),
            "nodes": list(dict.fromkeys(node for key in target.lengths for node in keys[key].nodes or ())),
            "anomalies": sum(anomaly.key in {keys[key].key for key in target.lengths} for anomaly in verdict.anomalies),
        }
        for root, target in evidence.targets.items()
    }


def _text(raw: bytes) -> str:
    """Bytes as a report shows them: text where they are, else \\xNN."""
    return raw.decode("utf-8", "backslashreplace")


def _number(value: float | None) -> float | None:
    """A figure as JSON can carry it, to the microsecond; infinities and not-a-number mean that there is none."""
    return round(value, 6) if value is not None and math.isfinite(value) else None
