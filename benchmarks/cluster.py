"""A cluster of 3 + 3 nodes: write and verify beside three C senders and drains, merged reading, and memory.

    python benchmarks/cluster.py [--values 1000000] [--rounds 3] [--large 10000000]

Each way is on a new cluster on local processes, in turn; medians. "C" writes one list a shard, all three at once, then
waits for the replicas, then drains the three primaries at once (a replica of a cluster would redirect it), comparing.
The harness writes 12 lists with 3 producers and reads the replicas; its time is all but the servers' start. Merged
newest-first is its reading of the replicas and the merged printing of what they sent. ZADD: writing alone, 12 sorted
sets with 3 producers, beside three C senders of the same commands.

    python benchmarks/cluster.py --only-zadd      # that row alone
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import cast

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.bench.floor import Floor, find_floor
from harness.bench.programs import last_object, module, output_of, own_folder
from harness.bench.rows import in_turns
from harness.bench.table import machine_line
from harness.commands.newest import print_newest
from harness.commands.output import Output
from harness.endpoint.address import Endpoint
from harness.options import Options
from harness.resp.connection import Connection
from harness.runtime.base import Deployment
from harness.scenario.loader import load
from harness.slots import shard_ranges, slot_of
from harness.stage import open_stage

SCENARIO = """\
version: 1
title: A cluster to be measured
topology: {cluster: {shards: 3, replicas: 1, config: {client-output-buffer-limit: "replica 0 0 0"}}}
workload:
  {kind: sharded_list, key: "k:{n}", shards: 12, values: 1, producers: 3, batch: {shape: variadic, size: 1000}}
expect: {list: exact}
"""
WRITE_GOAL, MERGED_GOAL, PEAK_GOAL_MB = 1.15, 1.5, 90.0


@dataclass(frozen=True)
class Taken:
    """Seconds of one way. merged: the reading alone, newest first; peak_mb: 0 for C."""

    write: float
    verify: float
    end_to_end: float
    merged: float
    peak_mb: float = 0.0


class Counted:
    """Output that goes nowhere."""

    size = 0

    def blocks(self, parts: Iterator[bytes]) -> None:
        self.size += sum(map(len, parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), default=1_000_000)
    parser.add_argument("--rounds", type=number_from(), default=3)
    parser.add_argument("--large", type=number_from(0), default=10_000_000, help="0: none")
    parser.add_argument("--zadds", type=number_from(0), default=600_000, help="members of the sorted sets; 0: none")
    parser.add_argument("--only-zadd", action="store_true")
    options = parser.parse_args()
    floor = find_floor().floor
    if floor is None or not floor.complete:
        sys.exit("a C compiler (cc) is needed")
    with own_folder() as folder:
        file = folder / "cluster.yaml"
        file.write_text(SCENARIO)
        if options.zadds:
            print(tell_zadd(file, floor, options.zadds, options.rounds))
        if options.only_zadd:
            return
        ways = {"C": lambda: in_c(file, floor, options.values), "harness": lambda: by_harness(file, options.values)}
        taken = in_turns(ways, options.rounds)
        print(f"{machine_line()}; {options.values:,} values, medians of {options.rounds}\n")
        print(tabulate([row(name, runs) for name, runs in taken.items()], headers="keys", disable_numparse=True))
        tell("write and verify ÷ C", taken, lambda run: run.end_to_end, WRITE_GOAL)
        tell("merged newest-first ÷ C's drains", taken, lambda run: run.merged, MERGED_GOAL)
        peaks = {options.values: max(run.peak_mb for run in taken["harness"])}
        peaks |= {values: by_harness(file, values).peak_mb for values in (100_000, options.large) if values}
        for values, peak in peaks.items():
            print(f"peak MB at {values:,}: {peak:.1f} (goal: at most {PEAK_GOAL_MB:g})")


def tell(what: str, taken: dict[str, list[Taken]], seconds: Callable[[Taken], float], goal: float) -> None:
    ratios = [seconds(ours) / seconds(c) for ours, c in zip(taken["harness"], taken["C"], strict=True)]
    print(f"{what}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}; goal: at most {goal})")


def tell_zadd(file: Path, floor: Floor, members: int, rounds: int) -> str:
    """Writing sorted sets, as one line; each way on a new cluster, in turn."""
    taken = in_turns(
        {"C": lambda: zadd_in_c(file, floor, members), "harness": lambda: zadd_by_harness(file, members)}, rounds
    )
    ratios = [ours / c for ours, c in zip(taken["harness"], taken["C"], strict=True)]
    spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}; goal: at most {WRITE_GOAL})"
    seconds = f"{median(taken['harness']):.3f} s ÷ {median(taken['C']):.3f} s"
    return f"ZADD, {members:,} members ÷ C: {spread}, {seconds}; {machine_line()}, medians of {rounds}"


def zadd_in_c(file: Path, floor: Floor, members: int) -> float:
    """Seconds of three senders, all at once, each of its share."""
    with open_stage(load(file), Options(ports="any"), "bench") as stage, ThreadPoolExecutor(3) as pool:
        stage.deployment.attach()
        sets = in_thirds(stage.deployment, members)
        began = time.perf_counter()
        list(pool.map(lambda each: floor.zadd(*each), sets))
        return time.perf_counter() - began


def zadd_by_harness(file: Path, members: int) -> float:
    """Seconds of writing, in a run that has to end valid."""
    changes = ("workload.kind=sharded_sorted_set", "expect={sorted_set: exact}", f"workload.values={members}")
    words = ["run", str(file), "--json", "--ports", "any", *(word for each in changes for word in ("--set", each))]
    report, _ = output_of(module("measured", *words), f"harness run with {members:,} members")
    return cast("float", last_object(report)["seconds"]["write"])


def row(name: str, runs: list[Taken]) -> dict[str, str]:
    figures = ("write", "verify", "end_to_end", "merged")
    return {"way": name, **{f"{each} s": f"{median(getattr(run, each) for run in runs):.3f}" for each in figures}}


def in_c(file: Path, floor: Floor, values: int) -> Taken:
    """Three senders and three drains, all at once, each with its third of the numbers."""
    with open_stage(load(file), Options(ports="any"), "bench") as stage, ThreadPoolExecutor(3) as pool:
        stage.deployment.attach()
        lists = in_thirds(stage.deployment, values)
        began = time.perf_counter()
        list(pool.map(lambda each: floor.write(*each), lists))
        written = time.perf_counter()
        list(pool.map(lambda each: wait_for_replica(stage.deployment, each[0]), lists))
        converged = time.perf_counter()
        list(pool.map(lambda each: floor.drain(*each), lists))
        ended = time.perf_counter()
    return Taken(written - began, ended - converged, ended - began, ended - converged)


def in_thirds(deployment: Deployment, values: int) -> list[tuple[Endpoint, str, int, int]]:
    """For each shard: its primary, a key, how many of 1..values it holds, and the first of them."""
    edges = [values * number // 3 for number in range(4)]
    return [
        (deployment.endpoint(f"shard{number}"), key_in(number), stop - start, start + 1)
        for number, (start, stop) in enumerate(pairwise(edges))
    ]


def key_in(shard: int) -> str:
    slots = shard_ranges(3)[shard]
    return next(name for number in range(1 << 20) if slot_of((name := f"c:{number}").encode()) in slots)


def wait_for_replica(deployment: Deployment, primary: Endpoint) -> None:
    """Its replica has everything; WAIT counts what this connection wrote, so it writes once more."""
    shard = next(node.name for node in deployment.topology.primaries if deployment.endpoint(node.name) == primary)
    with Connection(primary, timeout_s=120) as connection:
        connection.command("DEL", f"{{{key_in(int(shard.removeprefix('shard')))}}}none")
        connection.command("WAIT", "1", "100000")


def by_harness(file: Path, values: int) -> Taken:
    with own_folder() as out:
        words = [
            "run",
            str(file),
            "--json",
            "--keep",
            "--out",
            str(out),
            "--ports",
            "any",
            "--set",
            f"workload.values={values}",
        ]
        report, told = output_of(module("measured", *words), f"harness run with {values:,} values")
        [run_dir] = out.glob("cluster/*")
        began = time.perf_counter()
        print_newest(run_dir, None, cast("Output", Counted()))
        printing = time.perf_counter() - began
    seconds = last_object(report)["seconds"]
    end_to_end = seconds["total"] - seconds["start"]
    return Taken(
        seconds["write"], seconds["verify"], end_to_end, seconds["verify"] + printing, last_object(told)["peak_mb"]
    )


if __name__ == "__main__":
    main()
