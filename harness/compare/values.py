"""Each type's commands, and its replies as plain values: one table, so that no other module asks for a type by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.compare.detail import (
    hash_difference,
    list_difference,
    set_difference,
    sorted_set_difference,
    stream_difference,
    string_difference,
)
from harness.compare.model import Finding
from harness.resp.encode import KEY, Placeholder
from harness.resp.replies import ErrorReply, Reply, Status

SMALL = 128  # elements up to which a value is read whole
SMALL_STRING = 4096  # bytes
_ASKED = 2 * SMALL  # elements asked for, so that a small value that grew meanwhile shows
_ASKED_STRING = 2 * SMALL_STRING

Words = tuple[bytes | str | int | float | Placeholder, ...]


class UnreadableError(Exception):
    """A side answered with an error where a value was expected; str() is what it said."""


@dataclass(frozen=True)
class ValueType:
    """length, whole: commands for the number of elements and for a small value. size: up to which it is small.
    difference: of two replies to `whole`. needs: every command that comparing this type may take. cut: how a reply to
    `whole` begins that may be only a part of the value.
    """

    length: Words
    whole: Words
    difference: Callable[[Reply, Reply], list[Finding]]
    needs: tuple[str, ...]
    size: int = SMALL
    cut: bytes = b""

    def is_cut(self, reply: Reply) -> bool:
        """Whether this reply to `whole` may be only a part of the value, which grew after its length was asked for."""
        return bool(self.cut) and isinstance(reply, list | bytes) and len(reply) >= int(self.cut[1:])


def elements(reply: Reply) -> list[bytes]:
    """A flat array of strings."""
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    if not isinstance(reply, list):
        raise UnreadableError(f"an unexpected reply: {str(reply)[:100]}")
    return [each if isinstance(each, bytes) else b"" for each in reply]


def text(reply: Reply) -> bytes:
    """A string; absent is empty, because that is how servers answer GETRANGE."""
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    if isinstance(reply, Status):
        return reply.text.encode()
    return reply if isinstance(reply, bytes) else b""


def pairs(reply: Reply) -> list[tuple[bytes, bytes]]:
    flat = elements(reply)
    return list(zip(flat[0::2], flat[1::2], strict=True))


def entries(reply: Reply) -> dict[bytes, bytes]:
    """A stream's entries: their fields in one text, by id."""
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    found: dict[bytes, bytes] = {}
    for entry in reply if isinstance(reply, list) else []:
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes):
            fields = entry[1] if isinstance(entry[1], list) else []
            found[entry[0]] = b" ".join([repr(each)[1:].encode() for each in fields])
    return found


def _lists(a: Reply, b: Reply) -> list[Finding]:
    return list_difference(elements(a), elements(b), 0, ends=True)


def _strings(a: Reply, b: Reply) -> list[Finding]:
    return string_difference(text(a), text(b))


def _hashes(a: Reply, b: Reply) -> list[Finding]:
    return hash_difference(pairs(a), pairs(b))


def _sets(a: Reply, b: Reply) -> list[Finding]:
    return set_difference(elements(a), elements(b))


def _sorted_sets(a: Reply, b: Reply) -> list[Finding]:
    return sorted_set_difference(pairs(a), pairs(b))


def _streams(a: Reply, b: Reply) -> list[Finding]:
    return stream_difference(entries(a), entries(b))


TYPES: dict[str, ValueType] = {
    "string": ValueType(
        ("STRLEN", KEY),
        ("GETRANGE", KEY, 0, _ASKED_STRING - 1),
        _strings,
        ("STRLEN", "GETRANGE"),
        SMALL_STRING,
        b"$%d\r\n" % _ASKED_STRING,
    ),
    "list": ValueType(
        ("LLEN", KEY), ("LRANGE", KEY, 0, _ASKED - 1), _lists, ("LLEN", "LRANGE"), cut=b"*%d\r\n" % _ASKED
    ),
    "hash": ValueType(("HLEN", KEY), ("HGETALL", KEY), _hashes, ("HLEN", "HGETALL", "HSCAN", "HMGET")),
    "set": ValueType(("SCARD", KEY), ("SMEMBERS", KEY), _sets, ("SCARD", "SMEMBERS", "SSCAN", "SISMEMBER")),
    "zset": ValueType(
        ("ZCARD", KEY),
        ("ZRANGE", KEY, 0, _ASKED - 1, "WITHSCORES"),
        _sorted_sets,
        ("ZCARD", "ZRANGE", "ZSCAN", "ZSCORE"),
        cut=b"*%d\r\n" % (2 * _ASKED),
    ),
    "stream": ValueType(
        ("XLEN", KEY),
        ("XRANGE", KEY, "-", "+", "COUNT", _ASKED),
        _streams,
        ("XLEN", "XRANGE", "XINFO GROUPS", "XINFO STREAM", "XINFO CONSUMERS", "XPENDING"),
        cut=b"*%d\r\n" % _ASKED,
    ),
}


def refused(reply: Reply) -> bool:
    """Whether a side does not let us use a command at all. Managed servers word this in many ways."""
    if not isinstance(reply, ErrorReply):
        return False
    said = reply.text.lower()
    if reply.code == "NOPERM":
        return "to run" in said
    return any(words in said for words in ("unknown command", "not allowed", "unknown subcommand", "not supported"))
