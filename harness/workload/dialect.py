"""How numbered elements are written to each type of key: the bytes of the commands, in one table.

`singles` is a command an element, `together` one command for several. What the replies mean stands in `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.kinds import STRING_ELEMENT
from harness.resp import encode
from harness.scores import score_text


class Dialect(Protocol):
    def singles(self, first: int, count: int) -> bytes:
        """A command for each of the elements first, first+1, …"""

    def together(self, first: int, size: int) -> bytes:
        """One command for all of these elements."""


@dataclass(frozen=True)
class Style:
    """Variants of a kind. push: the end of a list at which elements are added; scores: of a sorted set's members."""

    push: str = "right"
    scores: str = "ids"


USUAL = Style()


class Elements:
    """Each element is one argument: RPUSH, LPUSH, SADD."""

    def __init__(self, command: bytes, key: bytes) -> None:
        self._name = encode.bulk(command) + encode.bulk(key)
        self._commands = encode.one_value_commands(command, key)
        self._bulks = encode.bulk_numbers()

    def singles(self, first: int, count: int) -> bytes:
        return self._commands.build(first, count)

    def together(self, first: int, size: int) -> bytes:
        return b"".join((encode.array_header(size + 2), self._name, self._bulks.build(first, size)))


class Pairs:
    """Each element is its number twice: ZADD key score member, HSET key field value."""

    def __init__(self, command: bytes, key: bytes) -> None:
        self._name = encode.bulk(command) + encode.bulk(key)
        self._commands = encode.pair_commands(command, key)
        self._pairs = encode.bulk_pairs()

    def singles(self, first: int, count: int) -> bytes:
        return self._commands.build(first, count)

    def together(self, first: int, size: int) -> bytes:
        return b"".join((encode.array_header(2 * size + 2), self._name, self._pairs.build(first, size)))


@dataclass(frozen=True)
class Scored:
    """ZADD with scores that are not the members themselves."""

    key: bytes
    scores: str

    def singles(self, first: int, count: int) -> bytes:
        return b"".join([self.together(number, 1) for number in range(first, first + count)])

    def together(self, first: int, size: int) -> bytes:
        words: list[bytes | str | int] = [b"ZADD", self.key]
        for number in range(first, first + size):
            words += (score_text(self.scores, number), number)
        return encode.command(*words)


class Appended:
    """APPEND to a string, each element as ten digits and a line feed."""

    def __init__(self, key: bytes) -> None:
        head = encode.array_header(3) + encode.bulk(b"APPEND") + encode.bulk(key)
        self._head, self._lines = head, fixed_lines()
        self._commands = encode.Numbers(lambda width: b"%b$%d\r\n%b" % (head, STRING_ELEMENT, _zeros(width)), b"\n\r\n")

    def singles(self, first: int, count: int) -> bytes:
        return self._commands.build(first, count)

    def together(self, first: int, size: int) -> bytes:
        return b"%b$%d\r\n%b\r\n" % (self._head, size * STRING_ELEMENT, self._lines.build(first, size))


class Entries:
    """XADD of one field, n, under an id of our own, number-1: so ids rise as the numbers do, and are known."""

    def __init__(self, key: bytes) -> None:
        head = encode.array_header(5) + encode.bulk(b"XADD") + encode.bulk(key)
        self._commands = encode.Numbers(
            lambda width: b"%b$%d\r\n" % (head, width + 2),
            b"\r\n",
            inner=lambda width: b"-1\r\n$1\r\nn\r\n$%d\r\n" % width,
        )

    def singles(self, first: int, count: int) -> bytes:
        return self._commands.build(first, count)

    def together(self, first: int, size: int) -> bytes:
        raise ValueError("a stream takes one entry a command")


def fixed_lines() -> encode.Numbers:
    """Numbers as a string's elements."""
    return encode.Numbers(_zeros, b"\n")


def _zeros(width: int) -> bytes:
    return b"0" * (STRING_ELEMENT - 1 - width)


def _list(key: bytes, style: Style) -> Dialect:
    return Elements(b"LPUSH" if style.push == "left" else b"RPUSH", key)


def _sorted_set(key: bytes, style: Style) -> Dialect:
    return Pairs(b"ZADD", key) if style.scores == "ids" else Scored(key, style.scores)


DIALECTS: Mapping[str, Callable[[bytes, Style], Dialect]] = {
    "list_append": _list,
    "sorted_set": _sorted_set,
    "string": lambda key, style: Appended(key),
    "hash": lambda key, style: Pairs(b"HSET", key),
    "set": lambda key, style: Elements(b"SADD", key),
    "stream": lambda key, style: Entries(key),
    "sharded_list": _list,
    "sharded_sorted_set": _sorted_set,
}
