"""Whether the servers of a run fit into this machine's memory, predicted before anything starts.

A server that runs out of memory is killed by the system in the middle of a run, and takes its neighbours with it; what
is left looks like lost values. So a run that cannot fit is refused with the sum. The bytes a value are measured ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SetupError
from harness.scenario.model import Scenario

BYTES_A_VALUE = {
    "list_append": 7,
    "sorted_set": 94,
}  # numbers: 5 to 6 and the list's own nodes; member, score, skip list
BYTES_A_SERVER = 10_000_000
BYTES_SENT_A_VALUE = 32
REPLICA_BUFFER = 256_000_000  # the servers' own limit for what waits for one replica
SMALL = 64_000_000  # bytes; what needs no more is not looked into
_UNKNOWN_KIND = 100
_GB = 1e9


@dataclass(frozen=True)
class Need:
    """What a run's servers need at most, in bytes. data: a server's; buffers: of all primaries, during a full sync."""

    servers: int
    values: int
    data: int
    buffers: int

    @property
    def total(self) -> int:
        return self.servers * (self.data + BYTES_A_SERVER) + self.buffers

    def __str__(self) -> str:
        return (
            f"{_gb(self.total)}: {self.servers} servers with {self.values:,} values in {_gb(self.data)} each, "
            f"{_gb(self.servers * BYTES_A_SERVER)} for the programs and {_gb(self.buffers)} for what waits during a "
            "full sync"
        )


@dataclass(frozen=True)
class Available:
    """Bytes that programs can still take, and who says so."""

    size: int
    by: str


def memory_need(scenario: Scenario, part: str = "written") -> Need:
    """The prediction for what is written, or for the largest draw of the property."""
    loads = [(load.kind, load.values) for load in (*scenario.preload, *scenario.workloads())]
    if part == "property" and scenario.property is not None:
        first = len(scenario.preload)
        loads[first] = (loads[first][0], scenario.property.values.max)
    values = sum(count for _, count in loads)
    links = sum(1 for node in scenario.topology.nodes.values() if node.replica_of)
    return Need(
        servers=len(scenario.topology.nodes),
        values=values,
        data=sum(count * BYTES_A_VALUE.get(kind, _UNKNOWN_KIND) for kind, count in loads),
        buffers=links * min(values * BYTES_SENT_A_VALUE, REPLICA_BUFFER),
    )


def require_memory(scenario: Scenario, part: str = "written", available: Available | None = None) -> None:
    """SetupError with the sum where a large run's servers cannot fit. available: None to ask this machine."""
    need = memory_need(scenario, part)
    if need.total <= SMALL:
        return
    here = available or available_memory()
    if here is not None and need.total > here.size:
        raise SetupError(
            f"the servers of this run need about {need}; {_gb(here.size)} are free here ({here.by}). Write fewer "
            "values (--set workload.values=…), or use a machine with more memory"
        )


def available_memory() -> Available | None:
    """The least that any limit leaves; None where this system tells nothing."""
    return min((found for found in (_of_machine(), *_of_groups()) if found), key=lambda each: each.size, default=None)


def _of_machine() -> Available | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux: what is installed is the most there can be
        names = os.sysconf_names
        if "SC_PHYS_PAGES" not in names:
            return None
        return Available(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "what is installed")
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return Available(sizes["MemAvailable"], "MemAvailable") if "MemAvailable" in sizes else None


def _of_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[Available]:
    """What the control groups that we are in leave; those without a limit yield nothing."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _left(root, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _left(root / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _left(root: Path, path: str, limit: str, usage: str) -> Iterator[Available]:
    """Of the group and all groups around it. In a container the path may be one of the host's, not to be seen here."""
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(root):
            return
        try:
            most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
            cached = _cached(group)
        except (OSError, ValueError):  # no such file at the root, or none that we may read
            continue
        if most.isdigit() and int(most) < 1 << 60:
            yield Available(max(0, int(most) - used + cached), f"the limit of control group {group}")


def _cached(group: Path) -> int:
    """Bytes of files that the system gives up when somebody needs memory."""
    pairs = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    sizes = {name: int(size) for name, size in pairs}
    return sizes.get("total_inactive_file", sizes.get("inactive_file", 0))


def _gb(size: int) -> str:
    return f"{size / _GB:.2f} GB"
