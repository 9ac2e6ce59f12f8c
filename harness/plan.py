"""Which keys a run writes: the scenario's preloads and workloads, named, and scoped where the servers are not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.kinds import KINDS, KeyRef
from harness.scenario.model import Batch, Workload
from harness.values import Values, split


@dataclass(frozen=True)
class StreamPlan:
    """What one producer writes to one key. name: "workload", "preload.0", …

    key: as it is on the server, scoped or not. read_as: the name under which the key is read, where several producers
    share it.
    """

    name: str
    kind: str
    key: bytes
    db: int
    numbers: Values
    batch: Batch
    push: str = "right"
    scores: str = "ids"
    read_as: str | None = None

    @property
    def values(self) -> int:
        """How many elements."""
        return self.numbers.count

    @property
    def reading(self) -> str:
        """The name under which the key is read."""
        return self.read_as or self.name

    @property
    def ref(self) -> KeyRef:
        """The key as views ask for it."""
        return KeyRef(self.db, self.key, KINDS[self.kind])


def plan_streams(name: str, workloads: Sequence[Workload], scope: Callable[[str], str] = str) -> tuple[StreamPlan, ...]:
    """Plans called by this name, numbered where a scenario may have several of it."""
    numbered = name != "workload" or len(workloads) > 1
    return tuple(
        plan
        for index, workload in enumerate(workloads)
        for plan in _plans(f"{name}.{index}" if numbered else name, workload, scope(workload.key).encode())
    )


def _plans(name: str, workload: Workload, key: bytes) -> list[StreamPlan]:
    """One for each producer."""
    ranges = split(workload.values, workload.producers)
    shared = workload.producers > 1
    return [
        StreamPlan(
            name=f"{name}.producer{index}" if shared else name,
            kind=workload.kind,
            key=key,
            db=workload.db,
            numbers=numbers,
            batch=workload.batch,
            push=workload.push,
            scores=workload.scores,
            read_as=name if shared else None,
        )
        for index, numbers in enumerate(ranges)
    ]


def keys_of(plans: Iterable[StreamPlan]) -> dict[str, StreamPlan]:
    """One plan for each key, by the name under which the key is read."""
    found: dict[str, StreamPlan] = {}
    for plan in plans:
        found.setdefault(plan.reading, plan)
    return found
