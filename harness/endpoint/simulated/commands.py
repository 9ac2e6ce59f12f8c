"""What the real server says of its commands: their categories, and where their keys are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .frames import Simple, Value

_INTEGER = re.compile(rb"0|-?[1-9]\d{0,18}")


@dataclass(frozen=True)
class CommandFacts:
    """first, last, step: where keys stand among the words, as COMMAND tells it (last < 0: from the end). movable: only
    the arguments themselves tell where further keys are.
    """

    name: str
    flags: frozenset[str]
    categories: frozenset[str]
    first: int = 0
    last: int = 0
    step: int = 0
    movable: bool = False
    subcommands: dict[str, CommandFacts] = field(default_factory=dict)

    def keys(self, words: Sequence[bytes]) -> list[bytes]:
        """The keys among a command's words; as far as they can be told."""
        found: list[bytes] = []
        if len(words) > 1 and (below := self.subcommands.get(f"{self.name}|{_text(words[1])}")):
            return below.keys(words)
        if self.first > 0 and self.step > 0:
            last = self.last if self.last >= 0 else len(words) + self.last
            found = list(words[self.first : last + 1 : self.step])
        return found + _movable_keys(self.name, words) if self.movable else found

    @property
    def one_key(self) -> bool:
        return self.first == self.last > 0 and not self.movable


def read_commands(reply: Value) -> dict[str, CommandFacts]:
    """The reply to COMMAND, by name in lower case."""
    facts = [_facts(entry) for entry in reply if isinstance(entry, list)] if isinstance(reply, list) else []
    return {fact.name: fact for fact in facts}


def _facts(entry: list[Value]) -> CommandFacts:
    flags = _words(entry[2])
    first, last, step = (number if isinstance(number, int) else 0 for number in entry[3:6])
    below = entry[9] if len(entry) > 9 else []
    subcommands = [_facts(one) for one in below if isinstance(one, list)] if isinstance(below, list) else []
    return CommandFacts(
        name=_text(entry[0]),
        flags=flags,
        categories=frozenset(word.lstrip("@") for word in _words(entry[6] if len(entry) > 6 else [])),
        first=first,
        last=last,
        step=step,
        movable="movablekeys" in flags,
        subcommands={one.name: one for one in subcommands},
    )


def _words(value: Value) -> frozenset[str]:
    return frozenset(_text(word) for word in value) if isinstance(value, list) else frozenset()


def _text(value: Value) -> str:
    raw = value.text if isinstance(value, Simple) else value
    return raw.decode("latin-1").lower() if isinstance(raw, bytes) else str(raw)


# Where a number of keys stands, which the keys follow.
COUNTED = {
    **dict.fromkeys(["eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"], 2),
    **dict.fromkeys(["zunionstore", "zinterstore", "zdiffstore", "blmpop", "bzmpop"], 2),
    **dict.fromkeys(["zunion", "zinter", "zdiff", "zintercard", "sintercard", "lmpop", "zmpop", "msetex"], 1),
}
_STEPS = {"msetex": 2}  # how many words there are for each key, where they are several
_STREAMS = ("xread", "xreadgroup")
_STORING = ("sort", "georadius", "georadiusbymember")
_NO_FURTHER = ("sort_ro",)  # what its BY and GET read is named by patterns
MOVABLE = frozenset([*COUNTED, *_STREAMS, *_STORING, *_NO_FURTHER, "migrate"])


def integer(word: bytes) -> int | None:
    """A number as servers read one; None: they would not take it."""
    return int(word) if _INTEGER.fullmatch(word) else None


def counted(name: str, words: Sequence[bytes]) -> int:
    """How many words the keys of one of COUNTED take, with what belongs to each; as far as its words tell."""
    at = COUNTED[name]
    number = integer(words[at]) if len(words) > at else None
    return max(0, number or 0) * _STEPS.get(name, 1)


def _movable_keys(name: str, words: Sequence[bytes]) -> list[bytes]:
    if name in COUNTED:
        at = COUNTED[name]
        return list(words[at + 1 : at + 1 + counted(name, words) : _STEPS.get(name, 1)])
    upper = [word.upper() for word in words]
    if name == "migrate" and b"KEYS" in upper:
        return list(words[upper.index(b"KEYS") + 1 :])
    if name in _STREAMS and b"STREAMS" in upper:
        rest = words[upper.index(b"STREAMS") + 1 :]
        return list(rest[: len(rest) // 2])
    if name in _STORING:
        return [words[at + 1] for at, word in enumerate(upper[:-1]) if at > 1 and word in (b"STORE", b"STOREDIST")]
    return []
