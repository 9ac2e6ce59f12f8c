"""What a node says of its own replication, as typed values; read from its INFO reply by harness.resp.replication_info.

It stands apart, pure, because the checkers that judge convergence may not see a client.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.topology import Role


@dataclass(frozen=True)
class ReplicationInfo:
    """One INFO replication reply.

    replication_id: of the history the node is on; second_replication_id: of the one it was on before it was promoted.
    offset: bytes of that history that the node holds (a primary: has produced); second_offset: the first offset that is
    not of the older history any more, -1 where there is none.
    processed_offset, read_offset: bytes of its primary's stream that a replica has executed and received; None for a
    primary, read_offset also where the server doesn't tell. link_up: None for a primary.
    """

    role: Role
    replication_id: str
    second_replication_id: str
    offset: int
    second_offset: int
    processed_offset: int | None
    read_offset: int | None
    link_up: bool | None
    sync_in_progress: bool
    connected_replicas: int
