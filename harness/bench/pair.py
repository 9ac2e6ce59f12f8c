"""The servers on which everything is measured: a primary and its replica, started as every run starts them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bench.programs import last_object, module, output_of, own_folder
from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.options import Options
from harness.runtime.base import Deployment
from harness.runtime.readiness import wait_until
from harness.scenario.loader import LoadedScenario, load
from harness.stage import open_stage

SCENARIO = Path(__file__).with_name("pair.yaml")
KEY = "numbers:list"
CONVERGE_S = 600.0


@dataclass(frozen=True)
class Pair:
    """Two servers, b following a."""

    deployment: Deployment

    @property
    def a(self) -> Endpoint:
        return self.deployment.endpoint("a")

    @property
    def b(self) -> Endpoint:
        return self.deployment.endpoint("b")

    def converge(self) -> float:
        """Seconds until b has processed all that a holds; the connections are there before, as a run's own are."""
        with NodeView(self.deployment.control("a")) as a, NodeView(self.deployment.control("b")) as b:
            for view in (a, b):
                view.replication()
            began = time.perf_counter()
            target = a.replication().offset
            wait_until(
                lambda: (b.replication().processed_offset or 0) >= target,
                deadline_s=CONVERGE_S,
                what=f"the replica to reach offset {target}",
                describe=lambda: b.replication().processed_offset,
            )
            return time.perf_counter() - began


def scenario(*overrides: str) -> LoadedScenario:
    """The scenario of a pair, with "workload.values=5" and the like."""
    return load(SCENARIO, overrides)


@contextmanager
def open_pair(options: Options) -> Iterator[Pair]:
    """A new pair, empty, b following a; stopped at the end."""
    with open_stage(scenario(), options, "bench") as stage:
        stage.deployment.attach()
        yield Pair(stage.deployment)


@dataclass(frozen=True)
class HarnessRun:
    """One `harness run` of the pair. seconds: by step; peak_mb: resident memory of the harness alone, at most."""

    seconds: dict[str, float]
    peak_mb: float

    @property
    def end_to_end(self) -> float:
        """From the first value to the verdict: all but the servers' start."""
        return self.seconds["total"] - self.seconds["start"]


def run_harness(values: int, engines: Sequence[str] = (), overrides: Sequence[str] = ()) -> HarnessRun:
    """`harness run` of the pair in a process of its own; SetupError where its verdict is not valid."""
    more = [word for override in overrides for word in ("--set", override)]
    report, told = _run(f"workload.values={values}", engines, *more)
    return HarnessRun(report["seconds"], last_object(told)["peak_mb"])


def run_property(draws: int, engines: Sequence[str] = ()) -> dict[str, Any]:
    """The report of `harness run --property` of the pair, with so many draws."""
    return _run("workload.values=1", engines, "--property", "--examples", str(draws), "--seed", "1")[0]


def _run(override: str, engines: Sequence[str], *more: str) -> tuple[dict[str, Any], str]:
    """The report of one run that has to end as expected, and what it said on standard error."""
    chosen = [word for engine in engines for word in ("--engine", engine)]
    with own_folder() as out:
        words = ["run", str(SCENARIO), "--json", "--out", str(out), "--set", override, *chosen, *more]
        report, told = output_of(module("measured", *words), f"harness run with {override}")
    return last_object(report), told
