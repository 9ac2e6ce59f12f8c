"""Whether the servers of a run fit into this machine's memory, predicted before anything starts.

A server that runs out of memory is killed by the system in the middle of a run, and takes its neighbours with it; what
is left looks like lost values. So a run that cannot fit is refused with the sum. The bytes a value are measured ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SetupError
from harness.kinds import HASH, KINDS, LIST, SET, SORTED_SET, STREAM, STRING, DataType
from harness.scenario.loader import LoadedScenario
from harness.scenario.model import Workload
from harness.topology import Node, Topology
from harness.workload.dialect import DIALECTS, Style

# The most that benchmarks/server_memory.py saw on six engines. A string that grows is copied into larger and larger
# blocks, and an engine may keep the old ones for a while.
BYTES_A_VALUE: Mapping[DataType, int] = {LIST: 7, SORTED_SET: 130, STRING: 120, STREAM: 22, HASH: 95, SET: 80}
BYTES_A_SERVER = 10_000_000
BACKLOG = 10 << 20  # bytes; what a server keeps for replicas that come back, where nothing else is configured
REPLICA_BUFFER = 256 << 20  # likewise, what may wait for one replica
BYTES_A_QUEUED = 140  # beside the bytes of a command, while it waits for EXEC; measured on redis 7.0.15: 117 and 138
SMALL = 64_000_000  # bytes; what needs no more is not looked into
_UNITS = {"b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
_GB = 1e9


@dataclass(frozen=True)
class Need:
    """What a run's servers need at most, in bytes. data: all values once; copies: how often they are held; buffers: of
    all servers, for replicas that come back, and for what waits during a full sync; queued: what a primary holds of a
    transaction until EXEC.
    """

    servers: int
    values: int
    data: int
    copies: int
    buffers: int
    queued: int = 0

    @property
    def total(self) -> int:
        return self.copies * self.data + self.servers * BYTES_A_SERVER + self.buffers + self.queued

    def __str__(self) -> str:
        queued = f", and {gigabytes(self.queued)} for commands queued until EXEC" if self.queued else ""
        return (
            f"{gigabytes(self.total)}: {self.servers} servers with {self.copies} times {self.values:,} values in "
            f"{gigabytes(self.data)}, {gigabytes(self.servers * BYTES_A_SERVER)} for the programs and "
            f"{gigabytes(self.buffers)} for backlogs and what waits during a full sync{queued}"
        )


@dataclass(frozen=True)
class Available:
    """Bytes that programs can still take, and who says so."""

    size: int
    by: str


def memory_need(loaded: LoadedScenario, part: str = "written") -> Need:
    """The prediction for what is written, or for the largest draw of the property."""
    scenario, topology = loaded.scenario, loaded.topology
    loads = [(load, load.values) for load in (*scenario.preload, *scenario.workloads())]
    if part == "property" and scenario.property is not None:
        first = len(scenario.preload)
        loads[first] = (loads[first][0], scenario.property.values.max)
    sent = sum(count * _bytes_sent(load, count) for load, count in loads)
    shards = len(topology.primaries) if topology.is_cluster else 1
    copies = len(topology.nodes) // shards
    return Need(
        servers=len(topology.nodes),
        values=sum(count for _, count in loads),
        data=sum(count * BYTES_A_VALUE[KINDS[load.kind]] for load, count in loads),
        copies=copies,
        buffers=_backlogs(topology, sent, copies) + _waiting(topology, sent, copies),
        queued=sum(_queued(load, count) for load, count in loads),
    )


def _bytes_sent(load: Workload, count: int) -> int:
    """The command that writes one value, the longest."""
    return len(DIALECTS[load.kind](load.key.encode(), Style(load.push, load.scores)).singles(max(1, count), 1))


def _queued(load: Workload, count: int) -> int:
    """Of the largest transaction."""
    if load.batch.shape != "multi":
        return 0
    return min(count, max(load.batch.sizes or (load.batch.size,))) * (_bytes_sent(load, count) + BYTES_A_QUEUED)


def _backlogs(topology: Topology, sent: int, copies: int) -> int:
    """No server keeps more than was sent, and all shards of a cluster together no more than that for each copy."""
    sizes = (_size(_directive(node, "repl-backlog-size"), BACKLOG) for node in topology.nodes.values())
    return min(sum(min(size, sent) for size in sizes), copies * sent)


def _waiting(topology: Topology, sent: int, copies: int) -> int:
    """What waits for replicas while they take a full sync: an unlimited buffer may hold all that is sent."""
    sources = (topology.nodes[link.source] for link in topology.replication_links)
    return min(sum(min(_replica_limit(node) or sent, sent) for node in sources), (copies - 1) * sent)


def _replica_limit(node: Node) -> int:
    """Bytes that may wait for one replica of this node, 0 where nothing limits them."""
    words = (_directive(node, "client-output-buffer-limit") or "").lower().split()
    for kind, hard in zip(words[::4], words[1::4], strict=False):
        if kind not in ("normal", "pubsub"):  # the third class has two names
            return _size(hard, REPLICA_BUFFER)
    return REPLICA_BUFFER


def _directive(node: Node, name: str) -> str | None:
    return next((value for directive, value in reversed(node.directives) if directive.lower() == name), None)


def _size(text: str | None, default: int) -> int:
    """Bytes, as servers read "256mb"; what they would refuse is left to them."""
    plain = (text or "").strip().strip("\"'").lower()
    digits = plain.rstrip("bkmg")
    unit = _UNITS.get(plain[len(digits) :] or "b")
    return int(digits) * unit if digits.isdecimal() and unit is not None else default


def require_memory(loaded: LoadedScenario, part: str = "written", available: Available | None = None) -> None:
    """SetupError with the sum where a large run's servers cannot fit. available: None to ask this machine."""
    need = memory_need(loaded, part)
    if need.total <= SMALL:
        return
    here = available or available_memory()
    if here is not None and need.total > here.size:
        raise SetupError(
            f"the servers of this run need about {need}; {gigabytes(here.size)} are free here ({here.by}). Write fewer "
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


def gigabytes(size: int) -> str:
    """In words."""
    return f"{size / _GB:.2f} GB"
