"""What a fault on the link costs a run: writing must go on as fast, and only convergence may wait for the fault.

    python benchmarks/under_faults.py [--values 3000000] [--rounds 3]

Each way is a whole `harness run`, in turn; medians of its steps. A cut costs B its reconnect (a second or so), latency
its delay; neither may cost the writer anything but the two moments in which it stands still at a mark.
"""

from __future__ import annotations

import argparse
from statistics import median

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.bench.pair import HarnessRun, run_harness
from harness.bench.rows import in_turns
from harness.bench.table import machine_line

FAULTS = {
    "none": (),
    "20 ms of latency on a->b": (
        "faults=[{at: 20%, until: 80%, link: a->b, toxic: latency, latency_ms: 20}]",
        "topology.nodes.a.config.client-output-buffer-limit=replica 0 0 0",
    ),
    "a->b cut": (
        "faults=[{at: 20%, until: 80%, link: a->b, toxic: cut}]",
        "topology.nodes.a.config.repl-backlog-size=256mb",
        "topology.nodes.a.config.client-output-buffer-limit=replica 0 0 0",
    ),
}
STEPS = ("write", "converge", "verify")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), default=3_000_000)
    parser.add_argument("--rounds", type=number_from(), default=3)
    options = parser.parse_args()
    ways = {
        name: lambda overrides=overrides: run_harness(options.values, overrides=overrides)
        for name, overrides in FAULTS.items()
    }
    taken = in_turns(ways, options.rounds)
    print(f"{machine_line()}; {options.values:,} values, medians of {options.rounds}\n")
    rows = [row(name, runs, taken["none"]) for name, runs in taken.items()]
    print(tabulate(rows, headers="keys", disable_numparse=True))


def row(name: str, runs: list[HarnessRun], undisturbed: list[HarnessRun]) -> dict[str, str]:
    steps = {f"{step} s": f"{median(run.seconds[step] for run in runs):.3f}" for step in STEPS}
    ratio = median(
        mine.seconds["write"] / other.seconds["write"] for mine, other in zip(runs, undisturbed, strict=True)
    )
    return {"fault": name, **steps, "write ÷ without": f"{ratio:.2f}"}


if __name__ == "__main__":
    main()
