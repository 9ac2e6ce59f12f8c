"""The table of a benchmark as text: ratios first, the seconds behind them after."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from harness.bench.rows import Row


def table_text(rows: Sequence[Row]) -> str:
    """One line a measure: median, least and most over the rounds, goal, and the medians of the seconds themselves."""
    from tabulate import tabulate

    shown = [
        {
            "measure": row.measure,
            "median": _figure(row.median, row.unit),
            "min": _figure(min(row.values), ""),
            "max": _figure(max(row.values), ""),
            "goal": _goal(row),
            "": {True: "met", False: "MISSED", None: ""}[row.met],
            "ours s": f"{median(row.ours):.3f}" if row.ours else "",
            "other s": f"{median(row.reference):.3f}" if row.reference else "",
        }
        for row in rows
    ]
    align = ("left", *["right"] * 4, "left", "right", "right")
    table = tabulate(shown, headers="keys", disable_numparse=True, colalign=align)
    notes = [f"{row.measure}: {row.note}" for row in rows if row.note]
    return "\n".join(line.rstrip() for line in (*table.splitlines(), *([""] if notes else []), *notes))


def machine_line() -> str:
    """Processor, number of cores that we may use, Python."""
    return f"{_processor()}, {_cores()} cores, {platform.system()}, Python {platform.python_version()}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    return f"{'≤' if row.at_most else '≥'} {_figure(row.goal, row.unit)}"


def _figure(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{digits} {unit}".strip()
