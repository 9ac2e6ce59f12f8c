"""What one endpoint tells of itself, asked once. What it refuses is None, so that no check takes it for an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from harness.compare.exchange import Answer, Ask, Exchange, Lane, Mode, Steps
from harness.compare.lanes import Lanes
from harness.compare.pace import Pace
from harness.compare.side import Side
from harness.endpoint.commands import commands_of
from harness.errors import HarnessError
from harness.resp.connection import Connection
from harness.resp.encode import KEY
from harness.resp.replication_info import info_fields
from harness.resp.replies import Reply

LARGE_BYTES = 100_000_000
_MOST_LARGE = 20
_DATABASE = re.compile(r"^db(\d+):(.*)$", re.MULTILINE)
_FIELD_TTLS = ("subexpiry", "keys_with_volatile_items")  # as Redis and as Valkey count keys with fields that expire

T = TypeVar("T")


@dataclass(frozen=True)
class Keyspace:
    """One database's numbers of keys."""

    keys: int
    expiring: int
    with_field_ttls: int


@dataclass(frozen=True)
class Room:
    """One shard's memory, in bytes; None where it is hidden. limit: 0 for none."""

    used: int | None
    limit: int | None
    backlog: int | None


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if numbers and len(known) == len(numbers) else None


@dataclass
class Facts:
    """info, settings: by name, of the first shard; commands: lower case; users, modules: names; functions: code by name
    of library. None where it is refused. functions_refusal: what FUNCTION LIST was answered with then. shards: each
    shard's memory, since a cluster's room is the sum.
    """

    side: Side
    info: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str | None] = field(default_factory=dict)
    keyspace: dict[int, Keyspace] | None = None
    commands: frozenset[str] | None = None
    used_commands: frozenset[str] | None = None
    users: frozenset[str] | None = None
    functions: dict[str, str] | None = None
    functions_refusal: str = ""
    modules: frozenset[str] | None = None
    selectable: dict[int, bool] = field(default_factory=dict)
    shards: list[Room] = field(default_factory=list)

    @property
    def used_memory(self) -> int | None:
        """Bytes that all shards use together; None where one hides it."""
        return _sum([room.used for room in self.shards])

    @property
    def memory_limit(self) -> int | None:
        """Bytes that all shards may use together, 0 where one has no limit; None where one hides it."""
        limits = [room.limit for room in self.shards]
        return 0 if 0 in limits and None not in limits else _sum(limits)

    @property
    def backlog(self) -> int:
        """Bytes of backlog that all shards set aside for replicas, as far as they say."""
        return sum(room.backlog or 0 for room in self.shards)

    def number(self, name: str) -> int | None:
        text = self.info.get(name, "")
        return int(text) if text.isdigit() else None

    def setting(self, name: str) -> str | None:
        return self.settings.get(name)


@dataclass
class Survey:
    """What the source's keys are. large: (db, key, bytes) of the largest above LARGE_BYTES; measured: whether sizes
    could be asked for; encodings: how the source holds values, as far as it says.
    """

    types: dict[str, int] = field(default_factory=dict)
    large: list[tuple[int, bytes, int]] = field(default_factory=list)
    measured: bool = True
    encodings: set[str] = field(default_factory=set)


_SETTINGS = (
    "maxmemory",
    "maxmemory-policy",
    "notify-keyspace-events",
    "repl-backlog-size",
    "client-output-buffer-limit",
    "databases",
)


def facts_of(side: Side, databases: frozenset[int]) -> Facts:
    """Ask the endpoint. databases: those that are to be selected there."""
    with side.connect(0, 0) as connection:
        facts = Facts(side)
        for section in ("server", "memory", "replication", "persistence", "clients", "stats"):
            facts.info.update(info_fields(_text(connection.command("INFO", section))))
        facts.keyspace = _keyspace(_text(connection.command("INFO", "keyspace")))
        facts.used_commands = _used(connection)
        facts.settings = {name: _setting(connection, name) for name in _SETTINGS}
        facts.commands = _commands(connection)
        facts.users = _names(connection.command("ACL", "USERS"))
        reply = connection.command("FUNCTION", "LIST", "WITHCODE")
        facts.functions, facts.functions_refusal = _libraries(reply), getattr(reply, "text", "")
        facts.modules = _named(connection.command("MODULE", "LIST"), b"name")
        facts.selectable = {db: _text(connection.command("SELECT", db)) == "OK" for db in sorted(databases)}
    for shard in range(len(side.shards)):
        with side.connect(shard, 0, deciding=True) as connection:
            facts.shards.append(_room(connection))
            if shard:
                _add(facts, connection)
    return facts


def _room(connection: Connection) -> Room:
    memory = info_fields(_text(connection.command("INFO", "memory")))
    limit = _setting(connection, "maxmemory") or memory.get("maxmemory")
    return Room(_whole(memory.get("used_memory")), _whole(limit), _whole(_setting(connection, "repl-backlog-size")))


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _add(facts: Facts, connection: Connection) -> None:
    """What another shard adds to the commands in use and the numbers of keys."""
    used = _used(connection)
    facts.used_commands = None if used is None or facts.used_commands is None else facts.used_commands | used
    more = _keyspace(_text(connection.command("INFO", "keyspace")))
    for db, there in (more or {}).items():
        before = (facts.keyspace or {}).get(db, Keyspace(0, 0, 0))
        both = zip(vars(before).values(), vars(there).values(), strict=True)
        facts.keyspace = {**(facts.keyspace or {}), db: Keyspace(*[one + other for one, other in both])}


def _used(connection: Connection) -> frozenset[str] | None:
    """Commands that clients have used, lower case."""
    statistics = _text(connection.command("INFO", "commandstats"))
    calls = re.findall(r"^cmdstat_([^:]+):calls=(\d+)", statistics, re.MULTILINE)
    return frozenset(name for name, count in calls if int(count)) if statistics else None


def survey(side: Side, pace: Pace) -> Survey:
    """Look at the type and the size of every key, one page after the other."""
    found = Survey()
    exchange = Exchange(pace)
    for db in sorted(side.databases):
        for shard in range(len(side.shards)):
            with Lanes(side, side, db) as lanes, side.connect(shard, db) as connection:
                lane = Lane(connection, connection)
                pages = lanes.scan(side, shard, "0", None, pace)
                exchange.run((lane, _page(found, lane, db, keys)) for _, keys in pages if keys)
    return found


def _page(found: Survey, lane: Lane, db: int, keys: list[bytes]) -> Steps:
    count, sizes = len(keys), ("MEMORY", "USAGE", KEY, "SAMPLES", 5)
    payload = lane.a.pack_each(keys, ("TYPE", KEY), sizes, ("OBJECT", "ENCODING", KEY))
    answer: Answer = yield Ask(Mode.LINES, payload, b"", 3 * count)
    lines = answer.lines_a.split(b"\r\n")
    found.encodings |= {line.decode("utf-8", "replace") for line in lines[2 * count :] if line[:1].isalpha()}
    for key, kind, size in zip(keys, lines[:count], lines[count : 2 * count], strict=True):
        name = kind[1:].decode("utf-8", "replace")
        found.types[name] = found.types.get(name, 0) + 1
        if size.startswith(b"-"):
            found.measured = False
        elif size.startswith(b":") and int(size[1:]) >= LARGE_BYTES:
            found.large = sorted([*found.large, (db, key, int(size[1:]))], key=lambda each: -each[2])[:_MOST_LARGE]


def _text(reply: Reply) -> str:
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "replace")
    return str(getattr(reply, "text", "")) if getattr(reply, "code", None) is None else ""


def _setting(connection: Connection, name: str) -> str | None:
    reply = connection.command("CONFIG", "GET", name)
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], bytes):
        return reply[1].decode("utf-8", "replace")
    return None


def _keyspace(text: str) -> dict[int, Keyspace] | None:
    if "# keyspace" not in text.lower():
        return None
    found = {}
    for db, rest in _DATABASE.findall(text):
        numbers = dict(part.split("=", 1) for part in rest.strip().split(",") if "=" in part)
        with_fields = max((int(numbers.get(name, 0)) for name in _FIELD_TTLS), default=0)
        found[int(db)] = Keyspace(int(numbers.get("keys", 0)), int(numbers.get("expires", 0)), with_fields)
    return found


def _commands(connection: Connection) -> frozenset[str] | None:
    try:
        return commands_of(connection)
    except HarnessError:
        return None


def _names(reply: Reply) -> frozenset[str] | None:
    if not isinstance(reply, list):
        return None
    return frozenset(each.decode("utf-8", "replace") for each in reply if isinstance(each, bytes))


def _libraries(reply: Reply) -> dict[str, str] | None:
    """Code by name."""
    if not isinstance(reply, list):
        return None
    names, code = (list(_fields(reply, name)) for name in (b"library_name", b"library_code"))
    return dict(zip(names, code, strict=True)) if len(names) == len(code) == len(reply) else None


def _named(reply: Reply, name: bytes) -> frozenset[str] | None:
    """One field of each entry of a list of maps; what RESP2 servers send as flat lists."""
    return None if not isinstance(reply, list) else frozenset(_fields(reply, name))


def _fields(reply: list[Reply], name: bytes) -> Iterator[str]:
    for entry in reply:
        if isinstance(entry, list):
            pairs = dict(zip(map(str, entry[0::2]), entry[1::2], strict=False))
            value = pairs.get(str(name))
            if isinstance(value, bytes):
                yield value.decode("utf-8", "replace")
