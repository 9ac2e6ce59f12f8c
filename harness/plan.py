"""Which keys a run writes: the scenario's preloads and workloads, named, and scoped where the servers are not ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.scenario.model import Batch, Workload


@dataclass(frozen=True)
class StreamPlan:
    """One key to be written. name: "workload", "preload.0", …; key: as it is on the server, scoped or not."""

    name: str
    kind: str
    key: bytes
    db: int
    values: int
    batch: Batch

    @property
    def list_key(self) -> tuple[int, bytes]:
        """Database number and key, as views ask for them."""
        return self.db, self.key


def plan_streams(name: str, workloads: Sequence[Workload], scope: Callable[[str], str] = str) -> tuple[StreamPlan, ...]:
    """Plans called by this name, numbered where a scenario may have several of it."""
    numbered = name != "workload" or len(workloads) > 1
    return tuple(
        StreamPlan(
            name=f"{name}.{index}" if numbered else name,
            kind=workload.kind,
            key=scope(workload.key).encode(),
            db=workload.db,
            values=workload.values,
            batch=workload.batch,
        )
        for index, workload in enumerate(workloads)
    )
