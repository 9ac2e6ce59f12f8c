"""One of the two endpoints: which nodes it has, which of them are read, and what it lets us do.

Everything is found out by asking for what every server has; what a managed endpoint refuses narrows the comparison,
and is said, but does not end it.
"""

from __future__ import annotations

import re
import time
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.compare.values import TYPES, refused
from harness.endpoint.address import Endpoint
from harness.endpoint.read_only import ReadOnly
from harness.errors import SetupError
from harness.resp.connection import CannotConnect, Connection
from harness.resp.replication_info import info_fields, replica_addresses
from harness.resp.replies import ErrorReply, Reply

SLOTS = 16_384
_PROBE_KEY = "harness:probe"  # read only; that it does not exist is all that is asked
_DATABASE = re.compile(r"^db(\d+):keys=", re.MULTILINE)
_MOST_DATABASES = 16  # looked at where INFO is refused
_REPLICA_TIMEOUT_S = 2.0

_PROBES: dict[str, tuple[str | int, ...]] = {
    "EXISTS": (_PROBE_KEY,),
    "GETRANGE": (_PROBE_KEY, 0, 1),
    "HGETALL": (_PROBE_KEY,),
    "HLEN": (_PROBE_KEY,),
    "HMGET": (_PROBE_KEY, "f"),
    "HPTTL": (_PROBE_KEY, "FIELDS", 1, "f"),
    "HSCAN": (_PROBE_KEY, 0),
    "LLEN": (_PROBE_KEY,),
    "LRANGE": (_PROBE_KEY, 0, 0),
    "MEMORY USAGE": (_PROBE_KEY, "SAMPLES", 1),
    "PTTL": (_PROBE_KEY,),
    "SCARD": (_PROBE_KEY,),
    "SISMEMBER": (_PROBE_KEY, "m"),
    "SMEMBERS": (_PROBE_KEY,),
    "SMISMEMBER": (_PROBE_KEY, "m"),
    "SSCAN": (_PROBE_KEY, 0),
    "STRLEN": (_PROBE_KEY,),
    "TYPE": (_PROBE_KEY,),
    "XINFO GROUPS": (_PROBE_KEY,),
    "XINFO STREAM": (_PROBE_KEY,),
    "XLEN": (_PROBE_KEY,),
    "XPENDING": (_PROBE_KEY, "g", "-", "+", 1),
    "XRANGE": (_PROBE_KEY, "-", "+", "COUNT", 1),
    "ZCARD": (_PROBE_KEY,),
    "ZRANGE": (_PROBE_KEY, 0, 0, "WITHSCORES"),
    "ZSCAN": (_PROBE_KEY, 0),
    "ZSCORE": (_PROBE_KEY, "m"),
}


@dataclass(frozen=True)
class Shard:
    """One server, or one shard of a cluster. primary: decides; reading: where the first look goes."""

    primary: Endpoint
    reading: Endpoint
    slots: tuple[tuple[int, int], ...] = ()


@dataclass
class Side:
    """An endpoint that was looked at. run_id: "" where it is hidden; refused: commands that it refuses."""

    name: str
    endpoint: Endpoint
    timeout_s: float
    run_id: str = ""
    version: str = ""
    shards: list[Shard] = field(default_factory=list)
    databases: frozenset[int] = frozenset({0})
    refused: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    cluster: bool = False
    followers: list[tuple[tuple[str, int], ...]] = field(default_factory=list)  # addresses of each shard's replicas

    def prefer_replicas(self, avoid: frozenset[str]) -> None:
        """Look first at replicas, where one answers; never at the servers with these run ids."""
        for number, addresses in enumerate(self.followers):
            reading = _first_reachable(self, addresses, avoid)
            if reading is not None:
                self.shards[number] = replace(self.shards[number], reading=reading)

    def readers(self) -> list[tuple[str, str]]:
        """Address and run id of every server that is scanned: a cursor of one means nothing to another."""
        found = []
        for number, shard in enumerate(self.shards):
            with self.connect(number, 0) as connection:
                found.append((shard.reading.address, _identity(connection)[0]))
        return found

    def shard_of(self, key: bytes) -> int:
        return self._owners[slot(key)] if self.cluster else 0

    def connect(self, shard: int, db: int, *, deciding: bool = False) -> Connection:
        """A connection to a shard, in this database; AccessRefused where it has none such."""
        chosen = self.shards[shard]
        endpoint = chosen.primary if deciding else chosen.reading
        connection = Connection(endpoint.with_database(db), timeout_s=self.timeout_s)
        try:
            introduce(connection, readonly=self.cluster and endpoint != chosen.primary)
        except BaseException:
            connection.close()
            raise
        return connection

    def settle_owners(self) -> None:
        """Make the table of slots; SetupError where a slot has no owner."""
        self._owners = [-1] * SLOTS
        for number, shard in enumerate(self.shards):
            for first, last in shard.slots:
                self._owners[first : last + 1] = [number] * (last - first + 1)
        if self.cluster and -1 in self._owners:
            raise SetupError(f"{self.name}, the cluster at {self.endpoint}: slot {self._owners.index(-1)} has no owner")


def introduce(connection: Connection, *, readonly: bool = False) -> None:
    """Name the connection, and keep our reads from changing what the server would evict; old servers refuse both."""
    connection.command("CLIENT", "SETNAME", "harness-compare")
    connection.command("CLIENT", "NO-TOUCH", "ON")
    if readonly and isinstance(reply := connection.command("READONLY"), ErrorReply):
        raise CannotConnect(f"{connection.endpoint.address}: READONLY is refused: {reply}")


def look_at(name: str, endpoint: Endpoint, timeout_s: float) -> Side:
    """What there is at this endpoint. SetupError where it can't be reached, or refuses what every comparison needs."""
    side = Side(name, replace(endpoint, scope=ReadOnly()), timeout_s)
    with Connection(side.endpoint, timeout_s=timeout_s) as connection:
        introduce(connection)
        side.run_id, side.version = _identity(connection)
        side.databases = _databases(connection, side.endpoint)
        side.refused = _refused(connection)
        _find_shards(side, connection)
    side.settle_owners()
    for command in ("TYPE", "PTTL", "EXISTS"):
        if command in side.refused:
            raise SetupError(f"{name}, {side.endpoint}: {command} is refused; a comparison needs SCAN, TYPE and PTTL")
    return side


def pinger(connection: Connection) -> Callable[[], float]:
    """A function that sends one PING and returns the seconds that it took."""

    def ping() -> float:
        began = time.monotonic()
        connection.command("PING")
        return time.monotonic() - began

    return ping


def slot(key: bytes) -> int:
    """The cluster slot of a key; what stands in its first {…} alone decides, if there is something."""
    opening = key.find(b"{")
    closing = key.find(b"}", opening + 1) if opening >= 0 else -1
    tag = key[opening + 1 : closing] if closing > opening + 1 else key
    return crc_hqx(tag, 0) % SLOTS


def _identity(connection: Connection) -> tuple[str, str]:
    reply = connection.command("INFO", "server")
    fields = info_fields(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else {}
    return fields.get("run_id", ""), fields.get("valkey_version") or fields.get("redis_version", "")


def _databases(connection: Connection, endpoint: Endpoint) -> frozenset[int]:
    """Those that hold keys; where INFO does not say, those of the first 16 that can be selected and hold some."""
    reply = connection.command("INFO", "keyspace")
    if isinstance(reply, bytes):
        return frozenset(int(number) for number in _DATABASE.findall(reply.decode("utf-8", "replace")))
    found = set()
    for db in range(_MOST_DATABASES):
        if isinstance(connection.command("SELECT", db), ErrorReply):
            break
        if connection.command("DBSIZE") != 0:
            found.add(db)
    connection.command("SELECT", endpoint.db)
    return frozenset(found)


def _refused(connection: Connection) -> frozenset[str]:
    return frozenset(name for name, rest in _PROBES.items() if refused(connection.command(*name.split(), *rest)))


def _find_shards(side: Side, connection: Connection) -> None:
    reply = connection.command("CLUSTER", "SLOTS")
    if isinstance(reply, list) and reply:
        side.cluster = True
        side.databases &= {0}
        _find_cluster(side, reply)
        return
    info = connection.command("INFO", "replication")
    side.shards = [Shard(side.endpoint, side.endpoint)]
    side.followers = [replica_addresses(info.decode("utf-8", "replace") if isinstance(info, bytes) else "")]


def _find_cluster(side: Side, reply: Sequence[Reply]) -> None:
    """CLUSTER SLOTS: [first, last, [host, port, …] of the primary, the same of replicas …] each."""
    owned: dict[tuple[str, int], list[tuple[int, int]]] = {}
    followers: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
    for entry in reply:
        if not isinstance(entry, list) or len(entry) < 3:
            raise SetupError(f"{side.name}: CLUSTER SLOTS was answered with {str(entry)[:200]}")
        first, last, *nodes = entry
        primary, *rest = [_address(node, side.endpoint) for node in nodes]
        owned.setdefault(primary, []).append((int(str(first)), int(str(last))))
        followers[primary] = tuple(rest)
    for primary, slots in owned.items():
        endpoint = side.endpoint.with_address(*primary)
        side.shards.append(Shard(endpoint, endpoint, tuple(slots)))
        side.followers.append(followers[primary])


def _address(node: Reply, known: Endpoint) -> tuple[str, int]:
    """A node without a host is at the host that was asked."""
    if not isinstance(node, list) or len(node) < 2 or not isinstance(node[1], int):
        raise SetupError(f"{known.address}: CLUSTER SLOTS names a node as {str(node)[:200]}")
    host = node[0].decode() if isinstance(node[0], bytes) else ""
    return (known.host if host in ("", "?") else host), node[1]


def _first_reachable(side: Side, addresses: Sequence[tuple[str, int]], avoid: frozenset[str]) -> Endpoint | None:
    for host, port in addresses:
        endpoint = side.endpoint.with_address(host, port)
        try:
            with Connection(endpoint, timeout_s=min(side.timeout_s, _REPLICA_TIMEOUT_S)) as connection:
                introduce(connection, readonly=side.cluster)
                if _identity(connection)[0] not in avoid:
                    return endpoint
        except CannotConnect as problem:
            side.notes.append(f"{side.name}: this replica is not read, its primary is: {problem}")
    return None


def unreadable_types(a: Side, b: Side) -> dict[str, str]:
    """type: why it can't be compared."""
    found = {}
    for kind, value_type in TYPES.items():
        for side in (a, b):
            if lacking := [command for command in value_type.needs if command in side.refused]:
                found[kind] = f"values of type {kind}: {side.name} refuses {', '.join(lacking)}"
    return found
