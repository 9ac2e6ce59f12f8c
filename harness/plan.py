"""Which keys a run writes: the scenario's preloads and workloads, named, and scoped where the servers are not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.kinds import KINDS, SHARDED, KeyRef
from harness.scenario.model import Batch, Workload
from harness.slots import key_names
from harness.values import Values, deal, split

DEFAULT_KEYS = 3
MOST_BLOCKS = 100  # of one key


@dataclass(frozen=True)
class StreamPlan:
    """What one producer writes to one key. name: "workload", "preload.0", …

    key: as it is on the server, scoped or not. read_as: the name under which the key is read, where several producers
    share it. writer: who writes it; one writer may write several keys. read_from: "replicas" or "primaries".
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
    writer: str = ""
    read_from: str = "replicas"

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


def plan_streams(
    name: str, workloads: Sequence[Workload], scope: Callable[[str], str] = str, *, shards: int = 1
) -> tuple[StreamPlan, ...]:
    """Plans called by this name, numbered where a scenario may have several. shards: of the cluster, 1 if none."""
    numbered = name != "workload" or len(workloads) > 1
    return tuple(
        plan
        for index, workload in enumerate(workloads)
        for plan in _plans(f"{name}.{index}" if numbered else name, workload, scope, shards)
    )


def _plans(name: str, workload: Workload, scope: Callable[[str], str], shards: int) -> list[StreamPlan]:
    """One for each key, and for each producer of it."""
    if workload.kind in SHARDED:
        return _sharded(name, workload, scope(workload.key), shards)
    ranges = split(workload.values, workload.producers)
    shared = workload.producers > 1
    return [
        _plan(f"{name}.producer{index}" if shared else name, workload, scope(workload.key), numbers, index)
        for index, numbers in enumerate(ranges)
    ]


def _sharded(name: str, workload: Workload, pattern: str, shards: int) -> list[StreamPlan]:
    """A producer has keys of one shard alone where there are enough producers, so that it needs one connection."""
    keys = workload.shards or DEFAULT_KEYS
    names = key_names(pattern, keys, shards)
    dealt = deal(workload.values, keys, block_size(workload, keys))
    producers = producers_of(keys, min(workload.producers, keys), shards)
    return [
        _plan(f"{name}.key{index}", workload, key, numbers, producer)
        for index, (key, numbers, producer) in enumerate(zip(names, dealt, producers, strict=True))
    ]


def block_size(workload: Workload, keys: int) -> int:
    """Consecutive values that one key gets: a batch, unless some keys would get nothing; several batches where one a
    block would make too many blocks.
    """
    batches = workload.batches or (workload.batch,)
    batch = max(size for each in batches for size in each.sizes or (each.size,))
    evenly = max(1, -(-workload.values // keys))
    block = min(batch, evenly)
    return block * max(1, -(-evenly // (block * MOST_BLOCKS)))


def producers_of(keys: int, producers: int, shards: int) -> list[int]:
    """Which producer writes each key; key number k is in shard k % shards."""
    found = []
    for key in range(keys):
        shard, number = key % shards, key // shards
        own = [producer for producer in range(producers) if producer % shards == shard] or [shard % producers]
        found.append(own[number % len(own)])
    return found


def _plan(name: str, workload: Workload, key: str, numbers: Values, producer: int) -> StreamPlan:
    shared = workload.producers > 1 and workload.kind not in SHARDED
    return StreamPlan(
        name=name,
        kind=workload.kind,
        key=key.encode(),
        db=workload.db,
        numbers=numbers,
        batch=workload.batches[producer % len(workload.batches)] if workload.batches else workload.batch,
        push=workload.push,
        scores=workload.scores,
        read_as=name.rpartition(".")[0] if shared else None,
        writer=f"{name.rpartition('.')[0]}.producer{producer}" if workload.kind in SHARDED else name,
        read_from=workload.read_from,
    )


def keys_of(plans: Iterable[StreamPlan]) -> dict[str, StreamPlan]:
    """One plan for each key, by the name under which the key is read."""
    found: dict[str, StreamPlan] = {}
    for plan in plans:
        found.setdefault(plan.reading, plan)
    return found


def writers_of(plans: Iterable[StreamPlan]) -> dict[str, list[StreamPlan]]:
    """The plans of each writer, which has one ledger a plan."""
    found: dict[str, list[StreamPlan]] = {}
    for plan in plans:
        found.setdefault(plan.writer or plan.name, []).append(plan)
    return found
