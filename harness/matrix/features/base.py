"""What a feature is: commands that write a small data set, and the exact answers that reading it must give.

Pure. A fact is one reading command with the answer that follows from what was written; servers agree on the values, not
on their order or spelling, so each fact names how its answer is made comparable (`NORMAL`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.resp.replies import ErrorReply, Reply, Status

Argument = str | bytes | int | float
Words = tuple[Argument, ...]

# Whatever A answers, where the written commands don't determine it (an encoding of A's own): B must answer the same.
FROM_A = Status("as the primary answers")


@dataclass(frozen=True)
class Write:
    """One command for A. reply: what it must answer, None: anything but an error."""

    words: Words
    db: int = 0
    reply: Reply = None


@dataclass(frozen=True)
class Fact:
    """What must be read. form: a name of NORMAL; after_ms: not to be asked before this moment of the servers' clock."""

    words: Words
    reply: Reply
    form: str = "exact"
    db: int = 0
    after_ms: int = 0

    @property
    def key(self) -> bytes:
        return as_bytes(self.words[1]) if len(self.words) > 1 else b""

    def __str__(self) -> str:
        shown = " ".join(_short(as_bytes(word)) for word in self.words)
        return f"db {self.db}: {shown}" if self.db else shown


@dataclass(frozen=True)
class DataSet:
    """writes: in order. facts: what then must be read on every node. keys: all that must be there, by database.

    encodings: by key, how A may keep it, so that what was meant to be tested is. expiring: keys of database 0 that must
    still be there as the sync begins.
    """

    writes: tuple[Write, ...]
    facts: tuple[Fact, ...]
    keys: Mapping[int, frozenset[bytes]]
    encodings: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)
    expiring: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Feature:
    """needs: commands without which an engine lacks the feature. build: prefix of the keys, the time in ms → data."""

    name: str
    title: str
    build: Callable[[bytes, int], DataSet]
    needs: tuple[str, ...] = ()


def as_bytes(word: Argument) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def keys(*names: bytes, db: int = 0) -> dict[int, frozenset[bytes]]:
    """The keys of a data set that stands in one database."""
    return {db: frozenset(names)}


def differs(fact: Fact, expected: Reply, found: Reply) -> bool:
    """Whether an answer is another one than expected, in the fact's own form. An error never equals anything."""
    if isinstance(found, ErrorReply) or isinstance(expected, ErrorReply):
        return True
    form = NORMAL[fact.form]
    try:
        return form(expected) != form(found)
    except (TypeError, ValueError, LookupError):
        return True  # an answer of another shape


def is_nothing(reply: Reply) -> bool:
    """Whether an answer says that there is nothing."""
    return reply in (None, 0, b"", []) or (isinstance(reply, list) and all(item is None for item in reply))


def shown(reply: Reply, limit: int = 120) -> str:
    """An answer for a reader, cut."""
    if isinstance(reply, bytes):
        return _short(reply, limit)
    if isinstance(reply, list):
        inner = ", ".join(shown(item, 40) for item in reply[:8])
        more = f", … {len(reply)} in all" if len(reply) > 8 else ""
        return f"[{inner}{more}]"[: limit * 2]
    return "nothing" if reply is None else str(reply)


def _short(data: bytes, limit: int = 60) -> str:
    text = data.decode("utf-8", "backslashreplace")
    text = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text[:limit])
    return text if len(data) <= limit else f"{text}… ({len(data)} bytes)"


def _unordered(reply: Reply) -> object:
    if not isinstance(reply, list):
        raise TypeError(reply)
    return sorted(as_bytes(item) for item in reply if isinstance(item, (bytes, int)))


def _pairs(reply: Reply) -> object:
    if not isinstance(reply, list) or len(reply) % 2:
        raise TypeError(reply)
    return sorted(zip(map(_bytes, reply[::2]), map(_bytes, reply[1::2]), strict=True))


def _scores(reply: Reply) -> object:
    """Members and scores in order; a score by its bits, since servers spell numbers differently."""
    if not isinstance(reply, list) or len(reply) % 2:
        raise TypeError(reply)
    return [
        (_bytes(member), struct.pack("!d", float(_bytes(score))))
        for member, score in zip(reply[::2], reply[1::2], strict=True)
    ]


def _pending(reply: Reply) -> object:
    """Ids, consumers and delivery counts; not for how long they have been idle."""
    if not isinstance(reply, list):
        raise TypeError(reply)
    return [[item for number, item in enumerate(entry) if number != 2] for entry in reply if isinstance(entry, list)]


def _stream(reply: Reply) -> object:
    """Of XINFO STREAM what every version tells."""
    fields = _fields(reply)
    return fields[b"length"], fields[b"last-generated-id"], fields[b"groups"]


def _groups(reply: Reply) -> object:
    if not isinstance(reply, list):
        raise TypeError(reply)
    each = [_fields(group) for group in reply]
    return sorted((str(one[b"name"]), one[b"consumers"], one[b"pending"], one[b"last-delivered-id"]) for one in each)


def _library(reply: Reply) -> object:
    """Of FUNCTION LIST … WITHCODE the libraries' names and code."""
    if not isinstance(reply, list):
        raise TypeError(reply)
    each = [_fields(library) for library in reply]
    return sorted((str(one[b"library_name"]), str(one[b"library_code"])) for one in each)


def _fields(reply: Reply) -> dict[bytes, Reply]:
    if not isinstance(reply, list):
        raise TypeError(reply)
    return {_bytes(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _bytes(reply: Reply) -> bytes:
    if not isinstance(reply, bytes):
        raise TypeError(reply)
    return reply


# How the answers to a fact are made comparable, by the fact's form.
NORMAL: dict[str, Callable[[Reply], object]] = {
    "exact": lambda reply: reply,
    "unordered": _unordered,
    "pairs": _pairs,
    "scores": _scores,
    "pending": _pending,
    "stream": _stream,
    "groups": _groups,
    "library": _library,
}
