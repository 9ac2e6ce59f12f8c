"""Time a value and memory, from one size to ten times that size: both have to stay where they are.

    python benchmarks/flat.py [--values 100000000] [--rounds 5]

Each round runs `harness run` once with a value, once with a tenth of the values, and once with all of them, in turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from statistics import median

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.bench.pair import HarnessRun, run_harness
from harness.bench.rows import in_turns
from harness.bench.table import machine_line

TIME_GOAL, GROWTH_GOAL_MB = 1.1, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(10), default=100_000_000)
    parser.add_argument("--rounds", type=number_from(), default=5)
    options = parser.parse_args()
    sizes = (1, options.values // 10, options.values)
    taken = in_turns({str(size): partial(run_harness, size) for size in sizes}, options.rounds)
    print(f"{machine_line()}; medians of {options.rounds}\n")
    rows = [row(size, taken[str(size)]) for size in sizes]
    print(tabulate(rows, headers="keys", disable_numparse=True))
    least, tenth, whole = (taken[str(size)] for size in sizes)
    times = [
        (large.end_to_end / sizes[2]) / (small.end_to_end / sizes[1]) for large, small in zip(whole, tenth, strict=True)
    ]
    growths = [large.peak_mb - small.peak_mb for large, small in zip(whole, least, strict=True)]
    print(f"\ntime a value, {sizes[2]:,} ÷ {sizes[1]:,}: {spread(times, '.3f')} (goal: at most {TIME_GOAL})")
    print(f"memory, {sizes[2]:,} - 1: {spread(growths, '+.2f')} MB (goal: at most {GROWTH_GOAL_MB})")


def row(size: int, runs: Sequence[HarnessRun]) -> dict[str, str]:
    steps = {
        f"{step} s": f"{median(run.seconds[step] for run in runs):.3f}"
        for step in ("write", "converge", "verify", "judge")
    }
    whole = [run.end_to_end for run in runs]
    return {
        "values": f"{size:,}",
        **steps,
        "end to end s": f"{median(whole):.3f} ({min(whole):.3f} to {max(whole):.3f})",
        "ns a value": f"{median(whole) / size * 1e9:,.0f}",
        "peak MB": spread([run.peak_mb for run in runs], ".1f"),
    }


def spread(values: Sequence[float], shape: str) -> str:
    """Median, then least and most."""
    return f"{median(values):{shape}} ({min(values):{shape}} to {max(values):{shape}})"


if __name__ == "__main__":
    main()
