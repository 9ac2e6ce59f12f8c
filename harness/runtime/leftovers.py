"""What killed runs left on an endpoint: found by name with SCAN, shown first, and removed only when told to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import ROOT, Scope, run_of
from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.identity import open_endpoint

_BATCH = 1000  # keys that one SCAN looks at, and that one UNLINK names at most
_DATABASE = re.compile(rb"^db(\d+):", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Leftover:
    """A key with a run's name. kind: the type's name; elements: of a list, else None.

    idle_s: seconds since it was last used, None where the server doesn't tell; a run under way is idle for no time.
    """

    run_id: str
    db: int
    key: bytes
    kind: str
    elements: int | None = None
    idle_s: int | None = None


def leftovers(endpoint: Endpoint) -> list[Leftover]:
    """Every key of any run, in every database that the endpoint tells of. Reads only; SetupError where it can't."""
    endpoint = replace(endpoint, scope=Scope(None, writes=False))
    with open_endpoint("", endpoint) as connection:
        databases = _databases(connection)
    found = {leftover for db in databases for leftover in _found(endpoint.with_database(db))}
    return sorted(found, key=lambda leftover: (leftover.run_id, leftover.db, leftover.key))


def remove_leftovers(endpoint: Endpoint, found: Iterable[Leftover]) -> int:
    """Remove exactly these keys; returns how many were still there. SetupError where the endpoint refuses."""
    by_database: dict[int, list[bytes]] = {}
    for leftover in found:
        by_database.setdefault(leftover.db, []).append(leftover.key)
    endpoint = replace(endpoint, scope=Scope(None, writes=True))
    return sum(_removed(endpoint.with_database(db), keys) for db, keys in by_database.items())


def _removed(endpoint: Endpoint, keys: list[bytes]) -> int:
    batches = (keys[first : first + _BATCH] for first in range(0, len(keys), _BATCH))
    with open_endpoint("", endpoint) as connection:
        return sum(_number(_asked(connection, "UNLINK", *batch)) for batch in batches)


def _databases(connection: Connection) -> list[int]:
    """The databases that hold keys; only the endpoint's own where INFO keyspace is refused or tells none."""
    reply = connection.command("INFO", "keyspace")
    numbers = [int(number) for number in _DATABASE.findall(reply)] if isinstance(reply, bytes) else []
    return numbers or [connection.endpoint.db]


def _found(endpoint: Endpoint) -> Iterator[Leftover]:
    with open_endpoint("", endpoint) as connection:
        for key in _scanned(connection):
            run_id = run_of(key)
            if run_id is not None and (leftover := _described(connection, run_id, key)):
                yield leftover


def _scanned(connection: Connection) -> Iterator[bytes]:
    cursor = b"0"
    while True:
        match _asked(connection, "SCAN", cursor, "MATCH", f"{ROOT}*", "COUNT", _BATCH):
            case [bytes(following), list(keys)]:
                cursor = following
            case reply:
                raise SetupError(f"{connection.endpoint} answered SCAN with {reply!r:.200}")
        yield from (key for key in keys if isinstance(key, bytes))
        if cursor == b"0":
            return


def _described(connection: Connection, run_id: str, key: bytes) -> Leftover | None:
    """None where the key has gone meanwhile. Its idle time is asked first: other commands may end it."""
    idle = connection.command("OBJECT", "IDLETIME", key)
    kind = str(getattr(_asked(connection, "TYPE", key), "text", "unknown"))
    if kind == "none":
        return None
    elements = _number(_asked(connection, "LLEN", key)) if kind == "list" else None
    return Leftover(run_id, connection.endpoint.db, key, kind, elements, idle if isinstance(idle, int) else None)


def _asked(connection: Connection, *words: str | bytes | int) -> Reply:
    reply = connection.command(*words)
    if isinstance(reply, ErrorReply):
        raise SetupError(f"{connection.endpoint} refuses {words[0]!s}: {reply.text}")
    return reply


def _number(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0
