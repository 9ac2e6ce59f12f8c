"""Large hashes, sets and sorted sets by name: no order is shared by two servers, so A's members are looked up on B,
then B's on A. Tasks for the exchange; how far they are stands in the Large.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from harness.compare.detail import hash_difference, merged, set_difference, sorted_set_difference
from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.field_ttls import field_ttls
from harness.compare.model import Finding
from harness.compare.values import UnreadableError, elements
from harness.compare.work import WINDOW_BYTES, Large, Work
from harness.resp.replies import ErrorReply, Reply

_SCAN = 500  # members a page of HSCAN, SSCAN, ZSCAN
_FIRST_SCAN = 16  # while nobody knows what they weigh

Findings = Generator[Ask, Answer, list[Finding]]
OfPage = Callable[[Sequence[bytes]], Findings]


def hash_by_name(work: Work, lane: Lane, item: Large) -> Steps:
    """Fields, their values, and when they expire."""

    def of_a(flat: Sequence[bytes]) -> Findings:
        fields, values, found = flat[0::2], flat[1::2], list[Finding]()
        reply = yield from _one(lane, ("HMGET", item.subject.key, *fields), on_a=False)
        if reply != values or work.strict:
            found += yield from compare(fields)
        if any(work.field_ttls):
            found += yield from field_ttls(work, lane, item.subject, fields)
        return found

    def of_b(flat: Sequence[bytes]) -> Findings:
        fields = flat[0::2]
        reply = yield from _one(lane, ("HMGET", item.subject.key, *fields), on_a=True)
        absent = [field for field, value in zip(fields, _or_nil(reply), strict=True) if value is None]
        return (yield from compare(absent)) if absent else []

    def compare(fields: Sequence[bytes]) -> Findings:
        words: tuple[str | bytes, ...] = ("HMGET", item.subject.key, *fields)
        answer = yield Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, len(fields), "fields")
        a, b = (_or_nil((replies or [None])[0]) for replies in (answer.a, answer.b))
        there = [
            [(field, value) for field, value in zip(fields, side, strict=True) if value is not None] for side in (a, b)
        ]
        return hash_difference(there[0], there[1])

    yield from _both_ways(work, lane, item, ("HSCAN", "HLEN"), (of_a, of_b))


def _or_nil(reply: Reply) -> list[bytes | None]:
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    return [each if isinstance(each, bytes) else None for each in reply] if isinstance(reply, list) else []


def set_by_name(work: Work, lane: Lane, item: Large) -> Steps:
    """Members."""

    def compare(members: Sequence[bytes]) -> Findings:
        found: list[Finding] = []
        for some in _parts(work, members):
            commands = [("SISMEMBER", item.subject.key, member) for member in some]
            a, b = (b"".join([side.pack(*words) for words in commands]) for side in (lane.a, lane.b))
            answer = yield Ask(Mode.REPLIES, a, b, len(some), len(some), "members")
            found += set_difference(_in(some, answer.a), _in(some, answer.b))
        return found

    def look_up(on_a: bool) -> OfPage:
        def steps(members: Sequence[bytes]) -> Findings:
            absent: Sequence[bytes] = members
            if not work.strict:
                absent = yield from _absent(work, lane, item, members, on_a)
            return (yield from compare(absent)) if absent else []

        return steps

    yield from _both_ways(work, lane, item, ("SSCAN", "SCARD"), (look_up(False), look_up(True)))


def _in(members: Sequence[bytes], replies: Sequence[Reply] | None) -> list[bytes]:
    for reply in replies or []:
        if isinstance(reply, ErrorReply):
            raise UnreadableError(reply.text)
    return [member for member, reply in zip(members, replies or [], strict=True) if reply == 1]


def _absent(
    work: Work, lane: Lane, item: Large, members: Sequence[bytes], on_a: bool
) -> Generator[Ask, Answer, list[bytes]]:
    """Those that one side does not have."""
    if work.many_members:
        reply = yield from _one(lane, ("SMISMEMBER", item.subject.key, *members), on_a=on_a)
        flags: Sequence[Reply] = reply if isinstance(reply, list) else []
        return [member for member, flag in zip(members, flags, strict=True) if flag != 1]
    side, absent = (lane.a if on_a else lane.b), list[bytes]()
    for some in _parts(work, members):
        payload = b"".join([side.pack("SISMEMBER", item.subject.key, member) for member in some])
        answer = yield Ask(Mode.REPLIES, payload if on_a else b"", b"" if on_a else payload, len(some), len(some))
        replies = (answer.a if on_a else answer.b) or []
        absent += [member for member, flag in zip(some, replies, strict=True) if flag != 1]
    return absent


def sorted_set_by_name(work: Work, lane: Lane, item: Large) -> Steps:
    """Members and scores: where one differs, every rank after it does."""

    def look_up(flat: Sequence[bytes]) -> Findings:
        seen: list[Finding] = []
        for names in _parts(work, flat[0::2]):
            commands = [("ZSCORE", item.subject.key, name) for name in names]
            a, b = (b"".join([side.pack(*words) for words in commands]) for side in (lane.a, lane.b))
            answer = yield Ask(Mode.REPLIES, a, b, len(names), len(names), "scores")
            found = sorted_set_difference(_there(names, answer.a), _there(names, answer.b))
            seen += [each for each in found if not item.on_b or each.kind == "member_extra"]
        return seen

    yield from _both_ways(work, lane, item, ("ZSCAN", "ZCARD"), (look_up, look_up))


def _there(names: Sequence[bytes], replies: Sequence[Reply] | None) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for name, reply in zip(names, replies or [], strict=True):
        if isinstance(reply, ErrorReply):
            raise UnreadableError(reply.text)
        if isinstance(reply, bytes):
            found.append((name, reply))
    return found


def _parts(work: Work, names: Sequence[bytes]) -> list[Sequence[bytes]]:
    """So many at a time as may be asked about by a command each."""
    return [names[start : start + work.at_once] for start in range(0, len(names), work.at_once)]


def _both_ways(work: Work, lane: Lane, item: Large, commands: tuple[str, str], of_page: tuple[OfPage, OfPage]) -> Steps:
    """A's members on B; then B's on A, unless B lacks none and equal lengths say that it has none more."""
    scan, length = commands
    if not item.on_b:
        yield from _pages(lane, item, scan, of_page[0])
        words = (length, item.subject.key)
        answer = yield Ask(Mode.REPLIES, lane.a.pack(*words), lane.b.pack(*words), 1, 0, "length")
        now = [replies[0] if replies else None for replies in (answer.a, answer.b)]
        settled = now == [item.length_a, item.length_b] and now[0] == now[1] and not item.findings
        item.on_b, item.cursor = True, "end" if settled and not work.strict else ""
    yield from _pages(lane, item, scan, of_page[1])
    work.found(item.subject, item.findings, item.expires_at)


def _pages(lane: Lane, item: Large, command: str, of_page: OfPage) -> Steps:
    """Every page of the side that it is at, from the item's cursor on, which moves together with what was found."""
    count = _FIRST_SCAN
    while item.cursor != "end":
        words = (command, item.subject.key, item.cursor or "0", "COUNT", count)
        reply = yield from _one(lane, words, on_a=not item.on_b)
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
            raise UnreadableError(f"{command} was answered with {str(reply)[:100]}")
        flat = elements(reply[1])
        if flat:
            found = yield from of_page(flat)
            item.findings = merged([*item.findings, *found])
            weight = max(item.weight, sum(map(len, flat)) // len(flat), 1)
            count = max(1, min(_SCAN, WINDOW_BYTES // weight, 4 * count))
        item.cursor = "end" if reply[0] == b"0" else reply[0].decode("ascii", "replace")


def _one(lane: Lane, words: Sequence[bytes | str | int], *, on_a: bool) -> Generator[Ask, Answer, Reply]:
    """The reply of one side to one command."""
    payload = (lane.a if on_a else lane.b).pack(*words)
    answer = yield Ask(Mode.REPLIES, payload if on_a else b"", b"" if on_a else payload, 1, _SCAN)
    reply = ((answer.a if on_a else answer.b) or [None])[0]
    if isinstance(reply, ErrorReply):
        raise UnreadableError(reply.text)
    return reply
