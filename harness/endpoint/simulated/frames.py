"""Replies that are small and wanted whole: where one ends, what is in it, and how one is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

_NESTED: Final = {b"*": 1, b"%": 2, b"~": 1, b">": 1, b"|": 2}
_DIGITS: Final = 20
_BULKS: Final = (b"$", b"=", b"!")


@dataclass(frozen=True)
class Error:
    text: bytes


@dataclass(frozen=True)
class Simple:
    text: bytes


Value: TypeAlias = "bytes | int | float | bool | Error | Simple | list[Value] | None"


class NotAReplyError(ValueError):
    """The bytes are no RESP."""


def frame_end(data: bytes, at: int = 0) -> int:
    """Where the reply that begins here ends, -1 where it isn't all there; NotAReplyError where it is none."""
    left = 1
    while left:
        line = data.find(b"\r\n", at)
        if line < 0:
            return -1
        kind, text, at = data[at : at + 1], data[at + 1 : line], line + 2
        left -= 1
        if kind in _BULKS:
            if (size := _number(text)) >= 0:
                at += size + 2
        elif kind in _NESTED:
            left += max(0, _number(text)) * _NESTED[kind] + (kind == b"|")
        elif kind not in (b"+", b"-", b":", b"_", b",", b"#", b"("):
            raise NotAReplyError(kind)
        if at > len(data):
            return -1
    return at


def frames(data: bytes) -> list[bytes]:
    """The whole replies that these bytes are."""
    found, at = [], 0
    while at < len(data):
        end = frame_end(data, at)
        if end < 0:
            raise NotAReplyError("a part of a reply")
        found.append(data[at:end])
        at = end
    return found


def parse(frame: bytes) -> Value:
    """One whole reply as a value; maps become lists of names and values in turn."""
    return _parsed(frame, 0)[0]


def _parsed(data: bytes, at: int) -> tuple[Value, int]:
    line = data.index(b"\r\n", at)
    kind, text, at = data[at : at + 1], data[at + 1 : line], line + 2
    if kind in _BULKS:
        size = _number(text)
        if size < 0:
            return None, at
        body = data[at : at + size]
        value: Value = Error(body) if kind == b"!" else body[4:] if kind == b"=" else body
        return value, at + size + 2
    if kind in _NESTED:
        count = _number(text)
        if count < 0:
            return None, at
        items: list[Value] = []
        for _ in range(count * _NESTED[kind]):
            item, at = _parsed(data, at)
            items.append(item)
        return items, at
    if kind in (b"-", b"+"):
        return Error(text) if kind == b"-" else Simple(text), at
    return int(text) if kind == b":" else None if kind == b"_" else text == b"t" if kind == b"#" else text, at


def _number(text: bytes) -> int:
    if len(text) > _DIGITS or not text.removeprefix(b"-").isdigit():
        raise NotAReplyError(text[:_DIGITS])
    return int(text)


def write(value: Value, protocol: int = 2) -> bytes:
    match value:
        case Error(text):
            return b"-%b\r\n" % text
        case Simple(text):
            return b"+%b\r\n" % text
        case bool() | int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case None:
            return b"_\r\n" if protocol == 3 else b"$-1\r\n"
        case list():
            return b"*%d\r\n" % len(value) + b"".join(write(item, protocol) for item in value)
        case _:
            return write(str(value).encode(), protocol)


def write_map(pairs: list[Value], protocol: int) -> bytes:
    """Names and values in turn, as a map where the protocol has maps."""
    if protocol == 3:
        return b"%%%d\r\n" % (len(pairs) // 2) + b"".join(write(item, protocol) for item in pairs)
    return write(pairs)


def write_text(text: bytes, protocol: int) -> bytes:
    """What INFO answers with."""
    return b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text) if protocol == 3 else write(text)
