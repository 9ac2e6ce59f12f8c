"""The checker against a naive oracle: no alarm on what a correct server can do, and one on everything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checker.verdict import Kind
from harness.history import Acknowledged, Broken, Entry, Refused, Resolved, Unanswered
from tests.checker.lists import Element, check, stream, told
from tests.checker.oracle import Oracle


@dataclass(frozen=True)
class Written:
    """A ledger as a writer leaves it. values: elements 1..values."""

    entries: tuple[Entry, ...]
    values: int


@st.composite
def ledgers(draw: st.DrawFn) -> Written:
    """A few connections, each with answered commands, perhaps refusals, and perhaps an end with commands open."""
    entries: list[Entry] = []
    next_value, opened = 1, []
    for connection in range(1, draw(st.integers(1, 3)) + 1):
        refusing = draw(st.sampled_from([False, False, False, True]))
        for _ in range(draw(st.integers(0, 2))):
            count, size = draw(st.integers(1, 4)), draw(st.integers(0, 3))
            last = next_value + count - 1
            kind = draw(st.sampled_from(["ok", "ok", "ok", "refused" if refusing else "ok", "answered"]))
            if kind == "ok":
                entries.append(Acknowledged(connection, next_value, last, size))
            elif kind == "refused":
                entries.append(Refused(connection, next_value, last, "OOM"))
            else:
                entries.append(Unanswered(connection, next_value, last, max(size, 1), "ERR time-out"))
            next_value = last + 1
        if draw(st.booleans()):
            for _ in range(draw(st.integers(0, 2))):
                count, size = draw(st.integers(1, 4)), draw(st.integers(1, 3))
                entries.append(Unanswered(connection, next_value, next_value + count - 1, size))
                next_value += count
            fence = draw(st.sampled_from([True, True, False]))
            entries.append(Broken(connection, fence, "reset", refusing))
            if fence:
                opened.append(connection)
    return Written(tuple(entries), next_value - 1)


def execute(oracle: Oracle, chance: random.Random) -> tuple[int, ...]:
    """What a correct server ends with: some of the open commands, those of unfenced connections late."""
    executed = chance.choice(sorted(oracle.outcomes(), key=sorted))
    queue = [n for n in sorted(executed) if not oracle.floats(n)]
    late: dict[int, list[int]] = {}
    for number in sorted(executed):
        if oracle.floats(number):
            late.setdefault(oracle.commands[number][1], []).append(number)
    result: list[int] = []
    while queue or any(late.values()):
        ready = [numbers for numbers in late.values() if numbers and (not queue or queue[0] > numbers[0])]
        source = chance.choice([*ready, queue] if queue else ready)
        result += oracle.commands[source.pop(0)][2]
    return tuple(result)


def resolve(written: Written, oracle: Oracle, held: tuple[int, ...], chance: random.Random) -> Written:
    """Let the primary's length say how many elements of some fenced connections were applied."""
    fenced = sorted({c for kind, c, _ in oracle.commands if kind == "open"} - oracle.floating)
    if not fenced or chance.random() < 0.5:
        return written
    chosen = tuple(chance.sample(fenced, chance.randint(1, len(fenced))))
    applied = sum(
        len(command) for kind, c, command in oracle.commands if kind == "open" and c in chosen and command[0] in held
    )
    return Written((*written.entries, Resolved(chosen, applied)), written.values)


Mutation = Callable[[list[Element], random.Random, int], None]


def drop(elements: list[Element], chance: random.Random, values: int) -> None:
    del elements[chance.randrange(len(elements))]


def swap(elements: list[Element], chance: random.Random, values: int) -> None:
    at = chance.randrange(len(elements))
    other = chance.randrange(len(elements))
    elements[at], elements[other] = elements[other], elements[at]


def replaced(elements: list[Element], chance: random.Random, values: int) -> None:
    foreign: list[Element] = ["x", values + 7, chance.randint(1, values)]
    elements[chance.randrange(len(elements))] = chance.choice(foreign)


def duplicate(elements: list[Element], chance: random.Random, values: int) -> None:
    elements.insert(chance.randint(0, len(elements)), chance.choice(elements))


def truncate(elements: list[Element], chance: random.Random, values: int) -> None:
    del elements[chance.randrange(len(elements)) :]


def insert(elements: list[Element], chance: random.Random, values: int) -> None:
    foreign: list[Element] = ["x", values + 1, chance.randint(1, values)]
    elements.insert(chance.randint(0, len(elements)), chance.choice(foreign))


def move(elements: list[Element], chance: random.Random, values: int) -> None:
    element = elements.pop(chance.randrange(len(elements)))
    elements.insert(chance.randint(0, len(elements)), element)


MUTATIONS: list[Mutation] = [drop, swap, replaced, duplicate, truncate, insert, move]


@settings(max_examples=400, deadline=None)
@given(ledgers(), st.randoms(use_true_random=False), st.booleans())
def test_what_a_correct_server_does_is_no_anomaly(written: Written, chance: random.Random, asked: bool) -> None:
    oracle = Oracle(written.entries, None)
    held = execute(oracle, chance)
    written = resolve(written, oracle, held, chance)
    target = _target(oracle, held, chance) if asked else None
    assert Oracle(written.entries, target).explains(held)
    findings = check(stream(written.values, *written.entries), held, target)
    assert told(findings) == []


def _target(oracle: Oracle, held: tuple[int, ...], chance: random.Random) -> int:
    """The primary's length when it was asked; what is executed later than that comes from unfenced connections."""
    late = 0
    floating = {element for n, (_, _, command) in enumerate(oracle.commands) if oracle.floats(n) for element in command}
    while late < len(held) and held[-1 - late] in floating and chance.random() < 0.5:
        late += 1
    return len(held) - late


@settings(max_examples=1000, deadline=None)
@given(
    ledgers(),
    st.randoms(use_true_random=False),
    st.booleans(),
    st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3),
)
def test_damage_that_no_correct_server_does_is_an_anomaly(
    written: Written, chance: random.Random, asked: bool, mutations: list[Mutation]
) -> None:
    oracle = Oracle(written.entries, None)
    held = execute(oracle, chance)
    written = resolve(written, oracle, held, chance)
    target = len(held) if asked else None
    elements: list[Element] = list(held)
    for mutate in mutations:
        if elements:
            mutate(elements, chance, written.values)
    findings = check(stream(written.values, *written.entries), elements, target)
    explained = Oracle(written.entries, target).explains(elements)
    assert (findings.anomalies == ()) == explained, (elements, told(findings))


@settings(max_examples=400, deadline=None)
@given(ledgers(), st.randoms(use_true_random=False))
def test_a_node_that_is_only_late_is_stale_and_nothing_else(written: Written, chance: random.Random) -> None:
    oracle = Oracle(written.entries, None)
    held = execute(oracle, chance)
    written = resolve(written, oracle, held, chance)
    starts = [held.index(command[0]) for _, _, command in oracle.commands if command[0] in held]
    seen = held[: chance.choice([0, *starts, len(held)])]
    findings = check(stream(written.values, *written.entries), seen, target=len(held), caught_up=False)
    assert {anomaly.kind for anomaly in findings.anomalies} == ({Kind.STALE} if len(seen) < len(held) else set())
    assert sum(anomaly.count for anomaly in findings.anomalies) == len(held) - len(seen)


@settings(max_examples=400, deadline=None)
@given(ledgers(), st.randoms(use_true_random=False), st.integers(-3, 3))
def test_a_length_of_the_primary_that_the_list_does_not_have_is_never_passed_over(
    written: Written, chance: random.Random, off: int
) -> None:
    held = execute(Oracle(written.entries, None), chance)
    target = max(0, len(held) + off)
    findings = check(stream(written.values, *written.entries), held, target)
    explained = Oracle(written.entries, target).explains(held)
    assert (told(findings) == []) == explained
