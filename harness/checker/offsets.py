"""Whether a node has processed what its root primary held at the target: the rule of convergence by offsets."""

from __future__ import annotations

from harness.checker.evidence import Target
from harness.replication import ReplicationInfo
from harness.topology import Role


def reached(target: Target, info: ReplicationInfo) -> bool:
    """A replica: on the same history, and executed (not only received) as much. Promoted: its former history counts,
    up to where it left it. The primary itself has reached what it held. An id that is hidden (empty or zeros) never
    counts: it would be equal to any other hidden one.
    """
    if not target.replication_id.strip("0"):
        return False
    if info.role is Role.REPLICA:
        processed = info.processed_offset
        return info.replication_id == target.replication_id and processed is not None and processed >= target.offset
    if info.replication_id == target.replication_id:
        return info.offset >= target.offset
    return info.second_replication_id == target.replication_id and info.second_offset - 1 >= target.offset
