"""A replica may be read in place of its primary where it is proven to hold all that the primary held a moment before.

Proven is: the primary itself names it, it follows the primary's own history, its link is up, it takes no writes of its
own, and it has processed what the primary had produced when we asked. Whatever is not proven is not read.
"""

from __future__ import annotations

from harness.compare.side import Side, identity_of, introduce
from harness.endpoint.address import Endpoint
from harness.errors import HarnessError, SetupError
from harness.replication import ReplicationInfo
from harness.resp.connection import Connection
from harness.resp.replication_info import parse_replication, replica_addresses, takes_own_writes
from harness.topology import Role
from harness.waiting import WaitedTooLongError, wait_until

_TIMEOUT_S = 2.0  # for a replica to answer, and to catch up


class NotProvenError(Exception):
    """str(): why this replica is not read."""


def prefer_replicas(side: Side, avoid: frozenset[str]) -> None:
    """Look first at replicas, where one is proven; never at the servers with these run ids. What is read is noted."""
    for number in range(len(side.shards)):
        with side.connect(number, 0, deciding=True) as primary:
            text = _replication_text(primary)
            told = _parsed(text)
            for host, port in replica_addresses(text) if told and told.role is Role.PRIMARY else ():
                endpoint = side.shards[number].primary.with_address(host, port)
                try:
                    _prove(side, endpoint, told, avoid)
                except (NotProvenError, SetupError) as reason:
                    side.notes.append(f"{side.name}: the replica {endpoint.address} is not read: {reason}")
                else:
                    side.read_from(number, endpoint)
                    side.notes.append(f"{side.name}: the first look reads the replica {endpoint.address}")
                    break


def _prove(side: Side, endpoint: Endpoint, primary: ReplicationInfo | None, avoid: frozenset[str]) -> None:
    if primary is None or not primary.offset or not primary.replication_id.strip("0"):
        raise NotProvenError("its primary hides its offset")
    if reason := side.withheld(endpoint):
        raise NotProvenError(reason)
    with Connection(endpoint, timeout_s=min(side.timeout_s, _TIMEOUT_S)) as replica:
        introduce(replica, readonly=side.cluster)
        run_id = identity_of(replica).run_id
        if not run_id:
            raise NotProvenError("it hides its run_id")
        if run_id in avoid:
            raise NotProvenError("it is the other side")
        if takes_own_writes(_replication_text(replica)):
            raise NotProvenError("it takes writes of its own")

        def caught_up() -> bool:
            found = _parsed(_replication_text(replica))
            if found is None or found.role is not Role.REPLICA or found.replication_id != primary.replication_id:
                raise NotProvenError("it does not follow this primary")
            there = found.processed_offset or 0
            return bool(found.link_up) and not found.sync_in_progress and there >= primary.offset

        try:
            wait_until(caught_up, deadline_s=_TIMEOUT_S, what="a replica to catch up")
        except WaitedTooLongError:
            raise NotProvenError(f"it did not reach its primary's offset within {_TIMEOUT_S:g} s") from None


def _replication_text(connection: Connection) -> str:
    reply = connection.command("INFO", "replication")
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""


def _parsed(text: str) -> ReplicationInfo | None:
    try:
        return parse_replication(text)
    except HarnessError:
        return None
