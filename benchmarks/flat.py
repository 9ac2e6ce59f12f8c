"""Time a value and memory, from one size to ten times that size: both have to stay where they are.

    python benchmarks/flat.py [--values 100000000]

Runs `harness run` once with a value, once with a tenth of the values, and once with all of them.
"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from harness.bench.pair import HarnessRun, run_harness
from harness.bench.table import machine_line

TIME_GOAL, GROWTH_GOAL_MB = 1.1, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=100_000_000)
    values = parser.parse_args().values
    sizes = (1, values // 10, values)
    runs = {size: run_harness(size) for size in sizes}
    print(machine_line(), "\n")
    print(tabulate([row(size, run) for size, run in runs.items()], headers="keys", disable_numparse=True))
    least, tenth, whole = (runs[size] for size in sizes)
    ratio = (whole.end_to_end / values) / (tenth.end_to_end / (values // 10))
    print(f"\ntime a value, {values:,} ÷ {values // 10:,}: {ratio:.3f} (goal: at most {TIME_GOAL})")
    print(f"memory, {values:,} - 1: {whole.peak_mb - least.peak_mb:+.2f} MB (goal: at most {GROWTH_GOAL_MB})")


def row(size: int, run: HarnessRun) -> dict[str, str]:
    steps = {f"{step} s": f"{run.seconds[step]:.3f}" for step in ("write", "converge", "verify", "judge")}
    return {
        "values": f"{size:,}",
        **steps,
        "end to end s": f"{run.end_to_end:.3f}",
        "ns a value": f"{run.end_to_end / size * 1e9:,.0f}",
        "peak MB": f"{run.peak_mb:.1f}",
    }


if __name__ == "__main__":
    main()
