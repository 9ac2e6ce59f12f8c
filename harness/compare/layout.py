"""Which servers stand behind an endpoint: one, or the shards of a cluster with their slots.

A cluster that is taken for one server is a false "equal" in the making, since SCAN shows its own part only. So where
CLUSTER SLOTS and CLUSTER SHARDS are refused, every slot is asked for, and who answers MOVED says where it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice

from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply, Reply
from harness.slots import SLOTS, slot_of

Address = tuple[str, int]
_AT_ONCE = 256  # slots asked for in one go
_MOVED = re.compile(r"MOVED (\d+) (.*):(\d+)")


@dataclass
class Group:
    """The servers of one shard. primary: None is the one that was asked. ids: by which its nodes know each other."""

    primary: Address | None
    slots: list[tuple[int, int]] = field(default_factory=list)
    replicas: tuple[Address, ...] = ()
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layout:
    """cluster: whether keys are spread by slot. doubts: why not everything can be looked at there."""

    cluster: bool
    groups: tuple[Group, ...]
    doubts: tuple[str, ...] = ()


def layout_of(connection: Connection, name: str, take: Callable[[int], None]) -> Layout:
    """What the endpoint says of itself, or what comes of asking for every slot. take: told before commands are sent."""
    if (reply := connection.command("CLUSTER", "SLOTS")) and isinstance(reply, list):
        return _layout(name, _by_slots(reply, connection))
    if "cluster support disabled" in str(reply) or _cluster_enabled(connection) == "0":
        return Layout(False, (Group(None),))
    if (shards := connection.command("CLUSTER", "SHARDS")) and isinstance(shards, list):
        return _layout(name, _by_shards(shards, connection))
    if not isinstance(reply, ErrorReply):
        return _layout(name, [])
    groups, silent = _by_asking(connection, take)
    if silent:
        return Layout(True, tuple(groups), (f"{name}: it does not say whether it is a cluster: {silent}",))
    alone = len(groups) == 1 and groups[0].primary is None and groups[0].slots == [(0, SLOTS - 1)]
    return Layout(False, (Group(None),)) if alone else _layout(name, groups)


def slots_nobody_serves(groups: Iterable[Group]) -> list[tuple[int, int]]:
    """First and last of each range of slots without an owner."""
    served = sorted(pair for group in groups for pair in group.slots)
    gaps, after = [], 0
    for first, last in [*served, (SLOTS, SLOTS)]:
        if first > after:
            gaps.append((after, first - 1))
        after = max(after, last + 1)
    return gaps


def _layout(name: str, groups: Sequence[Group]) -> Layout:
    gaps = ", ".join(f"{first}-{last}" for first, last in slots_nobody_serves(groups))
    doubts = (f"{name}, a cluster: nobody serves slots {gaps}, and keys there can't be looked at",) if gaps else ()
    return Layout(True, tuple(group for group in groups if group.slots), doubts)


def _cluster_enabled(connection: Connection) -> str:
    """ "1", "0", or "" where it is hidden."""
    info = connection.command("INFO", "cluster")
    return info_fields(info.decode("utf-8", "replace")).get("cluster_enabled", "") if isinstance(info, bytes) else ""


def _by_slots(reply: Sequence[Reply], connection: Connection) -> list[Group]:
    """CLUSTER SLOTS: [first, last, [host, port, id …] of the primary, the same of replicas …] each."""
    groups: dict[Address, Group] = {}
    for entry in reply:
        if not isinstance(entry, list) or len(entry) < 3:
            raise SetupError(f"{connection.endpoint.address}: CLUSTER SLOTS was answered with {str(entry)[:200]}")
        nodes = [_node(node, connection) for node in entry[2:]]
        (primary, _), *rest = nodes
        group = groups.setdefault(primary, Group(primary))
        group.slots.append((_number(entry[0], connection), _number(entry[1], connection)))
        group.replicas = tuple(address for address, _ in rest)
        group.ids |= {identity for _, identity in nodes if identity}
    return list(groups.values())


def _number(reply: Reply, connection: Connection) -> int:
    if not isinstance(reply, int):
        raise SetupError(f"{connection.endpoint.address}: a number of a slot was expected, not {str(reply)[:100]}")
    return reply


def _node(node: Reply, connection: Connection) -> tuple[Address, str]:
    """A node without a host is at the host that was asked."""
    if not isinstance(node, list) or len(node) < 2 or not isinstance(node[1], int):
        raise SetupError(f"{connection.endpoint.address}: CLUSTER SLOTS names a node as {str(node)[:200]}")
    identity = node[2].decode("ascii", "replace") if len(node) > 2 and isinstance(node[2], bytes) else ""
    return (_host(node[0], connection), node[1]), identity


def _host(reply: Reply, connection: Connection) -> str:
    host = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    return connection.endpoint.host if host in ("", "?") else host


def _by_shards(reply: Sequence[Reply], connection: Connection) -> list[Group]:
    """CLUSTER SHARDS, as RESP2 has it: [slots, [first, last, …], nodes, [[name, value, …] of each node]] each."""
    groups = []
    for entry in reply:
        shard = _named(entry)
        listed = shard.get("slots")
        slots = [_number(each, connection) for each in listed] if isinstance(listed, list) else []
        nodes = shard.get("nodes")
        primary, replicas, ids = None, list[Address](), set[str]()
        for node in map(_named, nodes if isinstance(nodes, list) else []):
            port = node.get("port") or node.get("tls-port")
            if not isinstance(port, int):
                continue
            address = _host(node.get("endpoint") or node.get("ip"), connection), port
            if (identity := node.get("id")) and isinstance(identity, bytes):
                ids.add(identity.decode("ascii", "replace"))
            if node.get("role") in (b"master", b"primary"):
                primary = address
            else:
                replicas.append(address)
        if primary is not None:
            pairs = list(zip(slots[0::2], slots[1::2], strict=True))
            groups.append(Group(primary, pairs, tuple(replicas), frozenset(ids)))
    return groups


def _named(reply: Reply) -> dict[str, Reply]:
    flat = reply if isinstance(reply, list) else []
    return {
        name.decode("utf-8", "replace"): value
        for name, value in zip(flat[0::2], flat[1::2], strict=False)
        if isinstance(name, bytes)
    }


def _by_asking(connection: Connection, take: Callable[[int], None]) -> tuple[list[Group], str]:
    """The owners of all slots by the answers to EXISTS, None the one that was asked; and what hides them, "" if
    nothing does. A slot that nobody serves is answered with CLUSTERDOWN.
    """
    owners: dict[Address | None, Group] = {}
    numbered = enumerate(slot_tags())
    while batch := list(islice(numbered, _AT_ONCE)):
        take(len(batch))
        connection.send(b"".join(connection.pack("EXISTS", b"harness:{%b}" % tag) for _, tag in batch))
        replies = [connection.take_reply() for _ in batch]
        for (slot, _), reply in zip(batch, replies, strict=True):
            owner: Address | None = None
            if isinstance(reply, ErrorReply):
                if reply.code == "CLUSTERDOWN":
                    continue
                moved = _MOVED.match(reply.text)
                if moved is None:
                    return [], f"EXISTS is answered with {reply.text[:100]}"
                owner = (_host(moved[2].encode(), connection), int(moved[3]))
            _extend(owners.setdefault(owner, Group(owner)).slots, slot)
    return list(owners.values()), ""


def _extend(ranges: list[tuple[int, int]], slot: int) -> None:
    if ranges and ranges[-1][1] == slot - 1:
        ranges[-1] = (ranges[-1][0], slot)
    else:
        ranges.append((slot, slot))


@cache
def slot_tags() -> tuple[bytes, ...]:
    """For each slot a hash tag that belongs to it."""
    return tuple(tag for _, tag in sorted(_tags()))


def _tags() -> Iterator[tuple[int, bytes]]:
    seen: set[int] = set()
    number = 0
    while len(seen) < SLOTS:
        tag = b"%d" % number
        if (slot := slot_of(tag)) not in seen:
            seen.add(slot)
            yield slot, tag
        number += 1
