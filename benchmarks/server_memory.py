"""Bytes that a server needs for each value of each data type: what `harness.memory_need` predicts a run with.

    python benchmarks/server_memory.py [--values 1000000 1060000 4000000] [--engine redis-7.0.15 …] [--kind set …]

A pair for each type and size, filled as every run fills it; what counts is the most that either server's allocator
(peak) or the system (resident) saw, less what an empty one has and what is kept for replicas. A hash table is dearest
just after the values passed a power of two, when a table of twice the size is being filled beside the old one.
"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.bench.pair import Pair, open_pair
from harness.bench.table import machine_line
from harness.endpoint.address import Endpoint
from harness.history import Ledger
from harness.kinds import KINDS, SHARDED
from harness.memory_need import BYTES_A_VALUE
from harness.options import Options
from harness.resp.connection import Connection
from harness.workload.base import Route
from harness.workload.numbered import NumberedWriter, WritePlan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), nargs="+", default=[1_000_000, 1_060_000, 4_000_000])
    parser.add_argument("--engine", nargs="+", default=["redis-7.0.15"])
    parser.add_argument("--kind", nargs="+", default=[kind for kind in KINDS if kind not in SHARDED])
    options = parser.parse_args()
    print(machine_line(), "\n")
    rows = [
        row(engine, kind, values) for engine in options.engine for kind in options.kind for values in options.values
    ]
    print(tabulate(rows, headers="keys", disable_numparse=True))


def row(engine: str, kind: str, values: int) -> dict[str, str]:
    with open_pair(Options(engines=(engine,), ports="any")) as pair:
        before = most(pair)
        fill(pair.a, kind, values)
        pair.converge()
        after = most(pair)
    used, resident = ((after[index] - before[index]) / values for index in range(2))
    predicted = BYTES_A_VALUE[KINDS[kind]]
    return {
        "engine": engine,
        "type": KINDS[kind].title,
        "values": f"{values:,}",
        "peak": f"{used:.1f}",
        "resident": f"{resident:.1f}",
        "predicted": str(predicted),
        "": "" if max(used, resident) <= predicted else "MORE",
    }


def most(pair: Pair) -> tuple[int, int]:
    """Bytes, of the server that has more: its allocator's peak, and what is resident."""
    found = [memory(endpoint) for endpoint in (pair.a, pair.b)]
    return max(each[0] for each in found), max(each[1] for each in found)


def memory(endpoint: Endpoint) -> tuple[int, int]:
    with Connection(endpoint) as connection:
        text = connection.command("INFO", "memory")
    assert isinstance(text, bytes)
    fields = dict(line.partition(b":")[::2] for line in text.split(b"\r\n"))
    kept = int(fields.get(b"mem_total_replication_buffers", fields.get(b"mem_replication_backlog", 0)))
    return int(fields[b"used_memory_peak"]) - kept, int(fields[b"used_memory_rss"]) - kept


def fill(to: Endpoint, kind: str, values: int) -> None:
    shape = "variadic" if KINDS[kind].variadic else "pipeline"
    writer = NumberedWriter(WritePlan(b"k", values, shape, (1000,), kind), Route("a", to, to), Ledger(None))
    writer.run()


if __name__ == "__main__":
    main()
