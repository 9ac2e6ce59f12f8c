"""What a comparison is asked, and what it finds: values without any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import overload

from harness.errors import ExitCode, UsageError

# kind: what it says of B, seen from A
KINDS: dict[str, str] = {
    "missing_database": "B does not have a database that A has keys in",
    "extra_database": "A does not have a database that B has keys in",
    "missing_key": "A has the key, B does not",
    "extra_key": "B has the key, A does not",
    "type": "the key holds values of different types",
    "ttl": "one expires and the other does not, or they expire at times further apart than the tolerance",
    "value": "a string, or the value of a field or entry, differs",
    "tail_missing": "B's list ends early; all that it has is the same",
    "tail_extra": "B's list goes on after A's end; all before is the same",
    "element_missing": "an element is missing inside the list, and later ones are there",
    "element_extra": "an element stands inside the list that A does not have there, and later ones are there",
    "order": "the same elements in another order",
    "element": "other elements from this index on",
    "member_missing": "B's set or sorted set lacks a member",
    "member_extra": "B's set or sorted set has a member that A's does not have",
    "score": "a member's score differs, be it in its last bit",
    "field_missing": "B's hash lacks a field",
    "field_extra": "B's hash has a field that A's does not have",
    "field_ttl": "a field expires on one side only, or at times further apart than the tolerance",
    "entry_missing": "B's stream lacks an entry",
    "entry_extra": "B's stream has an entry that A's does not have",
    "stream_id": "the streams' last generated ids differ",
    "group": "a consumer group is missing, extra, at another place, or has read another number of entries",
    "consumer": "a consumer of a group is missing or extra",
    "pending": "a pending entry is missing, extra, or with another consumer or number of deliveries",
}

# Kinds of findings that are no differences: what could not be read, and what did not hold still.
UNREADABLE = "unreadable"
MOVING = "moving"


@dataclass(frozen=True)
class Options:
    """What is compared, and how gently. Times in seconds; most_commands_per_s: 0 for no limit.

    different_servers: the user knows that these are two; trust_replicas: servers that an endpoint names may be sent its
    password; skip_types: types whose values are not compared.
    """

    keys: str | None = None
    databases: tuple[int, ...] | None = None
    sample: float = 1.0
    rounds: int = 3
    pause_s: float = 1.0
    deadline_s: float = 60.0
    tolerance_s: float = 1.0
    most_commands_per_s: int = 20_000
    replicas: bool = True
    digest: bool = False
    timeout_s: float = 10.0
    different_servers: bool = False
    trust_replicas: bool = False
    skip_types: tuple[str, ...] = ()

    @property
    def defining(self) -> dict[str, object]:
        """What a stored state must agree in to be resumed."""
        return {
            "keys": self.keys,
            "databases": list(self.databases) if self.databases is not None else None,
            "sample": self.sample,
            "digest": self.digest,
            "tolerance_s": self.tolerance_s,
            "skip_types": list(self.skip_types),
            "rounds": self.rounds,
        }

    @property
    def part(self) -> str:
        """Which part of the endpoints is looked at; "" for all of it."""
        parts = []
        if self.sample < 1:
            parts.append(f"a sample of {self.sample * 100:.4g}%")
        if self.keys is not None:
            parts.append(f"keys that match {self.keys}")
        if self.databases is not None:
            parts.append(f"database{'s' if len(self.databases) > 1 else ''} {', '.join(map(str, self.databases))}")
        if self.skip_types:
            parts.append(f"no values of type {', '.join(self.skip_types)}")
        return ", ".join(parts)


_TYPES = ("hash", "list", "set", "stream", "string", "zset")
_OF_A_MODULE = 9  # characters of a module's type, always


def types_to_skip(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order; UsageError for what can't be a type."""
    chosen = tuple(sorted({*names}))
    for name in chosen:
        if name not in _TYPES and len(name) != _OF_A_MODULE:
            raise UsageError(
                f"--skip-types {name}: no such type; expected one of {', '.join(_TYPES)}, or a module's type as TYPE "
                f"shows it, which has {_OF_A_MODULE} characters"
            )
    return chosen


@dataclass(frozen=True)
class Finding:
    """One kind of difference of one key. at: index, field, member or id of the first place; count: how many places.

    expected: what A has, found: what B has; None where there is nothing.
    """

    kind: str
    at: int | bytes | None = None
    expected: bytes | int | None = None
    found: bytes | int | None = None
    count: int = 1

    @property
    def signature(self) -> tuple[object, ...]:
        """What must stay the same for a difference to stand. A TTL counts down, so it is not part of that."""
        if self.kind in ("ttl", "field_ttl"):
            return (self.kind, self.at)
        return (self.kind, self.at, self.expected, self.found)


@dataclass(frozen=True)
class Subject:
    """A key. kind: its type on A, else on B."""

    db: int
    key: bytes
    kind: str


@dataclass(frozen=True)
class Difference:
    """What stands at the end."""

    subject: Subject
    finding: Finding

    def as_json(self) -> dict[str, object]:
        subject, finding = self.subject, self.finding
        place: dict[str, object] = {}
        if isinstance(finding.at, int):
            place = {"index": finding.at}
        elif finding.at is not None:
            place = {"field": shown(finding.at)}
        return {
            "db": subject.db,
            "key": shown(subject.key),
            "type": subject.kind,
            "kind": finding.kind,
            **place,
            "expected": shown(finding.expected),
            "found": shown(finding.found),
            "count": finding.count,
        }


@dataclass
class Totals:
    """What has been done so far. unchecked: by database and type, how many keys, the first one, and why."""

    keys: int = 0
    keys_b: int = 0
    expired: int = 0
    commands: int = 0
    unchecked: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, int]:
        return {"keys": self.keys, "keys_b": self.keys_b, "expired": self.expired, "commands": self.commands}


@dataclass(frozen=True)
class Outcome:
    """The end of a comparison. moving: keys that could not be settled; not_checked: what could not be looked at;
    notes: what limits the answer without making it unknown.
    """

    differences: tuple[Difference, ...]
    counts: Mapping[str, int]
    moving: tuple[Subject, ...]
    not_checked: tuple[str, ...]
    notes: tuple[str, ...]
    totals: Totals
    seconds: float
    endpoints: tuple[str, str] = ("", "")
    options: Options = field(default_factory=Options)

    @property
    def verdict(self) -> str:
        if self.counts:
            return "different"
        return "unknown" if self.moving or self.not_checked else "equal"

    @property
    def exit_code(self) -> ExitCode:
        codes = {"equal": ExitCode.AS_EXPECTED, "different": ExitCode.NOT_AS_EXPECTED, "unknown": ExitCode.UNKNOWN}
        return codes[self.verdict]

    def as_json(self) -> dict[str, object]:
        return {
            "version": 1,
            "verdict": self.verdict,
            "exit_code": int(self.exit_code),
            "a": self.endpoints[0],
            "b": self.endpoints[1],
            "part": self.options.part or None,
            "differences": sum(self.counts.values()),
            "counts": dict(self.counts),
            "moving": [{"db": each.db, "key": shown(each.key), "type": each.kind} for each in self.moving],
            "not_checked": list(self.not_checked),
            "notes": list(self.notes),
            "totals": self.totals.as_json(),
            "seconds": round(self.seconds, 3),
        }


MOST_SHOWN = 4096  # bytes of a value in a report
_MARK = 128  # more bytes than what `kept` puts after them


def kept(value: bytes | None) -> bytes | None:
    """A value as a finding holds it: a long one by its beginning, its length and a digest, so that memory is bounded
    and two looks still see whether it is the same.
    """
    if value is None or len(value) <= MOST_SHOWN + _MARK:
        return value
    return value[:MOST_SHOWN] + b"... (%d bytes, SHA-256 %b)" % (len(value), sha256(value).hexdigest().encode())


@overload
def shown(value: bytes) -> str: ...


@overload
def shown(value: bytes | int | None) -> str | int | None: ...


def shown(value: bytes | int | None) -> str | int | None:
    """As reports have it: bytes that are not UTF-8 as \\xNN."""
    if not isinstance(value, bytes):
        return value
    return (kept(value) or b"").decode("utf-8", "backslashreplace")
