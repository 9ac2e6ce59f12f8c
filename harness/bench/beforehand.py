"""What can be known before a benchmark begins: what it could not do here, and which rows there will not be.

Some of what is measured starts no `harness run`, so that no prediction of a run's would refuse what can't fit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from harness.bench.pair import scenario
from harness.bench.setting import Setting
from harness.bench.sorted_set import KIND
from harness.errors import SetupError
from harness.fault.toxiproxy import PROGRAM
from harness.memory_need import Available, available_memory, gigabytes, memory_need
from harness.stage import engine_chooser

# What benchmarks of redis-py took with one and two million values: 97 with hiredis.
NAIVE_BYTES_A_VALUE = 120


def check_setting(setting: Setting, groups: Sequence[str], available: Available | None = None) -> None:
    """UsageError for an engine that there can't be; SetupError for one that is not here, and with the sum where a
    group can't fit into memory. available: None to ask this machine.
    """
    chosen = engine_chooser(setting.options)
    for node in scenario().topology.nodes.values():
        chosen(node)
    here = available or available_memory()
    if here is None:
        return
    for group in groups:
        need, text = _need(setting, group)
        if need > here.size:
            raise SetupError(
                f"bench: {group} needs about {text}; {gigabytes(here.size)} are free here ({here.by}). "
                "Give fewer --values, leave it out with --only, or use a machine with more memory"
            )


def _need(setting: Setting, group: str) -> tuple[int, str]:
    """Bytes, and how they come about; nothing for groups whose size nobody chooses."""
    if group not in ("floor", "newest", "naive", "zadd"):
        return 0, ""
    values = setting.large if group in ("floor", "newest") else setting.small
    need = memory_need(scenario(f"workload.values={values}", *(KIND if group == "zadd" else ())))
    if group != "naive":
        return need.total, str(need)
    client = NAIVE_BYTES_A_VALUE * values
    return need.total + client, f"{need}, and {gigabytes(client)} for the naive client, which keeps the list"


def needs_c(setting: Setting, group: str) -> bool:
    """Whether nothing of this group can be measured, for want of a floor in C."""
    return group in ("newest", "zadd") and not (setting.floor and setting.floor.complete)


def left_out(setting: Setting, group: str) -> Iterator[str]:
    """Why rows of this group will be missing, one line each."""
    floor = setting.floor
    if needs_c(setting, group):
        yield f"{group} is left out: only a floor in C does the same, and that needs a C compiler (cc)"
    if group in ("floor", "naive") and floor is None:
        yield f"{group}: the rows beside a floor are left out; one needs a C compiler (cc) or redis-benchmark"
    if group == "proxy" and not shutil.which(PROGRAM):
        yield f"proxy: the row of the real Toxiproxy is left out; {PROGRAM} is not on PATH"
