"""End to end, side by side: `harness run`, the naive way and the floor, each on a new pair of servers.

From the first value sent to the verdict (ours: with history, lag samples and judgement) or the end of the comparison
(theirs). The servers' start counts nowhere; it is a measure of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from harness.bench.floor import Floor
from harness.bench.pair import KEY, HarnessRun, open_pair, run_harness
from harness.bench.programs import last_object, module, output_of
from harness.bench.rows import Row, faster, in_turns, times
from harness.bench.setting import Setting

WRITE_GOAL, DRAIN_GOAL, FLOOR_GOAL = 1.05, 1.0, 1.05
NAIVE_GOAL, OF_FLOOR_GOAL = 20.0, 0.95
PEAK_GOAL_MB, GROWTH_GOAL_MB = 75.0, 1.0


@dataclass(frozen=True)
class FloorRun:
    """Seconds by step."""

    write: float
    converge: float
    drain: float

    @property
    def end_to_end(self) -> float:
        return self.write + self.converge + self.drain


@dataclass(frozen=True)
class NaiveRun:
    """hiredis: whether redis-py parsed its replies with it; pipeline: how it was made, in Python."""

    seconds: float
    hiredis: bool
    pipeline: str


def against_floor(setting: Setting) -> list[Row]:
    """Writing, verifying and the whole, as multiples of the floor's, where there is one; and memory."""
    floor, values = setting.floor, setting.large
    ours, theirs, smallest = _turns(setting, floor, values)
    size = several(values)
    return [*(_beside(floor, size, ours, theirs) if floor else []), *_memory(size, ours, smallest)]


def several(values: int) -> str:
    """In words."""
    return f"{values:,} value{'' if values == 1 else 's'}"


def _beside(floor: Floor, size: str, ours: list[HarnessRun], theirs: list[FloorRun]) -> list[Row]:
    name, note = floor.name, "" if floor.complete else f"no goal, since {floor.name} compares nothing"
    return [
        times(
            f"write through A to B ÷ {name}, {size}",
            [run.seconds["write"] for run in ours],
            [run.write for run in theirs],
            at_most=WRITE_GOAL if floor.complete else None,
            note=note,
        ),
        times(
            f"verify B in order ÷ {name} drain, {size}",
            [run.seconds["verify"] for run in ours],
            [run.drain for run in theirs],
            at_most=DRAIN_GOAL if floor.complete else None,
            note=note,
        ),
        times(
            f"end to end ÷ {name}, {size}",
            [run.end_to_end for run in ours],
            [run.end_to_end for run in theirs],
            at_most=FLOOR_GOAL if floor.complete else None,
            note=note,
        ),
    ]


def _memory(size: str, ours: list[HarnessRun], smallest: list[HarnessRun]) -> list[Row]:
    return [
        Row(f"memory of harness run, {size}", PEAK_GOAL_MB, tuple(run.peak_mb for run in ours), unit="MB"),
        Row(
            f"growth of that memory from 1 to {size}",
            GROWTH_GOAL_MB,
            tuple(large.peak_mb - small.peak_mb for large, small in zip(ours, smallest, strict=True)),
            unit="MB",
        ),
    ]


def _turns(
    setting: Setting, floor: Floor | None, values: int
) -> tuple[list[HarnessRun], list[FloorRun], list[HarnessRun]]:
    ours: list[HarnessRun] = []
    theirs: list[FloorRun] = []
    smallest: list[HarnessRun] = []
    ways = {
        "harness": lambda: ours.append(run_harness(values, setting.options.engines)),
        "one value": lambda: smallest.append(run_harness(1, setting.options.engines)),
    }
    if floor is not None:
        ways["floor"] = lambda: theirs.append(run_floor(setting, floor, values))
    in_turns(ways, setting.rounds)
    return ours, theirs, smallest


def against_naive(setting: Setting) -> list[Row]:
    """How many times as fast as the naive way, beside the same factor of the floor.

    The naive way is the faster one of a redis-py pipeline in transactions, as pipeline() makes it, and one without.
    """
    floor, values = setting.floor, setting.small
    ours: list[HarnessRun] = []
    naive: dict[bool, list[NaiveRun]] = {True: [], False: []}
    theirs: list[FloorRun] = []
    ways = {
        "harness": lambda: ours.append(run_harness(values, setting.options.engines)),
        "naive": lambda: naive[True].append(run_naive(setting, values, transaction=True)),
        "naive, no transaction": lambda: naive[False].append(run_naive(setting, values, transaction=False)),
    }
    if floor is not None:
        ways["floor"] = lambda: theirs.append(run_floor(setting, floor, values))
    in_turns(ways, setting.rounds)
    fast, slow = sorted(naive.values(), key=lambda runs: median(run.seconds for run in runs))
    rows = _naive_rows(several(values), [run.end_to_end for run in ours], fast, slow)
    return rows + (_floor_rows(floor, several(values), ours, theirs, fast) if floor is not None else [])


def _naive_rows(size: str, seconds: list[float], fast: list[NaiveRun], slow: list[NaiveRun]) -> list[Row]:
    hiredis = fast[0].hiredis
    note = f"{fast[0].pipeline} with {'hiredis' if hiredis else 'its own parser; no goal, since that is slower'}"
    taken, longer = [run.seconds for run in fast], [run.seconds for run in slow]
    return [
        faster(f"the naive way ÷ harness, {size}", seconds, taken, at_least=NAIVE_GOAL if hiredis else None, note=note),
        faster(f"with {slow[0].pipeline} ÷ harness, {size}", seconds, longer, at_least=None),
    ]


def _floor_rows(
    floor: Floor, size: str, ours: list[HarnessRun], theirs: list[FloorRun], naive: list[NaiveRun]
) -> list[Row]:
    seconds, least = [run.end_to_end for run in ours], [run.end_to_end for run in theirs]
    goal = OF_FLOOR_GOAL if floor.complete else None
    return [
        faster(f"the naive way ÷ {floor.name}, {size}", least, [run.seconds for run in naive], at_least=None),
        faster(f"share of {floor.name}'s factor, {size}", seconds, least, at_least=goal),
    ]


def run_floor(setting: Setting, floor: Floor, values: int) -> FloorRun:
    """The floor on a new pair."""
    with open_pair(setting.options) as pair:
        return FloorRun(floor.write(pair.a, KEY, values), pair.converge(), floor.drain(pair.b, KEY, values))


def run_naive(setting: Setting, values: int, *, transaction: bool) -> NaiveRun:
    """The naive way on a new pair, in a process of its own. transaction: whether each pipeline is one."""
    with open_pair(setting.options) as pair:
        words = [pair.a.host, str(pair.a.port), str(pair.b.port), KEY, str(values), *([] if transaction else ["plain"])]
        told, _ = output_of(module("naive", *words), f"the naive way with {values:,} values")
    return NaiveRun(**last_object(told), pipeline=f"pipeline({'' if transaction else 'transaction=False'})")
