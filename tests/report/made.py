"""A scenario and the evidence of a run of it, as literal values, for the tests of what is stored and shown."""

from __future__ import annotations

from pathlib import Path

from harness.checker.evidence import (
    Convergence,
    Evidence,
    FaultRecord,
    KeyState,
    OtherKey,
    Reading,
    Run,
    Shrink,
    Stream,
    SyncCounts,
    Target,
)
from harness.checker.verdict import Anomaly, First, Kind, Outcome, Verdict
from harness.history import Acknowledged, Broken, Entry, Refused, Resolved, Unanswered
from harness.report.facts import FaultProxyFacts, RunFacts
from harness.scenario.loader import LoadedScenario, load

TEXT = """\
version: 1
title: A pair
topology:
  nodes:
    a: {port: 6379}
    b: {replica_of: a, profile: redis-enterprise, port: 10878}
workload: {key: "numbers:list", values: 1000, batch: {shape: variadic, size: 100}}
expect: {newest_first: 3}
"""

ENTRIES: tuple[Entry, ...] = (
    Acknowledged(1, 1, 400, 100),
    Refused(1, 401, 500, "OOM"),
    Unanswered(1, 501, 700, 100),
    Broken(1, True, "reset"),
    Resolved((1,), 100),
    Acknowledged(2, 701, 1000, 100),
)
RUNS = (Run(1, 400), Run(501, 100), Run(0, 1, b"x\xff"), Run(702, 299))

FAULT = FaultRecord(
    fault="latency", link="a->b", at="20%", until="80%", applied_s=0.01, healed_s=0.5, values=600, bytes=12_000,
    link_seen_down=None, met=True,
)  # fmt: skip

EVIDENCE = Evidence(
    nodes=("b",),
    streams=(Stream("workload", "numbers:list", 0, 1000, lambda: ENTRIES, must_acknowledge=False),),
    readings=(Reading("b", "workload", KeyState.LIST, lambda: RUNS, length=800, told=800),),
    targets={"a": Target("abc", 5000, {"workload": 800})},
    convergences=(Convergence("b", True, 0.012, "offset 5000 of 5000"),),
    faults=(FAULT,),
    syncs={"a->b": SyncCounts(1, 1, 2)},
    initial_syncs={"a->b": "full"},
    max_lag_ms={"b": 12.5},
    shrinks=(Shrink("b", "workload", 10, 5, 0.25),),
    other_keys=(OtherKey("b", 3, "stray"),),
    notes=("unfenced",),
)

ANOMALY = Anomaly(
    Kind.WRONG_VALUE, "b", 0, "numbers:list", 1, First(500, "701", "x\\xff"), "b holds x\\xff where 701 must be"
)
VERDICT = Verdict(
    Outcome.INVALID, False, anomalies=(ANOMALY,), unexpected=(ANOMALY,), unmet=("length: 800 instead of 1000",)
)
VALID = Verdict(Outcome.VALID, True)

FACTS = RunFacts(
    run_id="r1",
    runtime="local",
    seed=7,
    engines={"a": "redis-7.0.15", "b": "valkey-9.1.2"},
    profiles={"b": "simulated redis-enterprise"},
    addresses={"a": "127.1.2.3:6379", "b": "127.1.2.3:10878"},
    fault_proxy=FaultProxyFacts("embedded", "0.1.0", "own process"),
    seconds={"start": 0.1, "write": 0.5, "total": 0.75},
    run_dir="runs/pair/1",
    replay="harness replay runs/pair/1",
)


def scenario(folder: Path, text: str = TEXT) -> LoadedScenario:
    """The scenario of TEXT, from a file as any other."""
    path = folder / "pair.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, (), {})
