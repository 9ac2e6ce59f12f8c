"""The first look at keys: many at a time, from states (type, TTL) over lengths to values. Tasks for the exchange.

Each step leaves out what is settled. Equal values are never parsed; small values that are not equal as bytes are read
once more and compared by their type's own rule; what is too large for that goes on a list, for `large`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.field_ttls import FOREVER, UNKNOWN, apart, field_ttls, shown_ttl
from harness.compare.model import Finding, Subject
from harness.compare.streams import groups
from harness.compare.values import TYPES, UnreadableError, elements
from harness.compare.work import WINDOW_BYTES, Large, Work
from harness.resp.encode import KEY
from harness.resp.replies import Reply

Expiries = dict[bytes, float | None]  # of keys: as Found.expires_at


@dataclass(frozen=True, slots=True)
class _State:
    kind_a: str
    kind_b: str
    ttl_a: int
    ttl_b: int


def page(work: Work, lane: Lane, keys: Sequence[bytes]) -> Steps:
    """Compare these keys, which both sides of the lane are responsible for."""
    of_type: dict[str, Expiries] = {}
    commands = (("TYPE", KEY), ("PTTL", KEY))
    answer = yield Ask(Mode.LINES, lane.a.pack_each(keys, *commands), lane.b.pack_each(keys, *commands), 2 * len(keys))
    work.totals.keys += len(keys)
    if (plain := _plain(work, answer)) is not None:
        yield from _values(work, lane, plain, dict.fromkeys(keys))
        return
    for key, state in zip(keys, _states(answer), strict=True):
        if (kind := _judge_state(work, key, state, answer.took_s)) is not None:
            of_type.setdefault(kind, {})[key] = _expiry(state, answer.took_s)
    for kind, expiries in of_type.items():
        yield from _values(work, lane, kind, expiries)


def _plain(work: Work, answer: Answer) -> str | None:
    """The type, where all keys have the same one on both sides, and none ever expires."""
    if answer.lines_a != answer.lines_b:
        return None
    first, _, rest = answer.lines_a.partition(b"\r\n")
    kind = _line_text(first)
    one = first + b"\r\n:-1\r\n"
    same = rest.startswith(b":-1\r\n") and answer.lines_a == one * (len(answer.lines_a) // len(one))
    return kind if same and kind in TYPES and kind not in work.unreadable else None


def _states(answer: Answer) -> Iterator[_State]:
    lines_a, lines_b = answer.lines_a.split(b"\r\n"), answer.lines_b.split(b"\r\n")
    if lines_a == lines_b:  # then one parse does for both, and few differ from their neighbours
        known: dict[tuple[bytes, bytes], _State] = {}
        for pair in zip(lines_a[0:-1:2], lines_a[1::2], strict=True):
            if pair not in known:
                kind, ttl = _line_text(pair[0]), _line_number(pair[1])
                known[pair] = _State(kind, kind, ttl, ttl)
            yield known[pair]
        return
    rows = zip(lines_a[0:-1:2], lines_b[0:-1:2], lines_a[1::2], lines_b[1::2], strict=True)
    for kind_a, kind_b, ttl_a, ttl_b in rows:
        yield _State(_line_text(kind_a), _line_text(kind_b), _line_number(ttl_a), _line_number(ttl_b))


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


def _values(work: Work, lane: Lane, kind: str, expiries: Expiries) -> Steps:
    """Compare the values of keys that have this type on both sides."""
    value_type, keys = TYPES[kind], list(expiries)
    answer = yield Ask(
        Mode.LINES,
        lane.a.pack_each(keys, value_type.length),
        lane.b.pack_each(keys, value_type.length),
        len(keys),
    )
    small: list[tuple[bytes, int]] = []
    long: list[Large] = []
    lengths_a, lengths_b = _lengths(answer.lines_a), _lengths(answer.lines_b)
    for key, length_a, length_b in zip(keys, lengths_a, lengths_b, strict=True):
        longer = max(length_a, length_b)
        if longer <= value_type.short:
            small.append((key, max(1, longer)))
        else:
            long.append(Large(Subject(work.db, key, kind), length_a, length_b, expiries[key]))
    if long:
        small += yield from _light(work, lane, long, value_type.size)
    weight = 64 if kind == "string" else 1  # a string's length is in bytes
    for window, size in _windows(work, small, weight):
        yield from _window(work, lane, kind, {key: expiries[key] for key in window}, size)


def _light(work: Work, lane: Lane, long: Sequence[Large], most: int) -> Generator[Ask, Answer, list[tuple[bytes, int]]]:
    """Those that can be read whole after all: not too many elements, and not too heavy ones. The others are large."""
    sizes = [0] * len(long)
    if work.weighs:
        payload = lane.a.pack_each([item.subject.key for item in long], ("MEMORY", "USAGE", KEY, "SAMPLES", 5))
        answer = yield Ask(Mode.LINES, payload, b"", len(long))
        sizes = _lengths(answer.lines_a)
    light: list[tuple[bytes, int]] = []
    for item, size in zip(long, sizes, strict=True):
        longer = max(item.length_a, item.length_b)
        item.weight = size // max(1, item.length_a)
        if longer <= most and size <= WINDOW_BYTES:
            light.append((item.subject.key, longer))
        else:
            work.large.append(item)
    return light


def _lengths(lines: bytes) -> list[int]:
    """What can't be told (the type changed meanwhile) counts as short, and is looked at."""
    return [int(line[1:]) if line[:1] == b":" else 0 for line in lines.split(b"\r\n")[:-1]]


def _windows(work: Work, small: Sequence[tuple[bytes, int]], weight: int) -> Iterator[tuple[list[bytes], int]]:
    """Keys together as long as their elements fit into the budget, which may change between windows."""
    keys: list[bytes] = []
    size = 0
    for key, length in small:
        cost = 1 + length // weight
        if keys and size + cost > work.budget:
            yield keys, size
            keys, size = [], 0
        keys.append(key)
        size += cost
    if keys:
        yield keys, size


def _window(work: Work, lane: Lane, kind: str, expiries: Expiries, size: int) -> Steps:
    """Values of one type that are read whole."""
    keys, by_fields = list(expiries), kind == "hash" and any(work.field_ttls)
    if not by_fields and (yield from _same(work, lane, kind, keys, size)):
        if kind == "stream":
            yield from groups(work, lane, expiries)
        return
    whole = TYPES[kind].whole
    answer = yield Ask(
        Mode.REPLIES, lane.a.pack_each(keys, whole), lane.b.pack_each(keys, whole), len(keys), size, kind
    )
    for key, a, b in zip(keys, answer.a or [], answer.b or [], strict=True):
        _judge_values(work, Subject(work.db, key, kind), a, b, expiries[key])
        if by_fields and isinstance(a, list) and isinstance(b, list):
            fields = sorted({*elements(a)[0::2], *elements(b)[0::2]})
            found = yield from field_ttls(work, lane, Subject(work.db, key, kind), fields)
            work.found(Subject(work.db, key, kind), found, expiries[key])
    if kind == "stream":
        yield from groups(work, lane, expiries)


def _same(work: Work, lane: Lane, kind: str, keys: Sequence[bytes], size: int) -> Generator[Ask, Answer, bool]:
    """Whether all these values are the same as bytes; by their shorter dumps first, where both sides dump alike."""
    whole, cut = TYPES[kind].whole, TYPES[kind].cut
    if work.dumps and kind != "string":
        payloads = lane.a.pack_each(keys, ("DUMP", KEY)), lane.b.pack_each(keys, ("DUMP", KEY))
        answer = yield Ask(Mode.SAME, *payloads, len(keys), size, "dump")
        if answer.same:
            return True
    payloads = lane.a.pack_each(keys, whole), lane.b.pack_each(keys, whole)
    answer = yield Ask(Mode.SAME, *payloads, len(keys), size, kind, cut)
    work.learn(size, answer.size)
    return answer.same


def _judge_values(work: Work, subject: Subject, a: Reply, b: Reply, expires_at: float | None) -> None:
    value_type = TYPES[subject.kind]
    try:
        if value_type.is_cut(a) or value_type.is_cut(b):
            work.moving(subject, expires_at)
            return
        work.found(subject, value_type.difference(a, b), expires_at)
    except UnreadableError as error:
        work.problem(subject, str(error))
