"""What one endpoint tells of itself, asked once. What it refuses is None, so that no check takes it for an answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1

from harness.compare.exchange import Answer, Ask, Exchange, Lane, Mode, Steps
from harness.compare.lanes import Lanes
from harness.compare.pace import Pace
from harness.compare.side import Side
from harness.endpoint.commands import commands_of
from harness.endpoint.digest_script import SCRIPTS
from harness.endpoint.read_only import READS
from harness.errors import HarnessError
from harness.resp.connection import Connection
from harness.resp.encode import KEY
from harness.resp.replication_info import info_fields
from harness.resp.replies import Reply

LARGE_BYTES = 100_000_000
_MOST_LARGE = 20
_A_FEW = 10  # calls that a look or two like this one explain
_DATABASE = re.compile(r"^db(\d+):(.*)$", re.MULTILINE)
_FIELD_TTLS = ("subexpiry", "keys_with_volatile_items")  # as Redis and as Valkey count keys with fields that expire


@dataclass(frozen=True)
class Keyspace:
    """One database's numbers of keys."""

    keys: int
    expiring: int
    with_field_ttls: int

    def __add__(self, other: Keyspace) -> Keyspace:
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return Keyspace(*[one + another for one, another in both])


@dataclass(frozen=True)
class Room:
    """One shard's memory, in bytes; None where it is hidden. limit: 0 for none."""

    used: int | None
    limit: int | None
    backlog: int | None


@dataclass(frozen=True)
class ServerFacts:
    """One server's. info, settings: by name; commands, used_commands: lower case; users: names; functions: code by name
    of library; modules: the commands of each by its name, none where it does not say which. None where it is refused.
    functions_refusal: what FUNCTION LIST was answered with then. selectable: those of the databases asked for.
    """

    host: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str | None] = field(default_factory=dict)
    keyspace: Mapping[int, Keyspace] | None = None
    commands: frozenset[str] | None = None
    used_commands: frozenset[str] | None = None
    users: frozenset[str] | None = None
    functions: Mapping[str, str] | None = None
    functions_refusal: str = ""
    cached_scripts: int = 0
    modules: Mapping[str, frozenset[str]] | None = None
    selectable: frozenset[int] = frozenset()
    room: Room = Room(None, None, None)

    @property
    def version(self) -> tuple[str, str] | None:
        """Family and version; None where it is hidden."""
        families = ("valkey", "redict", "redis")  # the others tell a Redis version besides their own
        return next(
            ((family, self.info[f"{family}_version"]) for family in families if f"{family}_version" in self.info), None
        )


@dataclass(frozen=True)
class Facts:
    """An endpoint's: of one server, or of a cluster's primaries, one a shard. What one of them hides, nobody knows of
    all, and is None.
    """

    side: Side
    servers: tuple[ServerFacts, ...]

    @property
    def versions(self) -> list[tuple[str, str] | None]:
        """Each shard's family and version."""
        return [each.version for each in self.servers]

    @property
    def used_memory(self) -> int | None:
        """Bytes that all shards use together."""
        return _sum([each.room.used for each in self.servers])

    @property
    def memory_limit(self) -> int | None:
        """Bytes that all shards may use together, 0 where one has no limit."""
        limits = [each.room.limit for each in self.servers]
        return 0 if 0 in limits and None not in limits else _sum(limits)

    @property
    def backlog(self) -> int:
        """Bytes of backlog that all shards set aside for replicas, as far as they say."""
        return sum(each.room.backlog or 0 for each in self.servers)

    @property
    def keyspace(self) -> dict[int, Keyspace] | None:
        """All shards' numbers of keys, by database."""
        found: dict[int, Keyspace] = {}
        for each in self.servers:
            if each.keyspace is None:
                return None
            for db, more in each.keyspace.items():
                found[db] = found.get(db, Keyspace(0, 0, 0)) + more
        return found

    @property
    def used_commands(self) -> frozenset[str] | None:
        """Those that clients use on any shard."""
        return anywhere([each.used_commands for each in self.servers])

    @property
    def commands(self) -> frozenset[str] | None:
        """Those that every shard knows."""
        return everywhere([each.commands for each in self.servers])

    def setting(self, name: str) -> list[str | None]:
        """Each shard's."""
        return [each.settings.get(name) for each in self.servers]

    @property
    def machine_memory(self) -> int | None:
        """Bytes that the machines have on which the shards run."""
        return _sum(list({each.host: _whole(each.info.get("total_system_memory")) for each in self.servers}.values()))

    @property
    def cached_scripts(self) -> int:
        """Of all shards, as far as they say, without our own."""
        return sum(each.cached_scripts for each in self.servers)

    def selectable(self, db: int) -> bool:
        """Whether every shard has this database."""
        return all(db in each.selectable for each in self.servers)


def anywhere(sets: Sequence[Collection[str] | None]) -> frozenset[str] | None:
    """What is in any of them; None where one is hidden."""
    return frozenset().union(*[each or () for each in sets]) if None not in sets else None


def everywhere(sets: Sequence[Collection[str] | None]) -> frozenset[str] | None:
    """What is in all of them; None where one is hidden."""
    known = [frozenset(each) for each in sets if each is not None]
    return frozenset.intersection(*known) if known and len(known) == len(sets) else None


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if numbers and len(known) == len(numbers) else None


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
    """Ask every server of the endpoint that decides. databases: those that are to be selected there."""
    found = []
    for shard in range(len(side.shards)):
        with side.connect(shard, 0, deciding=True) as connection:
            found.append(_server(connection, databases))
    return Facts(side, tuple(found))


def _server(connection: Connection, databases: frozenset[int]) -> ServerFacts:
    info: dict[str, str] = {}
    for section in ("server", "memory", "replication", "persistence", "clients", "stats"):
        info.update(info_fields(_text(connection.command("INFO", section))))
    settings = {name: _setting(connection, name) for name in _SETTINGS}
    libraries = connection.command("FUNCTION", "LIST", "WITHCODE")
    room = Room(
        _whole(info.get("used_memory")),
        _whole(settings["maxmemory"] or info.get("maxmemory")),
        _whole(settings["repl-backlog-size"]),
    )
    return ServerFacts(
        host=connection.endpoint.host,
        info=info,
        settings=settings,
        keyspace=_keyspace(_text(connection.command("INFO", "keyspace"))),
        commands=_commands(connection),
        used_commands=_used(connection),
        users=_names(connection.command("ACL", "USERS")),
        functions=_libraries(libraries),
        functions_refusal=getattr(libraries, "text", ""),
        cached_scripts=_cached_scripts(connection, info),
        modules=_modules(connection),
        selectable=frozenset(db for db in sorted(databases) if _text(connection.command("SELECT", db)) == "OK"),
        room=room,
    )


def _modules(connection: Connection) -> dict[str, frozenset[str]] | None:
    """The commands of each loaded module, as far as the server says which they are (from 7.0 on)."""
    reply = connection.command("MODULE", "LIST")
    if not isinstance(reply, list):
        return None
    names = list(_fields(reply, b"name"))
    listed = [_names(connection.command("COMMAND", "LIST", "FILTERBY", "MODULE", name)) for name in names]
    commands = [frozenset(each.lower() for each in some or ()) for some in listed]
    return dict(zip(names, commands, strict=True))


def _cached_scripts(connection: Connection, info: Mapping[str, str]) -> int:
    """How many the server keeps, without those that a comparison with --digest left there."""
    count = _whole(info.get("number_of_cached_scripts")) or 0
    if not count:
        return 0
    digests = sorted(sha1(script, usedforsecurity=False).hexdigest() for script in SCRIPTS)
    ours = connection.command("SCRIPT", "EXISTS", *digests)
    return count - (sum(each == 1 for each in ours) if isinstance(ours, list) else 0)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _used(connection: Connection) -> frozenset[str] | None:
    """Commands that clients have used, lower case; modules may have registered theirs in another. Reads that we send
    too, and that were sent but a few times, are taken for ours.
    """
    statistics = _text(connection.command("INFO", "commandstats"))
    calls = re.findall(r"^cmdstat_([^:]+):calls=(\d+)", statistics, re.MULTILINE)
    least = dict.fromkeys(READS, _A_FEW)
    used = (name.lower() for name, count in calls if int(count) > least.get(name.replace("|", " ").upper(), 0))
    return frozenset(used) if statistics else None


def survey(side: Side, pace: Pace) -> Survey:
    """Look at the type and the size of every key of every shard, one page after the other."""
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


def _fields(reply: list[Reply], name: bytes) -> Iterator[str]:
    for entry in reply:
        if isinstance(entry, list):
            pairs = dict(zip(map(str, entry[0::2]), entry[1::2], strict=False))
            value = pairs.get(str(name))
            if isinstance(value, bytes):
                yield value.decode("utf-8", "replace")
