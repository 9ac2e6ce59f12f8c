"""Reads a data set on both servers and compares: with what was written, and with what the primary holds.

Nothing passes here because it could not be read: an error, an answer of another shape, a key too many are differences.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.matrix.cells import Anomaly
from harness.matrix.features.base import FROM_A, NORMAL, DataSet, Fact, Words, differs, is_nothing, shown
from harness.matrix.warm import Trouble, WarmServer
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply, Reply

LOST_KINDS = frozenset({"missing_key", "lost", "truncated"})
_SCAN = 10_000
_ATTEMPTS = 50
_SHOWN = 3


@dataclass(frozen=True)
class Compared:
    """facts: how many were read on the replica; keys: how many keys it holds."""

    anomalies: tuple[Anomaly, ...]
    facts: int
    keys: int


def compare(data: DataSet, primary: WarmServer, replica: WarmServer) -> Compared:
    """Every fact on both servers, and all keys of all databases."""
    if not data.facts or not any(data.keys.values()):
        raise Trouble("the data set holds nothing that could be compared")
    _wait_for(data.facts)
    on_b, on_a = read(replica, data.facts), read(primary, data.facts)
    anomalies: list[Anomaly] = []
    for fact, found, held in zip(data.facts, on_b, on_a, strict=True):
        expected = held if fact.reply is FROM_A else fact.reply
        if differs(fact, expected, found):
            anomalies.append(
                Anomaly(
                    kind_of(expected, found, fact.form), f"{fact}: expected {shown(expected)}, found {shown(found)}"
                )
            )
        if differs(fact, expected, held):
            what = f"{fact}: the primary itself answers {shown(held)} instead of {shown(expected)}"
            anomalies.append(Anomaly("wrong_value", what))
    held_keys = _all_keys(replica, data)
    anomalies += _compare_keys(data, held_keys, "the replica")
    anomalies += _compare_keys(data, _all_keys(primary, data), "the primary itself")
    return Compared(tuple(anomalies), len(on_b), sum(map(len, held_keys.values())))


def kind_of(expected: Reply, found: Reply, form: str = "exact") -> str:
    """The name of a difference between two answers to a fact of this form. What is missing counts before all else."""
    if is_nothing(found) and not is_nothing(expected):
        return "lost"
    if isinstance(found, ErrorReply):
        return "wrong_type" if found.code == "WRONGTYPE" else "wrong_value"
    try:
        wanted, there = NORMAL[form](expected), NORMAL[form](found)
    except (TypeError, ValueError, LookupError):
        return "wrong_value"  # an answer of another shape
    if not isinstance(wanted, list) or not isinstance(there, list):
        return "wrong_value"
    return _kind_of_lists(wanted, there)


def _kind_of_lists(wanted: list[object], there: list[object]) -> str:
    named = all(isinstance(item, tuple) for item in (*wanted, *there))  # each with a name first, and its value
    before, now = (Counter(repr(item[0] if named else item) for item in items) for items in (wanted, there))  # type: ignore[index]
    missing, extra = before - now, now - before
    if missing and extra and not named and _in_place(wanted, there):
        return "wrong_value"
    if missing:
        return "lost"
    if extra:
        return "duplicated" if extra.keys() <= before.keys() else "phantom"
    same = Counter(map(repr, wanted)) == Counter(map(repr, there))
    return "reordered" if same else "wrong_value"


def _in_place(wanted: list[object], there: list[object]) -> bool:
    """Whether positions differ, and what is found there is expected nowhere else: nothing was lost, only altered."""
    pairs = list(zip(wanted, there, strict=False))
    altered = [found for expected, found in pairs if expected != found]
    return len(wanted) == len(there) and not any(found is None or found in wanted for found in altered)


def read(server: WarmServer, facts: Sequence[Fact]) -> list[Reply]:
    """The answers in the facts' order; one round trip for each change of database."""
    answers: list[Reply] = []
    start = 0
    for number in range(1, len(facts) + 1):
        if number == len(facts) or facts[number].db != facts[start].db:
            answers += server.ask_all([fact.words for fact in facts[start:number]], facts[start].db)
            start = number
    return [
        _expiry(server, fact) if fact.words[0] == "PEXPIRETIME" and _unknown(answer) else answer
        for fact, answer in zip(facts, answers, strict=True)
    ]


def _unknown(reply: Reply) -> bool:
    return isinstance(reply, ErrorReply) and reply.text.lower().startswith("err unknown command")


def _expiry(server: WarmServer, fact: Fact) -> Reply:
    """When a key expires, of a server that only tells how long that is: exact where its clock stood still meanwhile."""
    commands: list[Words] = [("MULTI",), ("TIME",), ("PTTL", fact.words[1]), ("TIME",), ("EXEC",)]
    for _ in range(_ATTEMPTS):
        done = server.ask_all(commands, fact.db)[-1]
        if not isinstance(done, list) or len(done) != 3:
            return done
        before, left, after = done
        if not isinstance(left, int) or left < 0:
            return left
        if (moment := _ms(before)) == _ms(after):
            return moment + left
    return ErrorReply("the server's clock never stood still while it was asked")


def _ms(reply: Reply) -> int:
    if not isinstance(reply, list):
        raise Trouble(f"TIME was answered with {reply!r}")
    seconds, micros = (int(part) for part in reply if isinstance(part, bytes))
    return seconds * 1000 + micros // 1000


def _wait_for(facts: Sequence[Fact]) -> None:
    """Until the moment that some facts are about has passed; the servers have the clock of this machine."""
    left_ms = max(fact.after_ms for fact in facts) - time.time() * 1000
    if left_ms > 0:
        time.sleep(left_ms / 1000)


def _all_keys(server: WarmServer, data: DataSet) -> dict[int, frozenset[bytes]]:
    """Every key that can be read, by database: of those that the server names, and those that must hold something."""
    named = {int(name[2:]) for name in info_fields(server.info("keyspace")) if name.startswith("db")}
    return {db: found for db in sorted(named | data.keys.keys()) if (found := frozenset(_scan(server, db)))}


def _scan(server: WarmServer, db: int) -> Iterator[bytes]:
    cursor = b"0"
    while True:
        reply = server.ask("SCAN", cursor, "COUNT", _SCAN, db=db)
        if not isinstance(reply, list) or not isinstance(reply[0], bytes) or not isinstance(reply[1], list):
            raise Trouble(f"SCAN was answered with {shown(reply)}")
        cursor = reply[0]
        yield from (key for key in reply[1] if isinstance(key, bytes))
        if cursor == b"0":
            return


def _compare_keys(data: DataSet, found: dict[int, frozenset[bytes]], who: str) -> Iterator[Anomaly]:
    for db in sorted(data.keys.keys() | found.keys()):
        wanted, there = data.keys.get(db, frozenset()), found.get(db, frozenset())
        for kind, keys, verb in (("missing_key", wanted - there, "lacks"), ("phantom", there - wanted, "also holds")):
            if keys:
                some = ", ".join(shown(key, 60) for key in sorted(keys)[:_SHOWN])
                yield Anomaly(kind, f"db {db}: {who} {verb} {len(keys)} key{'s' * (len(keys) > 1)}: {some}")
