"""Values that are too large to be read whole: piece by piece, each bounded, none kept. Tasks for the exchange.

Lists, strings and sorted sets are walked by index. Hashes and sets have no order that two servers share, so each side's
members are looked up on the other. Pieces begin small and grow while what comes back stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.compare.detail import (
    LOOK_AHEAD,
    hash_difference,
    list_difference,
    set_difference,
    sorted_set_difference,
    stream_difference,
    string_difference,
)
from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.model import Finding
from harness.compare.values import UnreadableError, Words, elements, entries, text
from harness.compare.work import WINDOW_BYTES, Large, Work, field_ttls, groups, next_id, stream_id
from harness.endpoint import digest_script
from harness.resp.encode import KEY
from harness.resp.replies import ErrorReply, Reply

FIRST_PIECE = 8  # elements
_MOST = 20_000  # elements in a piece
_GROWTH = 8
_SCAN = 500  # members a page of HSCAN, SSCAN, ZSCAN
_ENTRIES = 500
_FINEST = 64  # elements below which a digest is not worth its round trip

Same = Generator[Ask, Answer, bool]
T = TypeVar("T")


@dataclass
class _Piece:
    """How many elements (bytes, for a string) are asked for at a time."""

    size: int
    most: int

    def learn(self, asked: int, size: int) -> None:
        fits = WINDOW_BYTES * max(asked, 1) // max(size, 1)
        self.size = max(1, min(self.most, fits, self.size * _GROWTH))


def large(work: Work, lane: Lane, item: Large) -> Steps:
    """Compare one large value."""
    try:
        yield from _WALKS[item.subject.kind](work, lane, item)
    except UnreadableError as error:
        work.problem(item.subject, str(error))


def _list(work: Work, lane: Lane, item: Large) -> Steps:
    piece = _Piece(FIRST_PIECE, _MOST)
    while item.position < max(item.length_a, item.length_b):
        first, last = item.position, item.position + piece.size - 1
        same = yield from _same(work, lane, item, "LRANGE", first, last, piece)
        if not same and (finding := (yield from _list_break(work, lane, item, first, last))):
            work.found(item.subject, finding, item.ttl_ms)
            return
        item.position = last + 1


def _list_break(work: Work, lane: Lane, item: Large, first: int, last: int) -> Generator[Ask, Answer, list[Finding]]:
    """The first difference in [first, last], and of what kind it is by what comes after it."""
    first, last = yield from _narrowed(work, lane, item, "LRANGE", first, last)
    at = None
    ahead = max(2, min(LOOK_AHEAD, 4 * WINDOW_BYTES // max(1, item.weight)))
    for start in range(first, last + 1, ahead):
        a, b = yield from _both(lane, item, ("LRANGE", KEY, start, min(start + ahead - 1, last)), elements)
        if found := list_difference(a, b, start, ends=True):
            at = found[0].at
            break
    if not isinstance(at, int):
        return []
    length_a, length_b = yield from _lengths(lane, item, "LLEN")
    a, b = yield from _both(lane, item, ("LRANGE", KEY, at, at + ahead - 1), elements)
    found = list_difference(a, b, at, ends=max(length_a, length_b) <= at + ahead)
    return [_with_tail(each, length_a, length_b) for each in found]


def _narrowed(
    work: Work, lane: Lane, item: Large, command: str, first: int, last: int
) -> Generator[Ask, Answer, tuple[int, int]]:
    """The part of a piece that holds its first difference: halved by digests where there are any."""
    piece = _Piece(last - first + 1, last - first + 1)
    while work.digest and last - first + 1 > 2 * _FINEST:
        middle = (first + last) // 2
        if (yield from _same(work, lane, item, command, first, middle, piece)):
            first = middle + 1
        else:
            last = middle
    return first, last


def _with_tail(finding: Finding, length_a: int, length_b: int) -> Finding:
    """A tail is counted by the lengths, since it may be longer than what was read."""
    if finding.kind not in ("tail_missing", "tail_extra"):
        return finding
    count = max(finding.count, abs(length_a - length_b))
    return Finding(finding.kind, finding.at, finding.expected, finding.found, count)


def _string(work: Work, lane: Lane, item: Large) -> Steps:
    piece = _Piece(WINDOW_BYTES, WINDOW_BYTES)
    while item.position < max(item.length_a, item.length_b):
        first, last = item.position, item.position + piece.size - 1
        if not (yield from _same(work, lane, item, "GETRANGE", first, last, piece)):
            first, end = yield from _narrowed(work, lane, item, "GETRANGE", first, last)
            a, b = yield from _both(lane, item, ("GETRANGE", KEY, first, end), text)
            if found := string_difference(a, b, first):
                work.found(item.subject, found, item.ttl_ms)
                return
        item.position = last + 1


def _sorted_set(work: Work, lane: Lane, item: Large) -> Steps:
    piece = _Piece(FIRST_PIECE, _MOST)
    while item.position < max(item.length_a, item.length_b):
        first, last = item.position, item.position + piece.size - 1
        if not (yield from _same(work, lane, item, "ZRANGE", first, last, piece)):
            yield from _sorted_set_members(work, lane, item)
            return
        item.position = last + 1


def _sorted_set_members(work: Work, lane: Lane, item: Large) -> Steps:
    """One difference moves every rank after it, so members are looked up by name, A's on B and B's on A."""
    found: list[Finding] = []

    def look_up(names: Sequence[bytes]) -> Steps:
        commands = [("ZSCORE", item.subject.key, name) for name in names]
        a, b = (b"".join([side.pack(*words) for words in commands]) for side in (lane.a, lane.b))
        answer = yield Ask(Mode.REPLIES, a, b, len(names), len(names), "scores")
        found.extend(sorted_set_difference(_there(names, answer.a), _there(names, answer.b)))

    yield from _pages(lane, item, "ZSCAN", True, lambda flat: look_up(flat[0::2]))
    already = {each.at for each in found}
    before = len(found)
    yield from _pages(lane, item, "ZSCAN", False, lambda flat: look_up(flat[0::2]))
    found[before:] = [each for each in found[before:] if each.kind == "member_extra" and each.at not in already]
    work.found(item.subject, found, item.ttl_ms)


def _there(names: Sequence[bytes], replies: Sequence[Reply] | None) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for name, reply in zip(names, replies or [], strict=True):
        if isinstance(reply, ErrorReply):
            raise UnreadableError(reply.text)
        if isinstance(reply, bytes):
            found.append((name, reply))
    return found


def _hash(work: Work, lane: Lane, item: Large) -> Steps:
    found: list[Finding] = []

    def of_a(flat: Sequence[bytes]) -> Steps:
        fields, values = flat[0::2], flat[1::2]
        reply = yield from _one(lane, item, ("HMGET", item.subject.key, *fields), on_a=False)
        if reply != values or work.strict:
            yield from compare(fields)
        if any(work.field_ttls):
            yield from field_ttls(work, lane, item.subject, fields, item.ttl_ms)

    def of_b(flat: Sequence[bytes]) -> Steps:
        fields = flat[0::2]
        reply = yield from _one(lane, item, ("HMGET", item.subject.key, *fields), on_a=True)
        absent = [field for field, value in zip(fields, elements_or_nil(reply), strict=True) if value is None]
        if absent:
            yield from compare(absent)

    def compare(fields: Sequence[bytes]) -> Steps:
        words: tuple[str | bytes, ...] = ("HMGET", item.subject.key, *fields)
        answer = yield Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, len(fields), "fields")
        a, b = (elements_or_nil((replies or [None])[0]) for replies in (answer.a, answer.b))
        there = [
            [(field, value) for field, value in zip(fields, side, strict=True) if value is not None] for side in (a, b)
        ]
        found.extend(hash_difference(there[0], there[1]))

    yield from _members_both_ways(work, lane, item, ("HSCAN", "HLEN"), of_a, of_b, lambda: found)
    work.found(item.subject, found, item.ttl_ms)


def elements_or_nil(reply: Reply) -> list[bytes | None]:
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    return [each if isinstance(each, bytes) else None for each in reply] if isinstance(reply, list) else []


def _set(work: Work, lane: Lane, item: Large) -> Steps:
    found: list[Finding] = []

    def compare(members: Sequence[bytes]) -> Steps:
        commands = [("SISMEMBER", item.subject.key, member) for member in members]
        a, b = (b"".join([side.pack(*words) for words in commands]) for side in (lane.a, lane.b))
        answer = yield Ask(Mode.REPLIES, a, b, len(members), len(members), "members")
        found.extend(set_difference(_in(members, answer.a), _in(members, answer.b)))

    def look_up(on_a: bool) -> Callable[[Sequence[bytes]], Steps]:
        def steps(members: Sequence[bytes]) -> Steps:
            absent: Sequence[bytes] = members
            if not work.strict:
                absent = yield from _absent(work, lane, item, members, on_a)
            if absent:
                yield from compare(absent)

        return steps

    yield from _members_both_ways(work, lane, item, ("SSCAN", "SCARD"), look_up(False), look_up(True), lambda: found)
    work.found(item.subject, found, item.ttl_ms)


def _in(members: Sequence[bytes], replies: Sequence[Reply] | None) -> list[bytes]:
    return [member for member, reply in zip(members, replies or [], strict=True) if reply == 1]


def _absent(
    work: Work, lane: Lane, item: Large, members: Sequence[bytes], on_a: bool
) -> Generator[Ask, Answer, list[bytes]]:
    """Those that one side does not have."""
    if work.many_members:
        reply = yield from _one(lane, item, ("SMISMEMBER", item.subject.key, *members), on_a=on_a)
        flags: Sequence[Reply] = reply if isinstance(reply, list) else []
    else:
        side = lane.a if on_a else lane.b
        payload = b"".join([side.pack("SISMEMBER", item.subject.key, member) for member in members])
        answer = yield Ask(Mode.REPLIES, payload if on_a else b"", b"" if on_a else payload, len(members), len(members))
        flags = (answer.a if on_a else answer.b) or []
    return [member for member, flag in zip(members, flags, strict=True) if flag != 1]


def _stream(work: Work, lane: Lane, item: Large) -> Steps:
    start, found = b"-", list[Finding]()
    count = max(1, min(_ENTRIES, WINDOW_BYTES // max(1, item.weight)))
    while True:
        words = ("XRANGE", KEY, start, "+", "COUNT", count)
        a, b = yield from _both(lane, item, words, entries)
        full = [max(each, key=stream_id) for each in (a, b) if len(each) == count]
        end = min(full, key=stream_id) if full else None
        if end is not None:
            a, b = ({each: side[each] for each in side if stream_id(each) <= stream_id(end)} for side in (a, b))
        found += stream_difference(a, b)
        if end is None:
            break
        start = next_id(end)
    work.found(item.subject, found, item.ttl_ms)
    yield from groups(work, lane, [item.subject.key], {item.subject.key: item.ttl_ms})


def _members_both_ways(
    work: Work,
    lane: Lane,
    item: Large,
    commands: tuple[str, str],
    of_a: Callable[[Sequence[bytes]], Steps],
    of_b: Callable[[Sequence[bytes]], Steps],
    lacking: Callable[[], object],
) -> Steps:
    """A's members on B; then B's on A, unless B lacks none and equal lengths say that it has none more."""
    scan, length = commands
    yield from _pages(lane, item, scan, True, of_a)
    length_a, length_b = yield from _lengths(lane, item, length)
    if length_a != length_b or (length_a, length_b) != (item.length_a, item.length_b) or lacking() or work.strict:
        yield from _pages(lane, item, scan, False, of_b)


def _pages(lane: Lane, item: Large, command: str, on_a: bool, each: Callable[[Sequence[bytes]], Steps]) -> Steps:
    cursor: bytes = b"0"
    count = max(1, min(_SCAN, WINDOW_BYTES // max(1, item.weight)))
    while True:
        reply = yield from _one(lane, item, (command, item.subject.key, cursor, "COUNT", count), on_a=on_a)
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
            raise UnreadableError(f"{command} was answered with {str(reply)[:100]}")
        flat = elements(reply[1])
        if flat:
            yield from each(flat)
        cursor = reply[0]
        if cursor == b"0":
            return


def _one(lane: Lane, item: Large, words: Sequence[bytes | str | int], *, on_a: bool) -> Generator[Ask, Answer, Reply]:
    """The reply of one side to one command."""
    payload = (lane.a if on_a else lane.b).pack(*words)
    answer = yield Ask(Mode.REPLIES, payload if on_a else b"", b"" if on_a else payload, 1, _SCAN)
    reply = ((answer.a if on_a else answer.b) or [None])[0]
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    return reply


def _both(lane: Lane, item: Large, words: Words, plain: Callable[[Reply], T]) -> Generator[Ask, Answer, tuple[T, T]]:
    """The replies of both sides to one command, as plain values."""
    keys = [item.subject.key]
    payloads = lane.a.pack_each(keys, words), lane.b.pack_each(keys, words)
    answer = yield Ask(Mode.REPLIES, *payloads, 1, LOOK_AHEAD, item.subject.kind)
    return plain((answer.a or [None])[0]), plain((answer.b or [None])[0])


def _lengths(lane: Lane, item: Large, command: str) -> Generator[Ask, Answer, tuple[int, int]]:
    words = (command, item.subject.key)
    answer = yield Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, 0, "length")
    a, b = (answer.a or [0])[0], (answer.b or [0])[0]
    return (a if isinstance(a, int) else 0), (b if isinstance(b, int) else 0)


def _same(work: Work, lane: Lane, item: Large, command: str, first: int, last: int, piece: _Piece) -> Same:
    """Whether this piece is the same on both sides; by digests where both sides compute them, to save the link."""
    asked = last - first + 1
    words: Words = (command, KEY, first, last, *(("WITHSCORES",) if command == "ZRANGE" else ()))
    elements_asked = asked if command != "GETRANGE" else asked // 64
    if not work.digest or asked < _FINEST:
        keys = [item.subject.key]
        payloads = lane.a.pack_each(keys, words), lane.b.pack_each(keys, words)
        answer = yield Ask(Mode.SAME, *payloads, 1, elements_asked, item.subject.kind)
        piece.learn(asked, answer.size)
        return answer.same
    call = (work.digest, _SCRIPT[command], 1, item.subject.key, first, last)
    answer = yield Ask(Mode.REPLIES, lane.a.pack(*call), lane.b.pack(*call), 1, elements_asked, "digest")
    a, b = (answer.a or [None])[0], (answer.b or [None])[0]
    if isinstance(a, bytes) and isinstance(b, bytes):
        piece.size = min(piece.most, piece.size * _GROWTH)
        return a == b
    work.digest = ""  # a side does not run scripts after all: plain reads from here on
    return (yield from _same(work, lane, item, command, first, last, piece))


_SCRIPT = {"LRANGE": digest_script.LIST, "ZRANGE": digest_script.SORTED_SET, "GETRANGE": digest_script.STRING}
_WALKS: dict[str, Callable[[Work, Lane, Large], Steps]] = {
    "hash": _hash,
    "list": _list,
    "set": _set,
    "stream": _stream,
    "string": _string,
    "zset": _sorted_set,
}
