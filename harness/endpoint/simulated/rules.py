"""What happens to each command: passed without a look, refused, or looked at; decided once a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .commands import COUNTED, CommandFacts, counted
from .plan import Behaviour
from .requests import ALL, PASS, SWALLOW
from .slots import slot_of
from .wording import refusal

_LOOKED_AT = frozenset(["harness", "info", "multi", "exec", "discard", "reset", "hello", "client"])
_SCRIPTS = frozenset(["eval", "evalsha", "eval_ro", "evalsha_ro"])
MARK = "harness"  # the command by which a simulation says that it is one


class Rules:
    """A product's rules over the commands that the server behind has."""

    def __init__(self, behaviour: Behaviour, facts: Mapping[str, CommandFacts]) -> None:
        self.behaviour, self.facts = behaviour, facts
        self._plain: dict[bytes, int] = {}
        self._in_multi: dict[bytes, int] = {}
        self._containers = {name.partition("|")[0] for name in (*behaviour.refused, *behaviour.allowed) if "|" in name}
        if behaviour.refused_categories:
            self._containers |= {name for name, fact in facts.items() if fact.subcommands}

    def wanted(self, name: bytes, *, in_multi: bool) -> int:
        """For `requests.Sink.wanted`; name: in upper case."""
        memo = self._in_multi if in_multi else self._plain
        if (known := memo.get(name)) is not None:
            return known
        word = name.decode("latin-1").lower()
        wanted = self._wanted(word, in_multi)
        if word in self.facts or wanted != PASS:  # names that nobody knows are not kept
            memo[name] = wanted
        return wanted

    def further(self, words: Sequence[bytes]) -> int:
        """How many words hold a command's keys, where one of those seen so far tells it."""
        name = words[0].decode("latin-1").lower()
        if name not in COUNTED or not self.behaviour.one_slot:
            return 0
        return min(ALL, COUNTED[name] + 1 + counted(name, words))

    def needs_login(self, name: bytes) -> bool:
        """Whether the server answers this command, name in lower case, only to who has logged in."""
        fact = self.facts.get(name.decode("latin-1"))
        return fact is not None and "no_auth" not in fact.flags and name not in (b"auth", b"hello", b"reset", b"quit")

    def refused(self, name: str, subcommand: str | None = None) -> bool:
        """Both in lower case."""
        behaviour = self.behaviour
        full = f"{name}|{subcommand}" if subcommand is not None else name
        if full in behaviour.allowed or name in behaviour.allowed:
            return False
        if full in behaviour.refused or name in behaviour.refused:
            return True
        fact = self.facts.get(name)
        fact = fact.subcommands.get(full, fact) if fact else None
        return bool(fact and fact.categories.intersection(behaviour.refused_categories))

    def refusal(self, words: Sequence[bytes]) -> bytes | None:
        """The error line for a command that is refused; None where it isn't."""
        name = words[0].decode("latin-1").lower()
        if name == MARK:
            return None
        if self.refused(name) and name not in self._containers:
            return self._text(name, words, subcommand=False)
        if name not in self._containers or len(words) < 2:
            return self._text(name, words, subcommand=False) if self.refused(name) else None
        subcommand = words[1].decode("latin-1").lower()
        if not self.refused(name, subcommand):
            return None
        return self._text(name, words, subcommand=name not in self.behaviour.refused)

    def crossing(self, words: Sequence[bytes], first: tuple[int, bytes] | None) -> tuple[int, bytes, bytes] | None:
        """The first key of these words whose slot differs from that of `first`, else of their own first one, as
        (slot, key, the key it differs from); None where there is none.
        """
        for key in self.keys(words):
            slot = slot_of(key)
            if first is None:
                first = (slot, key)
            elif slot != first[0]:
                return slot, key, first[1]
        return None

    def keys(self, words: Sequence[bytes]) -> list[bytes]:
        fact = self.facts.get(words[0].decode("latin-1").lower())
        return fact.keys(words) if fact else []

    def for_scripts(self) -> set[str]:
        """What a script may not call; scripts know the same commands as clients."""
        names = set(self.facts) | {full for fact in self.facts.values() for full in fact.subcommands}
        refused = {name for name in names if self.refused(*name.split("|"))}
        return (refused | set(self.behaviour.scripts_refused)) - set(self.behaviour.accepted)

    def _wanted(self, name: str, in_multi: bool) -> int:
        behaviour = self.behaviour
        if name in self._containers:
            return ALL
        if self.refused(name):
            return SWALLOW
        if self._is_looked_at(name):
            return ALL
        if name in _SCRIPTS:
            return 3 if behaviour.one_slot else 2
        return self._for_keys(name, in_multi) if behaviour.one_slot else PASS

    def _is_looked_at(self, name: str) -> bool:
        behaviour = self.behaviour
        return (
            name in _LOOKED_AT
            or name in ("script", "function")
            or name in behaviour.accepted
            or (name in ("select", "copy") and bool(behaviour.select))
            or (name == "config" and behaviour.config is not None)
            or (name == "cluster" and behaviour.cluster)
        )

    def _for_keys(self, name: str, in_multi: bool) -> int:
        """How many words tell a command's keys, where they have to be in one slot."""
        fact = self.facts.get(name)
        if fact is not None and in_multi and any(one.first for one in fact.subcommands.values()):
            return ALL
        if fact is None or (fact.one_key and not in_multi) or not (fact.first or fact.movable):
            return PASS
        if not in_multi and name in self.behaviour.cross_slot:
            return PASS
        if name in COUNTED:
            return COUNTED[name] + 1
        return fact.first + 1 if fact.one_key else ALL

    def _text(self, name: str, words: Sequence[bytes], *, subcommand: bool) -> bytes:
        wordings = self.behaviour.wordings
        full = f"{name}|{words[1].decode('latin-1').lower()}" if subcommand else name
        wording = wordings.get(full) or wordings.get(name) or self.behaviour.wording
        return refusal(wording, words, subcommand=subcommand)
