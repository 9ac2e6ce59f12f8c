"""Everything a judgement rests on, as plain values: what a run saves before it is judged.

The judge gets nothing else, so that a stored run can be judged again without a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.history import Entry
from harness.kinds import KINDS, SHARDED, DataType
from harness.values import Values


@dataclass(frozen=True)
class Run:
    """Consecutive list elements as a node sent them: the numbers first, first+1, … (count of them), or one other value.

    raw: the bytes of an element that is not a canonical positive decimal number ("7", never "07" or "+7" or "0"); then
    first is 0 and count 1.
    """

    first: int
    count: int
    raw: bytes | None = None

    @property
    def others(self) -> bool:
        """Whether these are other producers' elements, which stand between; never as a node's own reading."""
        return self.raw is None and self.first == 0


class KeyState(StrEnum):
    LIST = "list"  # whatever the type: the key's own expected type was there and was read to its end
    ABSENT = "absent"
    WRONG_TYPE = "wrong_type"
    UNREADABLE = "unreadable"  # an error reply, or a read that ended early: nothing can be said


@dataclass(frozen=True)
class Reading:
    """One key as one node sent it, read once. runs can be iterated again and again; error: why it is unreadable.

    found_type: the type's name for WRONG_TYPE; length: elements read; told: what the node said right before, as the
    type's length command counts, None where that was not kept; size: bytes read, where that command counts bytes.
    """

    node: str
    stream: str
    state: KeyState
    runs: Callable[[], Iterable[Run]]
    length: int = 0
    found_type: str | None = None
    error: str | None = None
    told: int | None = None
    size: int | None = None

    @property
    def beyond(self) -> int:
        """How much more was read than the node said it had, as it counts; nought where nothing can be compared."""
        if self.told is None or self.state not in (KeyState.LIST, KeyState.ABSENT):
            return 0
        return (self.length if self.size is None else self.size) - self.told


@dataclass(frozen=True)
class Stream:
    """What one producer wrote to one key: a workload, or a preload. name: "workload", "workload.1", "preload.0", …

    entries: its ledger; must_acknowledge: no fault touched the writer's way or a node, so that each value must be
    acknowledged. values: how many; first, block, stride: which, as in `Values`. push: the end of a list at which
    elements were added; scores: of a sorted set's members. read_as: the name under which the key was read, where
    several producers share it. nodes: those from which the key was read; None: all. shards: where its slot was in a
    cluster, by the names of their first primaries.
    """

    name: str
    key: str
    db: int
    values: int
    entries: Callable[[], Iterable[Entry]]
    must_acknowledge: bool = True
    kind: str = "list_append"
    push: str = "right"
    scores: str = "ids"
    first: int = 1
    block: int = 0
    stride: int = 0
    read_as: str | None = None
    nodes: tuple[str, ...] | None = None
    shards: tuple[str, ...] = ()

    @property
    def numbers(self) -> Values:
        return Values(self.values, self.first, self.block, self.stride)

    @property
    def data_type(self) -> DataType:
        return KINDS[self.kind]

    @property
    def reading(self) -> str:
        """The name under which its key was read."""
        return self.read_as or self.name

    @property
    def workload(self) -> str:
        """The name of the workload or preload that it is a part of."""
        return self.name.rpartition(".")[0] if self.kind in SHARDED or self.read_as else self.name


@dataclass(frozen=True)
class Target:
    """What the root primary held after the last write and the last heal, asked in one transaction.

    lengths: list length by stream name; offset_counts: its offset grew by at least the payload, so that offsets mean
    something.
    """

    replication_id: str
    offset: int
    lengths: Mapping[str, int]
    offset_counts: bool = True


@dataclass(frozen=True)
class Convergence:
    """Whether a node processed the target, and how many seconds after the later of last acknowledgement and last heal.

    last_seen: what the node showed last ("offset 4711 of 5000, link down"), for messages; how: "offset" or "canary";
    primary: whose target it is, where there are several.
    """

    node: str
    reached: bool
    seconds: float | None
    last_seen: str
    how: str = "offset"
    primary: str = ""


@dataclass(frozen=True)
class SyncCounts:
    """Full and partial resyncs of one link after readiness, from the replica's log: begun and finished are apart."""

    full_started: int
    full_finished: int
    partial: int


@dataclass(frozen=True)
class FaultRecord:
    """One fault as it really happened. at, until: as written; applied_s, healed_s: seconds since the first write.

    values: elements sent while it was active; bytes: growth of the primary's offset (client links: bytes of our own
    client; on full_sync: RDB bytes; a cluster's change: bytes that writers sent to its shard); link_seen_down: None
    where nothing requires it; met: it met something; why_not: the reason where it did not; not_healed: why it could
    not be undone, "" where it was; packets_lost: None where it is no loss of packets.

    loses: the shard whose acknowledged writes it may cost, "" where none; primary: which node acknowledged them;
    took_over_s: when another node was seen as that shard's primary.
    """

    fault: str
    link: str
    at: str
    until: str
    applied_s: float | None
    healed_s: float | None
    values: int
    bytes: int
    link_seen_down: bool | None
    met: bool
    why_not: str = ""
    packets_lost: int | None = None
    not_healed: str = ""
    loses: str = ""
    primary: str = ""
    took_over_s: float | None = None


@dataclass(frozen=True)
class Shrink:
    """Two samples of one node with one replication id, the later holding less."""

    node: str
    stream: str
    before: int
    after: int
    seconds: float


@dataclass(frozen=True)
class OtherKey:
    """A key on a node that nothing of ours wrote."""

    node: str
    db: int
    key: str


@dataclass(frozen=True)
class MisplacedKey:
    """A key of ours on a node of a cluster that does not own its slot; owner: who does, "" where nobody."""

    node: str
    key: str
    slot: int
    owner: str


@dataclass(frozen=True)
class Evidence:
    """A whole run. nodes: those to be judged; doubts: measurements that failed, each a reason for unknown.

    syncs, max_lag_ms: None where the runtime can't measure them (the reason then stands in not_checked).
    initial_syncs: the first sync of each link ("full" or "partial"), before readiness.
    """

    nodes: tuple[str, ...]
    streams: tuple[Stream, ...]
    readings: tuple[Reading, ...]
    targets: Mapping[str, Target]
    convergences: tuple[Convergence, ...]
    faults: tuple[FaultRecord, ...] = ()
    syncs: Mapping[str, SyncCounts] | None = None
    initial_syncs: Mapping[str, str] = field(default_factory=dict)
    max_lag_ms: Mapping[str, float] | None = None
    shrinks: tuple[Shrink, ...] = ()
    other_keys: tuple[OtherKey, ...] = ()
    misplaced: tuple[MisplacedKey, ...] = ()
    doubts: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
