"""Does the fast path still see a single changed element? A list is written once, and changed on B before each reading.

The writer and the reader build the same bytes from the same code, so that a mistake in it could hide itself; what B
holds is therefore changed by a plain LSET, and the judgement has to name exactly that place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from harness.bench.pair import KEY, scenario
from harness.checker.evidence import Evidence
from harness.checker.judge import judge
from harness.checker.verdict import Verdict
from harness.convergence import GIVE_UP_S
from harness.cycle import Cycle, run_cycle
from harness.errors import SetupError
from harness.options import Options
from harness.place import MemoryPlace
from harness.reading import read_now
from harness.resp.connection import Connection
from harness.resp.replies import OK
from harness.stage import Stage, open_stage

REPLICA = "b"
Reread = Callable[[int, str | None], Verdict]


class NoLaps:
    """The steps are not timed."""

    def begin(self, step: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self, step: str) -> None:
        """Nothing."""


@contextmanager
def written(values: int, options: Options, *overrides: str) -> Iterator[Reread]:
    """A pair that holds the numbers 1..values, written as every run writes them; reading it again gives a verdict.

    What is yielded takes an index and what stands there while B is read (None: nothing is changed).
    """
    loaded = scenario(f"workload.values={values}", "topology.nodes.b.config.replica-read-only=no", *overrides)
    with open_stage(loaded, options, "bench") as stage:
        stage.deployment.attach()
        place = MemoryPlace()
        observed = run_cycle(Cycle(stage.deployment, stage.workload, (), (REPLICA,), place, GIVE_UP_S), NoLaps())
        evidence = Evidence(
            nodes=(REPLICA,),
            streams=observed.streams,
            readings=observed.readings,
            targets=observed.targets,
            convergences=observed.convergences,
            doubts=observed.doubts,
        )

        def reread(index: int, found: str | None) -> Verdict:
            with _changed(stage, index, found):
                readings = read_now(stage.deployment, REPLICA, stage.workload, MemoryPlace())
            return judge(replace(evidence, readings=readings), loaded.scenario.expect)

        yield reread


def first_difference(verdict: Verdict) -> int | None:
    """The first index that the verdict names; None where it is valid."""
    return min((anomaly.first.index for anomaly in verdict.anomalies if anomaly.first.index is not None), default=None)


@contextmanager
def _changed(stage: Stage, index: int, found: str | None) -> Iterator[None]:
    if found is None:
        yield
        return
    _set(stage, index, found)
    yield
    _set(stage, index, str(index + 1))


def _set(stage: Stage, index: int, element: str) -> None:
    with Connection(stage.deployment.control(REPLICA)) as connection:
        reply = connection.command("LSET", KEY, index, element)
    if reply != OK:
        raise SetupError(f"LSET on {REPLICA} was answered with {reply!r}")
