"""The first look at keys: many at a time, from states (type, TTL) over lengths to values. Tasks for the exchange.

Each step leaves out what is settled. Equal values are never parsed; small values that are not equal as bytes are read
once more and compared by their type's own rule; what is too large for that goes on a list, for `large`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from harness.compare.detail import mapping_difference, merged
from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.model import Finding, Options, Subject, Totals
from harness.compare.values import TYPES, UnreadableError, elements
from harness.resp.encode import KEY
from harness.resp.replies import ErrorReply, Reply

WINDOW_BYTES = 1 << 18
_MOST_ELEMENTS = 4_000  # in one window of small values
_FEWEST = 16
_GROWTH = 8
_UNKNOWN = -2
_FOREVER = -1


@dataclass
class Large:
    """A value that is compared piece by piece. position: where to go on; weight: bytes of an element, 0 unknown."""

    subject: Subject
    length_a: int
    length_b: int
    position: int = 0
    ttl_ms: int | None = None  # the longest that it had left at the first look, None for ever
    weight: int = 0


@dataclass
class Found:
    """What was seen of one key. ttl_ms: the longest time that it had left at this look, None where it never expires."""

    subject: Subject
    findings: list[Finding]
    ttl_ms: int | None


@dataclass
class Work:
    """What the tasks of one database share. report: where differences go; problem: what could not be looked at."""

    options: Options
    db: int
    field_ttls: tuple[bool, bool]  # whether each side knows of them
    unreadable: dict[str, str]
    totals: Totals
    report: Callable[[Found], None]
    problem: Callable[[Subject, str], None]
    many_members: bool = False  # whether both sides know SMISMEMBER
    digest: str = ""  # the command that runs our digest scripts on both sides, "" to read the values themselves
    weighs: bool = False  # whether A knows MEMORY USAGE
    strict: bool = False  # settling: everything is asked of both sides at once
    gone: int = 0  # keys that neither side had when they were looked at
    large: list[Large] = field(default_factory=list)
    budget: int = 256  # elements in the next window of small values

    def found(self, subject: Subject, findings: list[Finding], ttl_ms: int | None) -> None:
        if findings:
            self.report(Found(subject, merged(findings), ttl_ms))

    def learn(self, elements_asked: int, size: int) -> None:
        """Adapt the windows to what elements turn out to weigh."""
        fits = WINDOW_BYTES * max(elements_asked, 1) // max(size, 1)
        self.budget = max(_FEWEST, min(_MOST_ELEMENTS, fits, self.budget * _GROWTH))


@dataclass(frozen=True, slots=True)
class _State:
    kind_a: str
    kind_b: str
    ttl_a: int
    ttl_b: int


def page(work: Work, lane: Lane, keys: Sequence[bytes]) -> Steps:
    """Compare these keys, which both sides of the lane are responsible for."""
    of_type: dict[str, dict[bytes, int | None]] = {}
    commands = (("TYPE", KEY), ("PTTL", KEY))
    answer = yield Ask(Mode.LINES, lane.a.pack_each(keys, *commands), lane.b.pack_each(keys, *commands), 2 * len(keys))
    work.totals.keys += len(keys)
    if (plain := _plain(work, answer)) is not None:
        yield from _values(work, lane, plain, dict.fromkeys(keys))
        return
    for key, state in zip(keys, _states(answer), strict=True):
        if (kind := _judge_state(work, key, state, answer.took_s)) is not None:
            of_type.setdefault(kind, {})[key] = _longest(state)
    for kind, ttls in of_type.items():
        yield from _values(work, lane, kind, ttls)


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
    return int(line[1:]) if line[:1] == b":" else _UNKNOWN


def _longest(state: _State) -> int | None:
    """The longest time that it has left, None where a side keeps it for ever."""
    there = [ttl for kind, ttl in ((state.kind_a, state.ttl_a), (state.kind_b, state.ttl_b)) if kind != "none"]
    return None if not there or _FOREVER in there else max(there)


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
        work.found(subject, [finding], left)
        return None
    if state.kind_a != state.kind_b:
        work.found(subject, [Finding("type", None, state.kind_a.encode(), state.kind_b.encode())], _longest(state))
        return None
    if state.ttl_a != state.ttl_b and _apart(state.ttl_a, state.ttl_b, slack_ms):
        work.found(subject, [Finding("ttl", None, _shown_ttl(state.ttl_a), _shown_ttl(state.ttl_b))], _longest(state))
    if state.kind_a in TYPES and state.kind_a not in work.unreadable:
        return state.kind_a
    reason = work.unreadable.get(state.kind_a, f"values of type {state.kind_a} are not known here")
    work.problem(Subject(work.db, b"", state.kind_a), reason)
    return None


def _apart(ttl_a: int, ttl_b: int, slack_ms: float) -> bool:
    if ttl_a < 0 or ttl_b < 0:
        other = max(ttl_a, ttl_b)
        return _FOREVER in (ttl_a, ttl_b) or other > slack_ms  # -2: it expired between TYPE and PTTL
    return abs(ttl_a - ttl_b) > slack_ms


def _shown_ttl(ttl_ms: int) -> int | None:
    return ttl_ms if ttl_ms >= 0 else None


def _values(work: Work, lane: Lane, kind: str, ttls: dict[bytes, int | None]) -> Steps:
    """Compare the values of keys that have this type on both sides."""
    value_type, keys = TYPES[kind], list(ttls)
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
            long.append(Large(Subject(work.db, key, kind), length_a, length_b, 0, ttls[key]))
    if long:
        small += yield from _light(work, lane, long, value_type.size)
    weight = 64 if kind == "string" else 1  # a string's length is in bytes
    for window, size in _windows(work, small, weight):
        yield from _window(work, lane, kind, {key: ttls[key] for key in window}, size)


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


def _window(work: Work, lane: Lane, kind: str, ttls: dict[bytes, int | None], size: int) -> Steps:
    keys, whole = list(ttls), TYPES[kind].whole
    payload_a, payload_b = lane.a.pack_each(keys, whole), lane.b.pack_each(keys, whole)
    by_fields = kind == "hash" and any(work.field_ttls)
    if not by_fields:
        answer = yield Ask(Mode.SAME, payload_a, payload_b, len(keys), size, kind)
        work.learn(size, answer.size)
        if answer.same:
            if kind == "stream":
                yield from groups(work, lane, keys, ttls)
            return
    answer = yield Ask(Mode.REPLIES, payload_a, payload_b, len(keys), size, kind)
    for key, a, b in zip(keys, answer.a or [], answer.b or [], strict=True):
        subject = Subject(work.db, key, kind)
        try:
            work.found(subject, TYPES[kind].difference(a, b), ttls[key])
        except UnreadableError as error:
            work.problem(subject, str(error))
            continue
        if by_fields:
            yield from field_ttls(work, lane, subject, sorted({*elements(a)[0::2], *elements(b)[0::2]}), ttls[key])
    if kind == "stream":
        yield from groups(work, lane, keys, ttls)


def field_ttls(work: Work, lane: Lane, subject: Subject, fields: Sequence[bytes], ttl_ms: int | None) -> Steps:
    """Compare when fields expire. A side that knows nothing of it keeps them for ever."""
    if not fields:
        return
    words: tuple[str | bytes | int, ...] = ("HPTTL", subject.key, "FIELDS", len(fields), *fields)
    asked = [side.pack(*words) if knows else b"" for side, knows in zip((lane.a, lane.b), work.field_ttls, strict=True)]
    answer = yield Ask(Mode.REPLIES, asked[0], asked[1], 1, len(fields), "about")
    if _refused(work, subject, (answer.a or [])[:1] + (answer.b or [])[:1]):
        return
    slack_ms = (answer.took_s + work.options.tolerance_s) * 1000
    found: list[Finding] = []
    for name, a, b in zip(fields, _numbers(answer.a, fields), _numbers(answer.b, fields), strict=True):
        if _UNKNOWN not in (a, b) and a != b and _apart(a, b, slack_ms):
            found.append(Finding("field_ttl", name, _shown_ttl(a), _shown_ttl(b)))
    work.found(subject, found, ttl_ms)


def _numbers(replies: list[Reply] | None, fields: Sequence[bytes]) -> list[int]:
    reply = replies[0] if replies else None
    numbers = [each for each in reply if isinstance(each, int)] if isinstance(reply, list) else []
    return numbers if len(numbers) == len(fields) else [_FOREVER] * len(fields)


def groups(work: Work, lane: Lane, keys: Sequence[bytes], ttls: dict[bytes, int | None]) -> Steps:
    """Compare streams' last ids, consumer groups and pending entries."""
    commands = (("XINFO", "STREAM", KEY), ("XINFO", "GROUPS", KEY))
    payloads = lane.a.pack_each(keys, *commands), lane.b.pack_each(keys, *commands)
    answer = yield Ask(Mode.REPLIES, *payloads, 2 * len(keys), 0, "about")
    a, b = answer.a or [], answer.b or []
    for number, key in enumerate(keys):
        subject = Subject(work.db, key, "stream")
        if _refused(work, subject, a[2 * number : 2 * number + 2] + b[2 * number : 2 * number + 2]):
            continue
        last_a, last_b = _last_id(a[2 * number]), _last_id(b[2 * number])
        if last_a != last_b:
            work.found(subject, [Finding("stream_id", None, last_a, last_b)], ttls[key])
        groups_a, groups_b = _groups(a[2 * number + 1]), _groups(b[2 * number + 1])
        work.found(subject, mapping_difference(groups_a, groups_b, ("group", "group", "group")), ttls[key])
        for group in sorted(groups_a.keys() & groups_b.keys()):
            yield from _pending(work, lane, subject, group, ttls[key])


def _refused(work: Work, subject: Subject, replies: Sequence[Reply]) -> bool:
    """Whether one of these is an error, which then is a problem; a key that went away meanwhile is none."""
    errors = [reply.text for reply in replies if isinstance(reply, ErrorReply) and "no such key" not in reply.text]
    if errors:
        work.problem(subject, errors[0])
    return bool(errors)


def _named(reply: Reply) -> dict[bytes, Reply]:
    flat = reply if isinstance(reply, list) else []
    return {name: value for name, value in zip(flat[0::2], flat[1::2], strict=False) if isinstance(name, bytes)}


def _last_id(reply: Reply) -> bytes | None:
    last = _named(reply).get(b"last-generated-id")
    return last if isinstance(last, bytes) else None


def _groups(reply: Reply) -> dict[bytes, bytes]:
    """Each group's last delivered id and number of pending entries."""
    found: dict[bytes, bytes] = {}
    for entry in reply if isinstance(reply, list) else []:
        fields = _named(entry)
        name, last = fields.get(b"name"), fields.get(b"last-delivered-id")
        if isinstance(name, bytes) and isinstance(last, bytes):
            found[name] = last
    return found


_PENDING_AT_ONCE = 1_000


def _pending(work: Work, lane: Lane, subject: Subject, group: bytes, ttl_ms: int | None) -> Steps:
    start, found = b"-", list[Finding]()
    while True:
        words = ("XPENDING", subject.key, group, start, "+", _PENDING_AT_ONCE)
        answer = yield Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, _PENDING_AT_ONCE, "about")
        if _refused(work, subject, (answer.a or [])[:1] + (answer.b or [])[:1]):
            return
        reply_a, reply_b = _entries_pending(answer.a), _entries_pending(answer.b)
        full_a, full_b = len(reply_a) == _PENDING_AT_ONCE, len(reply_b) == _PENDING_AT_ONCE
        ends = [max(reply, key=stream_id) for reply, full in ((reply_a, full_a), (reply_b, full_b)) if full]
        end = min(ends, key=stream_id) if ends else None
        if end is not None:
            reply_a = {each: reply_a[each] for each in reply_a if stream_id(each) <= stream_id(end)}
            reply_b = {each: reply_b[each] for each in reply_b if stream_id(each) <= stream_id(end)}
        found += mapping_difference(reply_a, reply_b, ("pending", "pending", "pending"))
        if end is None:
            work.found(subject, found, ttl_ms)
            return
        start = next_id(end)


def _entries_pending(replies: list[Reply] | None) -> dict[bytes, bytes]:
    """Consumer and number of deliveries by id. How long ago the last one was differs always."""
    reply = replies[0] if replies else None
    found: dict[bytes, bytes] = {}
    for entry in reply if isinstance(reply, list) else []:
        if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[0], bytes):
            consumer = entry[1] if isinstance(entry[1], bytes) else b""
            found[entry[0]] = b"%b, %b deliveries" % (consumer, str(entry[3]).encode())
    return found


def stream_id(text: bytes) -> tuple[int, int]:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number or 0)


def next_id(text: bytes) -> bytes:
    """The smallest id after this one."""
    milliseconds, number = stream_id(text)
    return b"%d-%d" % (milliseconds, number + 1) if number < (1 << 64) - 1 else b"%d-0" % (milliseconds + 1)
