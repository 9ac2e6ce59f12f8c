"""How commands ended, on their way to the ledger: neighbours with one outcome travel as one range.

A server that refuses everything costs one entry, not a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.history import Broken, Ledger, LengthJump, Opened, Refused, Resolved, Stamp, Unanswered


@dataclass(frozen=True, slots=True)
class Commands:
    """Elements first..last in whole commands of `size` elements, the last of which may be shorter."""

    first: int
    last: int
    size: int

    @property
    def elements(self) -> int:
        return self.last - self.first + 1

    @property
    def count(self) -> int:
        """How many commands."""
        return -(-self.elements // self.size)

    def sizes(self) -> tuple[int, ...]:
        """Elements of each command."""
        whole, rest = divmod(self.elements, self.size)
        return (self.size,) * whole + ((rest,) if rest else ())

    def one(self, index: int) -> Commands:
        """The command with this index, by itself."""
        first = self.first + index * self.size
        last = min(first + self.size - 1, self.last)
        return Commands(first, last, last - first + 1)

    def rest(self, index: int) -> Commands:
        """The commands from this index on."""
        return replace(self, first=self.first + index * self.size)


def grouped(first: int, sizes: Iterable[int]) -> Iterator[Commands]:
    """The commands of these sizes, element `first` onwards, as few groups as say where each command begins."""
    group: Commands | None = None
    position = first
    for size in sizes:
        last = position + size - 1
        if group is not None and size <= group.size and (group.last - group.first + 1) % group.size == 0:
            group = replace(group, last=last)
        else:
            if group is not None:
                yield group
            group = Commands(position, last, size)
        position = last + 1
    if group is not None:
        yield group


class Outcomes:
    """Writes a ledger. refusing: connections on which a command was refused."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.refusing: set[int] = set()
        self._open: Refused | Unanswered | None = None

    def acknowledged(self, connection: int, first: int, last: int, size: int) -> None:
        """Elements first..last were written by commands of `size` elements (0: of several sizes)."""
        if self._open is not None:
            self.flush()
        self.ledger.acknowledge(connection, first, last, size)

    def refused(self, connection: int, first: int, last: int, error: str) -> None:
        self.refusing.add(connection)
        before = self._open
        if isinstance(before, Refused) and _continues(before, connection, first, error):
            self._open = replace(before, last=last)
            return
        self.flush()
        self._open = Refused(connection, first, last, error)

    def undecided(self, connection: int, commands: Commands, error: str | None) -> None:
        """No reply came to these commands (error None), or one that decides nothing."""
        before = self._open
        if (
            isinstance(before, Unanswered)
            and _continues(before, connection, commands.first, error)
            and (before.command == commands.size and (before.last - before.first + 1) % commands.size == 0)
        ):
            self._open = replace(before, last=commands.last)
            return
        self.flush()
        self._open = Unanswered(connection, commands.first, commands.last, commands.size, error)

    def add(self, entry: Broken | Resolved | LengthJump | Stamp | Opened) -> None:
        self.flush()
        self.ledger.add(entry)

    def flush(self) -> None:
        """Hand over the open range."""
        if self._open is not None:
            self.ledger.add(self._open)
            self._open = None


def _continues(before: Refused | Unanswered, connection: int, first: int, error: str | None) -> bool:
    return before.connection == connection and before.last + 1 == first and before.error == error
