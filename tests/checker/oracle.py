"""A second, naive opinion on small lists: could a correct server have ended with this list? By trying everything.

It shares no code with the checker. Commands are tuples of elements; a server executes the commands of the main stream
in order (choosing what happened of those without an answer), and those of an unfenced connection in their own order,
each at any time after everything sent before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

from harness.history import Acknowledged, Broken, Entry, Refused, Resolved, Unanswered

Command = tuple[int, ...]
Element = int | str


class Oracle:
    """target: the primary's length at the end, None where it was not asked."""

    def __init__(self, entries: Sequence[Entry], target: int | None) -> None:
        self.entries, self.target = entries, target
        broken = {entry.connection: entry for entry in entries if isinstance(entry, Broken)}
        refusing = {entry.connection for entry in entries if isinstance(entry, Refused)}
        self.commands: list[tuple[str, int, Command]] = []  # kind, connection, elements
        for entry in entries:
            if isinstance(entry, Acknowledged):
                self.commands += [("ok", entry.connection, command) for command in _commands(entry)]
            elif isinstance(entry, Unanswered):
                kind = "each" if entry.error else "open"
                self.commands += [(kind, entry.connection, command) for command in _commands(entry)]
        self.floating = {number for number, entry in broken.items() if not entry.fenced}
        self.by_prefix = {
            number for number, entry in broken.items() if not entry.refusals_possible and number not in refusing
        }
        self.resolved = [entry for entry in entries if isinstance(entry, Resolved)]

    def explains(self, elements: Sequence[Element]) -> bool:
        return any(self._fits(executed, elements) for executed in self._choices())

    def outcomes(self) -> Iterator[frozenset[int]]:
        """Every set of commands (by number) that can have been executed, the target apart."""
        return self._choices()

    def _choices(self) -> Iterator[frozenset[int]]:
        groups: dict[tuple[str, int], list[int]] = {}
        must = frozenset(n for n, (kind, _, _) in enumerate(self.commands) if kind == "ok")
        for number, (kind, connection, _) in enumerate(self.commands):
            if kind != "ok":
                groups.setdefault((kind, connection), []).append(number)
        options = [list(self._options(key, numbers)) for key, numbers in groups.items()]
        for chosen in product(*options):
            executed = must.union(*chosen)
            if all(self._applied(executed, entry.connections) == entry.applied for entry in self.resolved):
                yield executed

    def _options(self, key: tuple[str, int], numbers: list[int]) -> Iterator[frozenset[int]]:
        if key[0] == "open" and key[1] in self.by_prefix:
            yield from (frozenset(numbers[:k]) for k in range(len(numbers) + 1))
            return
        for bits in product((False, True), repeat=len(numbers)):
            yield frozenset(number for number, bit in zip(numbers, bits, strict=True) if bit)

    def _applied(self, executed: frozenset[int], connections: Sequence[int]) -> int:
        return sum(
            len(self.commands[number][2])
            for number in executed
            if self.commands[number][0] == "open" and self.commands[number][1] in connections
        )

    def _fits(self, executed: frozenset[int], elements: Sequence[Element]) -> bool:
        length = sum(len(self.commands[number][2]) for number in executed)
        if length != len(elements):
            return False
        early = sum(len(self.commands[number][2]) for number in executed if not self.floats(number))
        if self.target is not None and not early <= self.target <= length:
            return False
        main = [n for n in sorted(executed) if not self.floats(n)]
        late: dict[int, list[int]] = {}
        for number in sorted(executed):
            if self.floats(number):
                late.setdefault(self.commands[number][1], []).append(number)
        return self._execute(main, list(late.values()), tuple(elements))

    def floats(self, number: int) -> bool:
        kind, connection, _ = self.commands[number]
        return kind == "open" and connection in self.floating

    def _execute(self, main: list[int], late: list[list[int]], elements: tuple[Element, ...]) -> bool:
        """Whether some order of executing these commands appends just these elements."""

        @cache
        def go(at: int, done: tuple[int, ...]) -> bool:
            position = sum(len(self.commands[n][2]) for n in main[:at]) + sum(
                len(self.commands[n][2]) for queue, count in zip(late, done, strict=True) for n in queue[:count]
            )
            if position == len(elements):
                return at == len(main) and all(n == len(queue) for n, queue in zip(done, late, strict=True))

            def matches(number: int) -> bool:
                command = self.commands[number][2]
                return elements[position : position + len(command)] == command

            if at < len(main) and matches(main[at]) and go(at + 1, done):
                return True
            for which, queue in enumerate(late):
                if done[which] < len(queue):
                    number = queue[done[which]]
                    sent_before = at == len(main) or main[at] > number
                    advanced = (*done[:which], done[which] + 1, *done[which + 1 :])
                    if sent_before and matches(number) and go(at, advanced):
                        return True
            return False

        return go(0, (0,) * len(late))


def _commands(entry: Acknowledged | Unanswered) -> Iterator[Command]:
    size = entry.command or 1
    for first in range(entry.first, entry.last + 1, size):
        yield tuple(range(first, min(first + size, entry.last + 1)))
