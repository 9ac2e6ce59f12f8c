"""What the harness may send to an endpoint that it did not start: the one list.

People point the harness at servers that others depend on. Whatever is not allowed here, by command, by argument and by
key, is never sent there: a connection to such an endpoint has a Guard and asks it where commands become bytes. A
refusal is a HarnessError, because only a mistake of our own can cause one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from harness.errors import HarnessError, UsageError

Argument = str | bytes | int | float
Arguments = Sequence[bytes]

ROOT = "harness:"  # every key of every run begins with this
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # no colon, brace or glob character can stand in one


def check_run_id(run_id: str) -> str:
    """The same run id; UsageError where it could not stand in a key."""
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(f"a run id is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit, not {run_id!r}")
    return run_id


@dataclass(eq=False)
class Scope:
    """What one run may touch on one endpoint.

    run_id: of the keys that are ours, None for those of every run (to look for leftovers).
    writes: whether our keys may be written there; otherwise they are only read, and only a probe is ever written.
    readable_claims: (database, key) of keys outside our prefix that the user gave us by name. writable_claims: of every
    key that elements may be written to, because it was seen not to exist.
    clients: ids of connections of our own, which may be killed; server: the run_id of the server that gave them, None
    where no connection may be killed.
    """

    run_id: str | None
    writes: bool
    readable_claims: set[tuple[int, bytes]] = field(default_factory=set)
    writable_claims: set[tuple[int, bytes]] = field(default_factory=set)
    clients: set[int] = field(default_factory=set)
    server: str | None = None

    @property
    def rules(self) -> dict[str, Rule]:
        """The list that holds on this endpoint."""
        return ALLOWED

    @property
    def containers(self) -> frozenset[str]:
        """The commands of that list whose second word says what they do."""
        return _CONTAINERS

    @property
    def prefix(self) -> bytes:
        return f"{ROOT}{self.run_id}:".encode() if self.run_id else ROOT.encode()

    def owns(self, key: bytes) -> bool:
        """Whether this is a key that a run of ours made, by its name."""
        if self.run_id is not None:
            return key.startswith(self.prefix)
        return run_of(key) is not None


def scoped_key(run_id: str, key: str) -> str:
    """The name under which a run keeps the user's key. A hash tag in it means what it meant before."""
    return f"{ROOT}{run_id}:{key}"


def own_key(run_id: str, kind: str, name: str) -> str:
    """The name of a key that the harness needs for itself; kind is one of canary, lag, probe.

    The second colon keeps it apart from the user's keys (`claim` refuses those that begin with one).
    """
    return f"{ROOT}{run_id}::{kind}:{name}"


def slot_tag(key: str) -> str:
    """A text that puts another key, which contains it, into the same cluster slot as this key."""
    opening = key.find("{")
    closing = key.find("}", opening + 1) if opening >= 0 else -1
    if closing > opening + 1:
        return key[opening : closing + 1]
    return f"{{{key}}}"


def run_of(key: bytes) -> str | None:
    """The run that a key belongs to by its name, None for everybody else's key."""
    match = re.match(rb"harness:(" + RUN_ID.pattern.encode() + rb"):", key)
    return match[1].decode() if match else None


def as_bytes(arguments: Sequence[Argument]) -> list[bytes]:
    """A command as the server gets it. A first argument of two words, as redis-py has them, becomes two."""
    encoded = [value if isinstance(value, bytes) else str(value).encode() for value in arguments]
    return encoded[0].split(b" ") + encoded[1:]


def check(arguments: Sequence[Argument], scope: Scope, db: int = 0) -> None:
    """Return if this command may be sent on a connection of database db; HarnessError otherwise."""
    name, rest = _named(as_bytes(arguments), scope.containers)
    rules = scope.rules
    objection = rules[name](rest, scope, db) if name in rules else _NOT_LISTED
    if objection:
        raise HarnessError(f"{name} may not be sent to an endpoint that the harness did not start: {objection}")


class Guard:
    """Checks what one connection sends; knows the database that it is in. Connections begin in `db`."""

    def __init__(self, scope: Scope, db: int = 0) -> None:
        self.scope, self._db = scope, db

    def check(self, arguments: Sequence[Argument]) -> None:
        """Return if this command may be sent now; HarnessError otherwise."""
        words = as_bytes(arguments)
        check(words, self.scope, self._db)
        if words[0].upper() == b"SELECT":
            self._db = int(words[1])

    def check_payload(self, payload: bytes | bytearray, key: str) -> None:
        """Return if these bytes only push numbers to this key of ours; HarnessError otherwise."""
        check_payload(payload, key, self.scope, self._db)


def check_payload(payload: bytes | bytearray, key: str, scope: Scope, db: int = 0) -> None:
    """Return if these bytes only add numbers to this key, by one of WRITES, with MULTI and EXEC or without.

    HarnessError otherwise.
    For the fast path: one pass of a compiled pattern, about as fast as the payload is built.
    """
    name = key.encode()
    check((WRITES[0], name, b"1"), scope, db)
    if not _payload_pattern(name).fullmatch(payload):
        raise HarnessError(
            f"a payload of {len(payload)} bytes for an endpoint that the harness did not start holds more than "
            f"numbers added to {key!r}"
        )


@lru_cache(maxsize=64)
def _payload_pattern(key: bytes) -> re.Pattern[bytes]:
    names = rb"|".join(rb"\$%d\r\n%s" % (len(name), name.encode()) for name in WRITES)
    words = rb"\$\d+\r\n(?:[-+.0-9einf]|\n)++\r\n"
    write = rb"\*\d+\r\n(?:%b)\r\n\$%d\r\n%b\r\n(?:%b)++" % (names, len(key), re.escape(key), words)
    return re.compile(rb"(?:" + write + rb"|\*1\r\n\$5\r\nMULTI\r\n|\*1\r\n\$4\r\nEXEC\r\n)*+")


# What adds elements to a key of ours.
WRITES = ("RPUSH", "LPUSH", "ZADD", "HSET", "SADD", "APPEND", "XADD")

Rule = Callable[[Arguments, Scope, int], str | None]  # what is wrong with the arguments, None if nothing is

_NOT_LISTED = "it is not on the list of allowed commands"
_CONTAINERS = frozenset({"CLIENT", "OBJECT"})  # commands whose second word says what they do


def _named(arguments: list[bytes], containers: frozenset[str]) -> tuple[str, list[bytes]]:
    """The command's name in capitals, with its subcommand if it has one, and the arguments after that."""
    words = 2 if arguments[0].upper().decode(errors="replace") in containers else 1
    return b" ".join(arguments[:words]).upper().decode(errors="replace"), arguments[words:]


def _count(least: int, most: int) -> Rule:
    def rule(arguments: Arguments, scope: Scope, db: int) -> str | None:
        return None if least <= len(arguments) <= most else f"it takes {least} to {most} arguments here"

    return rule


def _select(arguments: Arguments, scope: Scope, db: int) -> str | None:
    return None if len(arguments) == 1 and arguments[0].isdigit() else "it takes one database number"


def _set_name(arguments: Arguments, scope: Scope, db: int) -> str | None:
    return None if len(arguments) == 1 and arguments[0].startswith(b"harness") else "our names begin with harness"


def _kill(arguments: Arguments, scope: Scope, db: int) -> str | None:
    ours = [b"%d" % client for client in scope.clients]
    if scope.server is None:
        return "this endpoint's connections are not to be killed"
    if len(arguments) == 2 and arguments[0].upper() == b"ID" and arguments[1] in ours:
        return None
    return "only ID with the id of a connection of our own is allowed"


def _scan(arguments: Arguments, scope: Scope, db: int) -> str | None:
    words = [word.upper() for word in arguments[1::2]]
    if len(arguments) == 5 and words == [b"MATCH", b"COUNT"] and arguments[2].startswith(scope.prefix):
        return None
    return f"only SCAN cursor MATCH {scope.prefix.decode()}… COUNT n is allowed"


def _reads(least: int, most: int) -> Rule:
    def rule(arguments: Arguments, scope: Scope, db: int) -> str | None:
        if not least <= len(arguments) <= most:
            return f"it takes {least} to {most} arguments here"
        return _unless_readable(arguments[0], scope, db)

    return rule


def _reads_all(arguments: Arguments, scope: Scope, db: int) -> str | None:
    objections = [objection for key in arguments if (objection := _unless_readable(key, scope, db))]
    return next(iter(objections), None if arguments else "it takes a key")


def _push(arguments: Arguments, scope: Scope, db: int) -> str | None:
    if len(arguments) < 2:
        return "it takes a key and at least one element"
    if (db, arguments[0]) not in scope.writable_claims:
        return f"{_shown(arguments[0])} in database {db} was not claimed for writing"
    return None if scope.writes else _READ_ONLY


def _set(arguments: Arguments, scope: Scope, db: int) -> str | None:
    """SET replaces what is there, so it is for the harness's own keys; all of them expire, should we be killed."""
    if len(arguments) != 4 or arguments[2].upper() != b"EX":
        return "only SET key value EX seconds is allowed"
    if scope.run_id is None or not arguments[0].startswith(scope.prefix + b":"):
        return f"it is for canaries and probes, not for {_shown(arguments[0])}"
    return None if scope.writes or _is_probe(arguments[0], scope) else _READ_ONLY


def _unlink(arguments: Arguments, scope: Scope, db: int) -> str | None:
    for key in arguments:
        if objection := None if _is_probe(key, scope) else _unless_ours(key, scope, db):
            return objection
    return None if arguments else "it takes a key"


def _expire(arguments: Arguments, scope: Scope, db: int) -> str | None:
    """EXPIRE of keys that this run made itself."""
    if len(arguments) != 2 or not arguments[1].isdigit():
        return "only EXPIRE key seconds is allowed"
    if (db, arguments[0]) not in scope.writable_claims or not arguments[0].startswith(scope.prefix):
        return f"{_shown(arguments[0])} in database {db} is not a key that this run made"
    return None if scope.writes else _READ_ONLY


_READ_ONLY = "this endpoint is a replica, where nothing but a probe is written"


def _unless_readable(key: bytes, scope: Scope, db: int) -> str | None:
    if scope.owns(key) or (db, key) in scope.readable_claims:
        return None
    return f"{_shown(key)} in database {db} is not a key of this run"


def _unless_ours(key: bytes, scope: Scope, db: int) -> str | None:
    if not scope.owns(key) and (db, key) not in scope.writable_claims:
        return f"{_shown(key)} in database {db} is not a key that this run made"
    return None if scope.writes else _READ_ONLY


def _is_probe(key: bytes, scope: Scope) -> bool:
    return scope.run_id is not None and key.startswith(scope.prefix + b":probe:")


def _shown(key: bytes) -> str:
    return repr(key.decode(errors="backslashreplace")[:200])


ALLOWED: dict[str, Rule] = {
    "AUTH": _count(1, 2),
    "CLIENT ID": _count(0, 0),
    "CLIENT KILL": _kill,
    "CLIENT SETNAME": _set_name,
    "DPING": _count(0, 0),
    "EXEC": _count(0, 0),
    "DISCARD": _count(0, 0),
    "EXISTS": _reads_all,
    "EXPIRE": _expire,
    "GET": _reads(1, 1),
    "GETRANGE": _reads(3, 3),
    "HLEN": _reads(1, 1),
    "HSCAN": _reads(4, 4),
    "INFO": _count(0, 1),
    "LLEN": _reads(1, 1),
    "LRANGE": _reads(3, 3),
    "MULTI": _count(0, 0),
    "OBJECT IDLETIME": _reads(1, 1),
    "PING": _count(0, 1),
    "SCAN": _scan,
    "SCARD": _reads(1, 1),
    "SELECT": _select,
    "SET": _set,
    "SSCAN": _reads(4, 4),
    "STRLEN": _reads(1, 1),
    "TYPE": _reads(1, 1),
    "UNLINK": _unlink,
    "XLEN": _reads(1, 1),
    "XRANGE": _reads(3, 3),
    "ZCARD": _reads(1, 1),
    "ZRANGE": _reads(4, 4),
    **dict.fromkeys(WRITES, _push),
}
