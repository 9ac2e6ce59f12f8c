"""What was invoked and how each command ended: the ledger of a workload, as JSON lines.

Elements are numbered 1..N in the order in which they were first sent. An outcome belongs to a *command*; the
entries keep ranges of elements in stream order, so that the ledger of 100 million acknowledged values is one line.
Writing happens before judging; reading gives back equal entries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

VERSION = 1


@dataclass(frozen=True)
class Acknowledged:
    """Elements first..last (inclusive) whose commands were answered with success, in this order.

    connection: 1 for a writer's first connection, counting up; command: elements a command (only the last one of the
    range may be shorter), 0 where sizes vary.
    """

    connection: int
    first: int
    last: int
    command: int


@dataclass(frozen=True)
class Refused:
    """Elements first..last whose commands surely did not happen; error: the server's words."""

    connection: int
    first: int
    last: int
    error: str


@dataclass(frozen=True)
class Unanswered:
    """Elements first..last whose commands may or may not have happened, in the connection's order.

    command: elements a command (atomic: all of them or none); first..last holds whole commands, the last one of
    which may be shorter. error: None where no reply came, else the reply that decides nothing.
    """

    connection: int
    first: int
    last: int
    command: int
    error: str | None = None


@dataclass(frozen=True)
class Broken:
    """The connection ended with its Unanswered commands (the entries just before) open.

    fenced: the server has surely dropped the connection's unexecuted bytes before anything later was sent.
    refusals_possible: a refusal was seen on it, or the scenario can make the server refuse writes; then the commands
    that were executed need not all have succeeded.
    """

    connection: int
    fenced: bool
    reason: str
    refusals_possible: bool = False


@dataclass(frozen=True)
class Resolved:
    """A's list length, seen later in a reply, says how many of these broken connections' open elements A holds.

    Only for fenced connections. Where no sum of whole commands gives `applied`, A has lost or gained elements itself.
    """

    connections: tuple[int, ...]
    applied: int


@dataclass(frozen=True)
class LengthJump:
    """A reply told another list length than what was acknowledged explains, with no open connection to explain it.

    element: the last element of the command so answered; expected, found: list lengths; of a set, hash or sorted set
    how many elements were new.
    """

    connection: int
    element: int
    expected: int
    found: int


@dataclass(frozen=True)
class Stamp:
    """All entries above had been written by this time. seconds: since the first write; sent: the last element that
    had been sent by then, 0 where that was not noted.
    """

    seconds: float
    sent: int = 0


@dataclass(frozen=True)
class Opened:
    """What this connection is told below goes to this node."""

    connection: int
    node: str


Entry = Acknowledged | Refused | Unanswered | Broken | Resolved | LengthJump | Stamp | Opened
_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (Acknowledged, Refused, Unanswered, Broken, Resolved, LengthJump, Stamp, Opened)
}


_ACKNOWLEDGED = '{"entry": "acknowledged", "connection": %d, "first": %d, "last": %d, "command": %d}\n'
_USUAL = re.compile(re.escape(_ACKNOWLEDGED).replace("%d", r"(\d{1,18})"), re.ASCII)


class Ledger:
    """Appends one workload's entries to a file; consecutive acknowledged ranges travel as one.

    Only the open acknowledged range is in memory. `acknowledged`, `refused` and `unanswered` count elements.
    path None keeps nothing on disk and everything in `entries`, for short runs such as property draws.
    """

    def __init__(self, path: Path | None) -> None:
        self.acknowledged = self.refused = self.unanswered = 0
        self.entries: list[Entry] = []
        self._open: Acknowledged | None = None
        self._file: IO[str] | None = None
        if path is not None:
            self._file = path.open("w", encoding="utf-8")
            self._file.write(json.dumps({"version": VERSION, "kind": "ledger"}) + "\n")

    def acknowledge(self, connection: int, first: int, last: int, command: int) -> None:
        """The hot path: called once a send, not once a command."""
        self.acknowledged += last - first + 1
        before = self._open
        if before is not None and before.connection == connection and before.last + 1 == first:
            whole = command > 0 and (first - before.first) % command == 0
            size = command if whole and before.command == command else 0
            self._open = Acknowledged(connection, before.first, last, size)
            return
        self._flush()
        self._open = Acknowledged(connection, first, last, command)

    def add(self, entry: Refused | Unanswered | Broken | Resolved | LengthJump | Stamp | Opened) -> None:
        """Append any entry but an acknowledged range."""
        if isinstance(entry, Refused):
            self.refused += entry.last - entry.first + 1
        elif isinstance(entry, Unanswered):
            self.unanswered += entry.last - entry.first + 1
        self._flush()
        self._write(entry)

    def close(self) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _flush(self) -> None:
        if self._open is not None:
            self._write(self._open)
            self._open = None

    def _write(self, entry: Entry) -> None:
        if self._file is None:
            self.entries.append(entry)
        elif isinstance(entry, Acknowledged):  # by far the most, and all of it is numbers
            self._file.write(_ACKNOWLEDGED % (entry.connection, entry.first, entry.last, entry.command))
        else:
            self._file.write(json.dumps({"entry": type(entry).__name__.lower(), **asdict(entry)}) + "\n")


def read_ledger(path: Path) -> Iterator[Entry]:
    """The entries of a ledger file in stream order; ValueError names the line that is not one."""
    with path.open(encoding="utf-8") as lines:
        header = _fields(next(lines, ""), path, 1)
        if header.get("version") != VERSION or header.get("kind") != "ledger":
            raise ValueError(f"{path}: a ledger of version {VERSION} was expected, not {header}")
        for number, line in enumerate(lines, start=2):
            if usual := _USUAL.fullmatch(line):
                yield Acknowledged(*map(int, usual.groups()))
            else:
                yield _entry(_fields(line, path, number), path, number)


def _fields(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path}:{number}: not JSON ({error}): the ledger is damaged or was cut short") from None
    if isinstance(fields, dict):
        return fields
    raise ValueError(f"{path}:{number}: not a ledger entry: {line.strip()[:80]}")


def _entry(fields: dict[str, Any], path: Path, number: int) -> Entry:
    kind = _KINDS.get(str(fields.pop("entry", None)))
    if kind is None:
        raise ValueError(f"{path}:{number}: not a ledger entry; they are {', '.join(_KINDS)}")
    if kind is Resolved and isinstance(fields.get("connections"), list):
        fields["connections"] = tuple(fields["connections"])
    try:
        entry: Entry = kind(**fields)
    except TypeError as error:
        raise ValueError(f"{path}:{number}: not a ledger entry: {error}") from None
    return entry
