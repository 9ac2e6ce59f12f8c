"""Short ways to write a ledger, a list and what is found in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checker.evidence import KeyState, Reading, Run, Stream
from harness.checker.key import check_key
from harness.checker.list_order import Findings
from harness.history import Acknowledged, Broken, Entry, Refused, Unanswered

Element = int | str


def runs_of(elements: Sequence[Element]) -> Iterator[Run]:
    """As a reader delivers them: maximal runs of consecutive numbers, everything else by itself."""
    first = count = 0
    for element in elements:
        if isinstance(element, int) and count and element == first + count:
            count += 1
            continue
        if count:
            yield Run(first, count)
        first, count = (element, 1) if isinstance(element, int) else (0, 0)
        if isinstance(element, str):
            yield Run(0, 1, element.encode())
    if count:
        yield Run(first, count)


def reading(elements: Sequence[Element], node: str = "b", stream: str = "workload") -> Reading:
    """A list without elements does not exist on a server."""
    state = KeyState.LIST if elements else KeyState.ABSENT
    return Reading(node, stream, state, lambda: runs_of(elements), length=len(elements))


def stream(values: int, *entries: Entry, name: str = "workload", key: str = "numbers") -> Stream:
    return Stream(name, key, 0, values, lambda: entries or ((ok(1, values),) if values else ()))


def ok(first: int, last: int, connection: int = 1, command: int = 1) -> Acknowledged:
    return Acknowledged(connection, first, last, command)


def refused(first: int, last: int, connection: int = 1) -> Refused:
    return Refused(connection, first, last, "OOM command not allowed")


def open_(first: int, last: int, connection: int = 1, command: int = 1, error: str | None = None) -> Unanswered:
    return Unanswered(connection, first, last, command, error)


def fenced(connection: int = 1, refusals_possible: bool = False) -> Broken:
    return Broken(connection, True, "reset", refusals_possible)


def unfenced(connection: int = 1, refusals_possible: bool = False) -> Broken:
    return Broken(connection, False, "reset", refusals_possible)


def check(written: Stream, elements: Sequence[Element], target: int | None = None, caught_up: bool = True) -> Findings:
    return check_key(written, reading(elements), target_length=target, caught_up=caught_up)


def told(findings: Findings) -> list[str]:
    """kind, count, index, expected and found of each anomaly, then the doubts: "lost 2 @3: 4 not 6"."""
    lines = [
        f"{anomaly.kind} {'>=' if anomaly.at_least else ''}{anomaly.count} @{anomaly.first.index}: "
        f"{anomaly.first.expected} not {anomaly.first.found}"
        for anomaly in findings.anomalies
    ]
    return lines + [f"doubt: {doubt}" for doubt in findings.doubts]
