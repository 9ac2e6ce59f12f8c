"""One of the two endpoints: which servers it has, which of them are read, and what it lets us do.

Everything is found out by asking for what every server has; what a managed endpoint refuses narrows the comparison,
and is said, but does not end it.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.compare.layout import Group, Layout, layout_of
from harness.compare.probes import refused_commands, untold_field_ttls
from harness.endpoint.address import Endpoint
from harness.endpoint.read_only import ReadOnly
from harness.errors import SetupError, UsageError
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply, Reply
from harness.slots import SLOTS, slot_of

_DATABASE = re.compile(r"^db(\d+):keys=", re.MULTILINE)
_MOST_DATABASES = 16  # looked at where INFO is refused
_FAMILIES = ("dragonfly", "kvrocks", "valkey", "redict", "redis")  # those that others stand in for come last
_NEEDED = ("TYPE", "PTTL", "EXISTS")
Served = list[tuple[str, tuple[tuple[int, int], ...]]]  # address, and first and last of its ranges of slots


@dataclass(frozen=True)
class Identity:
    """What a server says of itself by INFO; "" where it is hidden."""

    run_id: str = ""
    version: str = ""
    family: str = ""


@dataclass(frozen=True)
class Shard:
    """One server, or one shard of a cluster. primary: decides; reading: where the first look goes."""

    primary: Endpoint
    reading: Endpoint
    slots: tuple[tuple[int, int], ...] = ()
    identity: Identity = Identity()
    ids: frozenset[str] = frozenset()


@dataclass
class Side:
    """An endpoint that was looked at. refused: commands that it refuses; doubts: why not all of it can be looked at.

    trusted: whether servers that it names may be sent its password (see `withheld`).
    """

    name: str
    endpoint: Endpoint
    timeout_s: float
    trusted: bool = False
    identity: Identity = Identity()
    shards: list[Shard] = field(default_factory=list)
    databases: frozenset[int] = frozenset({0})
    refused: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    doubts: tuple[str, ...] = ()
    untold_field_ttls: str = ""  # why it does not say when fields of hashes expire
    unseen: bool = False  # whether there may be databases with keys beside those that were found
    cluster: bool = False

    @property
    def version(self) -> str:
        return self.identity.version

    @property
    def run_ids(self) -> frozenset[str]:
        """Those that are known of its primaries, and of the server that was asked."""
        return frozenset({self.identity.run_id, *(shard.identity.run_id for shard in self.shards)} - {""})

    def read_from(self, shard: int, replica: Endpoint) -> None:
        """Let the first look at this shard read from a replica of it."""
        self.shards[shard] = replace(self.shards[shard], reading=replica)

    def readers(self) -> list[tuple[str, str]]:
        """Address and run id of every server that is scanned: a cursor of one means nothing to another."""
        found = []
        for number, shard in enumerate(self.shards):
            with self.connect(number, 0) as connection:
                found.append((shard.reading.address, identity_of(connection).run_id))
        return found

    def shard_of(self, key: bytes) -> int:
        """Which shard a key belongs to; -1 where nobody serves its slot."""
        return self._owners[slot_of(key)] if self.cluster else 0

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

    def connect_all(self) -> list[Connection]:
        """A connection to every server that is read: those of the first look, and those that decide."""
        with ExitStack() as stack:
            found = [
                stack.enter_context(self.connect(number, 0, deciding=deciding))
                for number, shard in enumerate(self.shards)
                for deciding in ((True,) if shard.reading == shard.primary else (False, True))
            ]
            stack.pop_all()
            return found

    def withheld(self, other: Endpoint) -> str:
        """Why a server that this endpoint names is not sent its password; "" where it may be.

        Whoever can change what an endpoint announces would otherwise be sent passwords. TLS here is always verified.
        """
        if self.trusted or self.endpoint.password is None or other.tls or _same_host(self.endpoint.host, other.host):
            return ""
        return f"{other.address} would be sent the password without TLS; use rediss://, or give --trust-replicas"

    def layout_now(self, take: Callable[[int], None]) -> Served:
        """Who serves which slots at this moment; [] for what is no cluster. take: as for `look_at`."""
        if not self.cluster:
            return []
        with Connection(self.endpoint, timeout_s=self.timeout_s) as connection:
            layout = layout_of(connection, self.name, take)
        return _served([(self._primary(group).address, tuple(group.slots)) for group in layout.groups])

    def layout_before(self) -> Served:
        """The same as it was when the comparison began."""
        return _served([(shard.primary.address, shard.slots) for shard in self.shards]) if self.cluster else []

    def place(self, layout: Layout) -> None:
        """Take over what is known of the servers; UsageError where one would be sent a password in the clear."""
        self.cluster, self.doubts = layout.cluster, layout.doubts
        for group in layout.groups:
            primary = self._primary(group)
            if reason := self.withheld(primary):
                raise UsageError(f"{self.name}, the cluster at {self.endpoint}: {reason}")
            self.shards.append(Shard(primary, primary, tuple(group.slots), ids=group.ids))
        self._owners = [-1] * SLOTS
        for number, shard in enumerate(self.shards):
            for first, last in shard.slots:
                self._owners[first : last + 1] = [number] * (last - first + 1)

    def _primary(self, group: Group) -> Endpoint:
        return self.endpoint if group.primary is None else self.endpoint.with_address(*group.primary)


def _served(found: Served) -> Served:
    return sorted((address, tuple(sorted(slots))) for address, slots in found)


def _named(connection: Connection) -> Reply:
    """What the first command is answered with. A server that takes no more clients may have said so, and hung up."""
    try:
        return connection.command("CLIENT", "SETNAME", "harness-compare")
    except ConnectionLost:
        for reply in connection.replies_left():
            return reply
        raise


def _must_take_us(connection: Connection, reply: Reply) -> None:
    if not isinstance(reply, ErrorReply):
        return
    if reply.code == "NOAUTH":
        raise AccessRefused(f"{connection.endpoint.address}: a password is needed, and none was given: {reply}")
    if "max number of clients" in reply.text:
        raise CannotConnect(f"{connection.endpoint.address}: {reply}")


def introduce(connection: Connection, *, readonly: bool = False) -> None:
    """Name the connection, and keep our reads from changing what the server would evict; old servers refuse both."""
    _must_take_us(connection, _named(connection))
    connection.command("CLIENT", "NO-TOUCH", "ON")
    if readonly and isinstance(reply := connection.command("READONLY"), ErrorReply):
        raise CannotConnect(f"{connection.endpoint.address}: READONLY is refused: {reply}")


def _nothing(count: int) -> None:
    return None


def look_at(
    name: str, endpoint: Endpoint, timeout_s: float, *, trusted: bool = False, take: Callable[[int], None] = _nothing
) -> Side:
    """What there is at this endpoint. SetupError where it can't be reached, or refuses what every comparison needs.

    take: told before many commands are sent at once.
    """
    if endpoint.db:
        raise UsageError(f"{name}, {endpoint}: a database in the URL is not taken here; choose with --db {endpoint.db}")
    side = Side(name, replace(endpoint, scope=ReadOnly()), timeout_s, trusted)
    with Connection(side.endpoint, timeout_s=timeout_s) as connection:
        introduce(connection)
        side.identity = identity_of(connection)
        side.databases, side.unseen = _databases(connection)
        side.refused = refused_commands(connection)
        about = side.identity
        side.untold_field_ttls = untold_field_ttls(connection, name, about.family, about.version)
        side.place(layout_of(connection, name, take))
    if side.cluster:
        side.databases |= {0}
    side.shards = [_identified(side, number) for number in range(len(side.shards))]
    for command in _NEEDED:
        if command in side.refused:
            raise SetupError(f"{name}, {side.endpoint}: {command} is refused; a comparison needs SCAN, TYPE and PTTL")
    return side


def _identified(side: Side, number: int) -> Shard:
    """The shard with its identity; its databases are added to those of the side."""
    shard = side.shards[number]
    if shard.primary == side.endpoint:
        return replace(shard, identity=side.identity)
    with side.connect(number, 0, deciding=True) as connection:
        databases, unseen = _databases(connection)
        side.databases, side.unseen = side.databases | databases, side.unseen or unseen
        return replace(shard, identity=identity_of(connection))


def pinger(connection: Connection) -> Callable[[], float]:
    """A function that sends one PING and returns the seconds that it took."""

    def ping() -> float:
        began = time.monotonic()
        connection.command("PING")
        return time.monotonic() - began

    return ping


def identity_of(connection: Connection) -> Identity:
    reply = connection.command("INFO", "server")
    fields = info_fields(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else {}
    family = next((name for name in _FAMILIES if f"{name}_version" in fields), "")
    return Identity(fields.get("run_id", ""), fields.get(f"{family}_version", ""), family)


def tell_apart(a: Side, b: Side) -> str:
    """UsageError where both are the same server: whatever it holds, that would be equal. Else "", or why nobody can
    tell whether they are two.
    """
    addresses = {shard.primary.address for shard in a.shards} & {shard.primary.address for shard in b.shards}
    ids = frozenset(_ids(a)) & frozenset(_ids(b))
    if a.run_ids & b.run_ids or addresses or ids or a.endpoint.address == b.endpoint.address:
        raise UsageError(f"{a.name} ({a.endpoint}) and {b.name} ({b.endpoint}) are one and the same server; give two")
    hidden = [side.name for side in (a, b) if not all(shard.identity.run_id for shard in side.shards)]
    if not hidden:
        return ""
    return (
        f"{' and '.join(hidden)} hides its run_id, so that nobody can tell whether A and B are two servers; "
        "where you know that they are, give --different-servers"
    ).replace("A and B", f"{a.name} and {b.name}")


def _ids(side: Side) -> Iterator[str]:
    for shard in side.shards:
        yield from shard.ids


def _same_host(one: str, other: str) -> bool:
    return one == other or bool(_resolved(one) & _resolved(other))


def _resolved(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def _databases(connection: Connection) -> tuple[frozenset[int], bool]:
    """Those that hold keys, and whether there may be others; where INFO does not say, those of the first 16 that can be
    selected and hold some. An answer without its headline says nothing.
    """
    reply = connection.command("INFO", "keyspace")
    if isinstance(reply, bytes) and b"# keyspace" in reply.lower():
        return frozenset(int(number) for number in _DATABASE.findall(reply.decode("utf-8", "replace"))), False
    found, more = set(), True
    for db in range(_MOST_DATABASES + 1):
        if isinstance(refusal := connection.command("SELECT", db), ErrorReply):
            more = refusal.code == "NOPERM"
            break
        if db < _MOST_DATABASES and connection.command("DBSIZE") != 0:
            found.add(db)
    connection.command("SELECT", 0)
    return frozenset(found), more
