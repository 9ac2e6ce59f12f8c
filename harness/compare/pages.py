"""The first look at keys: many at a time, from states (type, TTL) over lengths to values. Tasks for the exchange.

Each step leaves out what is settled. Equal values are never parsed; small values that are not equal as bytes are read
once more and compared by their type's own rule; what is too large for that goes on a list, for `large`.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress

from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.field_ttls import FOREVER, UNKNOWN, apart, field_ttls, shown_ttl
from harness.compare.model import Finding, Subject
from harness.compare.streams import groups
from harness.compare.values import TYPES, UnreadableError, elements
from harness.compare.work import WINDOW_BYTES, Large, Work
from harness.resp.encode import KEY, Keys
from harness.resp.replies import Reply

_UNIT = 64  # bytes that count like an element
_TOO_MUCH = 16 * WINDOW_BYTES
Expiries = dict[bytes, float | None]  # of keys: as Found.expires_at


@dataclass(frozen=True, slots=True)
class _State:
    kind_a: str
    kind_b: str
    ttl_a: int
    ttl_b: int


def page(work: Work, lane: Lane, keys: Keys) -> Steps:
    """Compare these keys, which both sides of the lane are responsible for."""
    answer = yield Ask(Mode.LINES, *lane.pack_each(keys, ("TYPE", KEY), ("PTTL", KEY)), 2 * len(keys))
    work.totals.keys += len(keys)
    if (plain := _plain(work, answer, len(keys))) is not None:
        yield from _values(work, lane, plain, keys, {})
        return
    of_type: dict[str, Expiries] = {}
    for key, state in zip(keys, _states(answer, len(keys)), strict=True):
        if (kind := _judge_state(work, key, state, answer.took_s)) is not None:
            of_type.setdefault(kind, {})[key] = _expiry(state, answer.took_s)
    for kind, expiries in of_type.items():
        yield from _values(work, lane, kind, Keys(expiries), expiries)


def _plain(work: Work, answer: Answer, count: int) -> str | None:
    """The type, where all keys have the same one on both sides, and none ever expires."""
    if answer.lines_a != answer.lines_b:
        return None
    first = answer.lines_a.partition(b"\r\n")[0]
    kind = _line_text(first)
    if kind not in TYPES or kind in work.unreadable or kind in work.options.skip_types:
        return None
    return kind if answer.lines_a == (first + b"\r\n") * count + b":-1\r\n" * count else None


def _states(answer: Answer, count: int) -> Iterator[_State]:
    """Of each key: the types come first, then the times."""
    lines_a, lines_b = answer.lines_a.split(b"\r\n"), answer.lines_b.split(b"\r\n")
    for place in range(count):
        times = lines_a[count + place], lines_b[count + place]
        kinds = _kind(lines_a[place], times[0]), _kind(lines_b[place], times[1])
        yield _State(*kinds, _line_number(times[0]), _line_number(times[1]))


def _kind(line: bytes, time_line: bytes) -> str:
    """The type; an error where that, or the time to live, was answered with one."""
    return _line_text(time_line if time_line[:1] == b"-" and line[:1] == b"+" else line)


def _line_text(line: bytes) -> str:
    if line[:1] == b"+":
        return line[1:].decode("utf-8", "replace")
    return f"error {line[1:].decode('utf-8', 'replace')}"


def _line_number(line: bytes) -> int:
    return int(line[1:]) if line[:1] == b":" else UNKNOWN


def _longest(state: _State) -> int | None:
    """The longest time that it has left, None where a side keeps it for ever."""
    there = [ttl for kind, ttl in ((state.kind_a, state.ttl_a), (state.kind_b, state.ttl_b)) if kind != "none"]
    return None if not there or FOREVER in there else max(there)


def _expiry(state: _State, took_s: float) -> float | None:
    """As Found.expires_at; the answer took so long, and may be as old as that."""
    left = _longest(state)
    return None if left is None else time.time() - took_s + left / 1000


def _judge_state(work: Work, key: bytes, state: _State, took_s: float) -> str | None:
    """Report what type and TTL show; the type whose values are to be compared, None where there is nothing more."""
    subject = Subject(work.db, key, state.kind_a if state.kind_a != "none" else state.kind_b)
    for kind in (state.kind_a, state.kind_b):
        if kind.startswith("error "):
            work.problem(subject, kind.removeprefix("error "))
            return None
    if state.kind_a == state.kind_b == "none":
        work.gone += 1
        return None
    slack_ms = (took_s + work.options.tolerance_s) * 1000
    if "none" in (state.kind_a, state.kind_b):
        left = _longest(state)
        if left is not None and left <= slack_ms:
            work.totals.expired += 1
            return None
        missing = state.kind_b == "none"
        held = (state.kind_a if missing else state.kind_b).encode()
        finding = Finding("missing_key", None, held, None) if missing else Finding("extra_key", None, None, held)
        work.found(subject, [finding], _expiry(state, took_s))
        return None
    if state.kind_a != state.kind_b:
        work.found(
            subject, [Finding("type", None, state.kind_a.encode(), state.kind_b.encode())], _expiry(state, took_s)
        )
        return None
    if state.ttl_a != state.ttl_b and apart(state.ttl_a, state.ttl_b, slack_ms):
        finding = Finding("ttl", None, shown_ttl(state.ttl_a), shown_ttl(state.ttl_b))
        work.found(subject, [finding], _expiry(state, took_s))
    if state.kind_a in work.options.skip_types:
        return None
    if state.kind_a in TYPES and state.kind_a not in work.unreadable:
        return state.kind_a
    reason = work.unreadable.get(state.kind_a, f"values of type {state.kind_a} are not known here")
    work.unchecked(state.kind_a, key, reason)
    return None


def _values(work: Work, lane: Lane, kind: str, keys: Keys, expiries: Expiries) -> Steps:
    """Compare the values of keys that have this type on both sides."""
    value_type = TYPES[kind]
    if kind == "hash" and work.untold_field_ttls:
        for key in keys:
            work.unchecked("field TTLs of hashes", key, work.untold_field_ttls)
    lengths, others, weights = yield from _measured(work, lane, kind, keys)
    weighed = bool(weights)
    longer = lengths if lengths == others else list(map(max, lengths, others))
    if max(longer) > value_type.size or max(weights, default=0) > WINDOW_BYTES:
        rows = list(zip(keys, lengths, others, weights or [0] * len(keys), strict=True))
        large = [max(row[1], row[2]) > value_type.size or row[3] > WINDOW_BYTES for row in rows]
        work.large += [
            Large(Subject(work.db, key, kind), a, b, expiries.get(key), weight // max(1, a))
            for key, a, b, weight in compress(rows, large)
        ]
        small = [not each for each in large]
        keys = Keys(compress(keys, small))
        longer, weights = list(compress(longer, small)), list(compress(weights, small))
    costs, budget = longer, None
    if weighed or kind == "string":
        costs = [size // _UNIT for size in (weights if weighed else longer)]
        budget = WINDOW_BYTES // _UNIT
    for window, size in _windows(work, keys, costs, budget):
        yield from _window(work, lane, kind, window, expiries, size)


def _measured(
    work: Work, lane: Lane, kind: str, keys: Keys
) -> Generator[Ask, Answer, tuple[list[int], list[int], list[int]]]:
    """Lengths on A and on B; and the bytes that A uses for each, [] where nobody says."""
    asked, count = lane.pack_each(keys, TYPES[kind].length), len(keys)
    if not work.weighs or kind == "string":
        answer = yield Ask(Mode.LINES, *asked, count)
        return _lengths(answer.lines_a), _lengths(answer.lines_b), []
    weighing = lane.a.pack_each(keys, ("MEMORY", "USAGE", KEY, "SAMPLES", 5))
    if work.strict:  # then both sides are asked the same
        answer = yield Ask(Mode.LINES, *asked, count)
        weights = yield Ask(Mode.LINES, weighing, b"", count)
        return _lengths(answer.lines_a), _lengths(answer.lines_b), _lengths(weights.lines_a)
    answer = yield Ask(Mode.LINES, asked[0] + weighing, asked[1], 2 * count)
    of_a = _lengths(answer.lines_a)
    return of_a[:count], _lengths(answer.lines_b), of_a[count:]


def _lengths(lines: bytes) -> list[int]:
    """What can't be told (the type changed meanwhile) counts as short, and is looked at."""
    try:
        return list(map(int, lines[1:-2].split(b"\r\n:")))
    except ValueError:
        return [int(line[1:]) if line[:1] == b":" else 0 for line in lines.split(b"\r\n")[:-1]]


def _windows(work: Work, keys: Keys, costs: Sequence[int], budget: int | None) -> Iterator[tuple[Keys, int]]:
    """Keys together as long as they fit into the budget, and the sum of what they cost. budget: None for elements of
    unknown weight, of which so many are asked for as the windows before have shown to be light.
    """
    sums = [0, *accumulate([1 + cost for cost in costs])]
    first = 0
    while first < len(keys):
        most = budget if budget is not None else work.budget
        last = max(first + 1, bisect_right(sums, sums[first] + most, first) - 1)
        yield keys.part(first, last), sums[last] - sums[first]
        first = last


def _window(work: Work, lane: Lane, kind: str, keys: Keys, expiries: Expiries, size: int) -> Steps:
    """Values of one type that are read whole."""
    by_fields = kind == "hash" and any(work.field_ttls)
    if not by_fields or not work.weighs:  # what nobody has weighed is not parsed before it was seen to be small
        answer = yield from _same(work, lane, kind, keys, size)
        if answer.same and not by_fields:
            if kind == "stream":
                yield from groups(work, lane, keys, expiries)
            return
        if answer.size > _TOO_MUCH and kind != "string":  # to be held in one piece
            work.large += [Large(Subject(work.db, key, kind), 0, 0, expiries.get(key)) for key in keys]
            return
    answer = yield Ask(Mode.REPLIES, *lane.pack_each(keys, TYPES[kind].whole), len(keys), size, kind)
    for key, a, b in zip(keys, answer.a or [], answer.b or [], strict=True):
        _judge_values(work, Subject(work.db, key, kind), a, b, expiries.get(key))
        if by_fields and isinstance(a, list) and isinstance(b, list):
            fields = sorted({*elements(a)[0::2], *elements(b)[0::2]})
            found = yield from field_ttls(work, lane, Subject(work.db, key, kind), fields)
            work.found(Subject(work.db, key, kind), found, expiries.get(key))
    if kind == "stream":
        yield from groups(work, lane, keys, expiries)


def _same(work: Work, lane: Lane, kind: str, keys: Keys, size: int) -> Generator[Ask, Answer, Answer]:
    """Whether all these values are the same as bytes; by their shorter dumps first, where both sides dump alike."""
    if work.dumps and kind != "string":
        answer = yield Ask(Mode.SAME, *lane.pack_each(keys, ("DUMP", KEY)), len(keys), size, "dump")
        if answer.same:
            return answer
    value_type = TYPES[kind]
    answer = yield Ask(Mode.SAME, *lane.pack_each(keys, value_type.whole), len(keys), size, kind, value_type.cut)
    work.learn(size, answer.size)
    return answer


def _judge_values(work: Work, subject: Subject, a: Reply, b: Reply, expires_at: float | None) -> None:
    value_type = TYPES[subject.kind]
    try:
        if value_type.is_cut(a) or value_type.is_cut(b):
            work.moving(subject, expires_at)
            return
        work.found(subject, value_type.difference(a, b), expires_at)
    except UnreadableError as error:
        work.problem(subject, str(error))
