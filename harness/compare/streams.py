"""Streams: their entries piece by piece, their last ids, and their groups with consumers and pending entries."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from harness.compare.detail import mapping_difference, merged, stream_difference
from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.field_ttls import refused_here
from harness.compare.model import Finding, Subject
from harness.compare.values import entries
from harness.compare.work import WINDOW_BYTES, Large, Work
from harness.resp.encode import KEY
from harness.resp.replies import Reply

_ENTRIES = 500
_FIRST_ENTRIES = 16  # of which the weight is not known yet
_PENDING_AT_ONCE = 1_000
Groups = dict[bytes, tuple[bytes, int | None]]  # by name: the last delivered id, and how many entries were read


def stream(work: Work, lane: Lane, item: Large) -> Steps:
    """Compare a stream that is too large to be read whole. An id stays where it is, so nothing shifts."""
    count = _FIRST_ENTRIES
    while item.cursor != "end":
        words = ("XRANGE", KEY, item.cursor or "-", "+", "COUNT", count)
        answer = yield Ask(Mode.REPLIES, *lane.pack_each([item.subject.key], words), 1, count, "stream")
        a, b = entries((answer.a or [None])[0]), entries((answer.b or [None])[0])
        full = [max(each, key=stream_id) for each in (a, b) if len(each) == count]
        end = min(full, key=stream_id) if full else None
        if end is not None:
            a, b = _up_to(a, end), _up_to(b, end)
        item.findings = merged([*item.findings, *stream_difference(a, b)])
        item.cursor = next_id(end).decode() if end is not None else "end"
        weight = max(1, sum(map(len, a.values())) // max(1, len(a)))
        count = max(1, min(_ENTRIES, WINDOW_BYTES // weight, 4 * count))
    work.found(item.subject, item.findings, item.expires_at)
    yield from groups(work, lane, [item.subject.key], {item.subject.key: item.expires_at})


def _up_to(ids: Mapping[bytes, bytes], end: bytes) -> dict[bytes, bytes]:
    return {each: value for each, value in ids.items() if stream_id(each) <= stream_id(end)}


def groups(work: Work, lane: Lane, keys: Sequence[bytes], expiries: Mapping[bytes, float | None]) -> Steps:
    """Compare streams' last ids, consumer groups, consumers and pending entries. expiries: by key, of those that do."""
    payloads = lane.pack_each(keys, ("XINFO", "STREAM", KEY), ("XINFO", "GROUPS", KEY))
    answer = yield Ask(Mode.REPLIES, *payloads, 2 * len(keys), 0, "about")
    a, b = answer.a or [], answer.b or []
    for number, key in enumerate(keys):
        subject, expires_at = Subject(work.db, key, "stream"), expiries.get(key)
        streams, listed = (a[number], b[number]), (a[len(keys) + number], b[len(keys) + number])
        if refused_here(work, subject, [*streams, *listed]):
            continue
        last_a, last_b = map(_last_id, streams)
        if last_a != last_b:
            work.found(subject, [Finding("stream_id", None, last_a, last_b)], expires_at)
        groups_a, groups_b = map(_groups, listed)
        work.found(subject, group_difference(groups_a, groups_b), expires_at)
        for group in sorted(groups_a.keys() & groups_b.keys()):
            yield from _consumers(work, lane, subject, group, expires_at)
            yield from _pending(work, lane, subject, group, expires_at)


def group_difference(a: Groups, b: Groups) -> list[Finding]:
    """How many entries a group has read counts only where both sides know it."""
    known = {name for name in a.keys() & b.keys() if a[name][1] is not None and b[name][1] is not None}

    def texts(groups: Groups) -> dict[bytes, bytes]:
        return {
            name: last + (b", %d read" % read if name in known and read is not None else b"")
            for name, (last, read) in groups.items()
        }

    return mapping_difference(texts(a), texts(b), ("group", "group", "group"))


def _named(reply: Reply) -> dict[bytes, Reply]:
    flat = reply if isinstance(reply, list) else []
    return {name: value for name, value in zip(flat[0::2], flat[1::2], strict=False) if isinstance(name, bytes)}


def _last_id(reply: Reply) -> bytes | None:
    last = _named(reply).get(b"last-generated-id")
    return last if isinstance(last, bytes) else None


def _groups(reply: Reply) -> Groups:
    found: Groups = {}
    for fields in map(_named, reply if isinstance(reply, list) else []):
        name, last, read = fields.get(b"name"), fields.get(b"last-delivered-id"), fields.get(b"entries-read")
        if isinstance(name, bytes) and isinstance(last, bytes):
            found[name] = last, read if isinstance(read, int) else None
    return found


def _consumers(work: Work, lane: Lane, subject: Subject, group: bytes, expires_at: float | None) -> Steps:
    """Their names; what each has pending is compared entry by entry, and when it was last seen differs always."""
    answer = yield _of_both(lane, ("XINFO", "CONSUMERS", subject.key, group), 0)
    if refused_here(work, subject, (answer.a or [])[:1] + (answer.b or [])[:1]):
        return
    a, b = (_names((replies or [None])[0]) for replies in (answer.a, answer.b))
    work.found(subject, mapping_difference(a, b, ("consumer", "consumer", "consumer")), expires_at)


def _of_both(lane: Lane, words: Sequence[str | bytes | int], elements: int) -> Ask:
    return Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, elements, "about")


def _names(reply: Reply) -> dict[bytes, bytes]:
    """Each consumer's name, twice, so that a difference shows it."""
    names = [_named(each).get(b"name") for each in (reply if isinstance(reply, list) else [])]
    return {name: name for name in names if isinstance(name, bytes)}


def _pending(work: Work, lane: Lane, subject: Subject, group: bytes, expires_at: float | None) -> Steps:
    start, found = b"-", list[Finding]()
    while True:
        end = yield from _pending_page(work, lane, subject, (group, start), found)
        if end is None:
            work.found(subject, found, expires_at)
            return
        start = next_id(end)


def _pending_page(
    work: Work, lane: Lane, subject: Subject, place: tuple[bytes, bytes], found: list[Finding]
) -> Generator[Ask, Answer, bytes | None]:
    """place: the group and the first id. Returns the last id of the page, None where there are no more."""
    answer = yield _of_both(lane, ("XPENDING", subject.key, *place, "+", _PENDING_AT_ONCE), _PENDING_AT_ONCE)
    if refused_here(work, subject, (answer.a or [])[:1] + (answer.b or [])[:1]):
        return None
    sides = _entries_pending(answer.a), _entries_pending(answer.b)
    ends = [max(side, key=stream_id) for side in sides if len(side) == _PENDING_AT_ONCE]
    end = min(ends, key=stream_id) if ends else None
    a, b = sides if end is None else (_up_to(sides[0], end), _up_to(sides[1], end))
    found += mapping_difference(a, b, ("pending", "pending", "pending"))
    return end


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
