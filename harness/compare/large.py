"""Values that are too large to be read whole: piece by piece, each bounded, none kept. Tasks for the exchange.

Lists, strings and sorted sets are walked by index, here; hashes and sets by name (`members`), streams by id
(`streams`). Pieces begin small and grow while what comes back stays light. What is done stands in the Large itself, so
that a stored state can go on in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.compare.detail import LOOK_AHEAD, list_difference, string_difference
from harness.compare.exchange import Answer, Ask, Lane, Mode, Steps
from harness.compare.frame import HEAD, Frame, first_bulks, frame_of, last_bulks, mark_of, moved
from harness.compare.members import hash_by_name, set_by_name, sorted_set_by_name
from harness.compare.model import Finding
from harness.compare.streams import stream
from harness.compare.values import UnreadableError, Words, elements, text
from harness.compare.work import WINDOW_BYTES, Large, Work
from harness.endpoint import digest_script
from harness.resp.encode import KEY, bulk
from harness.resp.replies import ErrorReply, Reply

FIRST_PIECE = 8  # elements
_MOST = 20_000  # elements in a piece
_GROWTH = 8
_AT_MOST_BYTES = 8 * WINDOW_BYTES  # in a piece, by what elements weigh on average
_TRIES = 3  # to see a piece the same on both sides, where no difference stays
_FEW = 512  # elements in a piece of which each is looked at as it arrives, since they may be long
_FINEST = 64  # elements below which a digest is not worth its round trip
_COUNT = {"LRANGE": "LLEN", "ZRANGE": "ZCARD"}
_BULKS = {"LRANGE": 1, "ZRANGE": 2}  # strings for one element

T = TypeVar("T")
Place = tuple[str, int, int]  # command, first and last index


@dataclass
class _Piece:
    """How many elements (bytes, for a string) are asked for at a time. first, last: marks of its first and last element
    (see `frame`), "" where they can't be told.
    """

    size: int
    most: int
    first: str = ""
    last: str = ""

    def learn(self, asked: int, size: int) -> None:
        fits = WINDOW_BYTES * max(asked, 1) // max(size, 1)
        self.size = max(1, min(self.most, fits, self.size * _GROWTH))

    def remember(self, answer: Answer, strings: int) -> None:
        """The marks. strings: of an element, 0 for what has none."""
        if strings:
            self.first = answer.first or mark_of(first_bulks(answer.head, strings))
            self.last = answer.last or mark_of(last_bulks(answer.tail, strings))


def large(work: Work, lane: Lane, item: Large) -> Steps:
    """Compare one large value."""
    try:
        yield from _WALKS[item.subject.kind](work, lane, item)
    except UnreadableError as error:
        work.problem(item.subject, str(error))


def _list(work: Work, lane: Lane, item: Large) -> Steps:
    def differing(first: int, last: int) -> Generator[Ask, Answer, bool]:
        finding = yield from _list_break(work, lane, item, first, last)
        work.found(item.subject, finding, item.expires_at)
        return bool(finding)

    yield from _by_index(work, lane, item, "LRANGE", differing)


def _sorted_set(work: Work, lane: Lane, item: Large) -> Steps:
    def differing(first: int, last: int) -> Generator[Ask, Answer, bool]:
        yield from sorted_set_by_name(work, lane, item)
        return True

    if item.cursor:  # it differed before a kill
        yield from sorted_set_by_name(work, lane, item)
    else:
        yield from _by_index(work, lane, item, "ZRANGE", differing)


def _by_index(
    work: Work, lane: Lane, item: Large, command: str, differing: Callable[[int, int], Generator[Ask, Answer, bool]]
) -> Steps:
    """Walk over a value whose elements can shift (see `frame`). differing: of a piece that is not the same as bytes,
    whether that ends the walk.
    """
    if not item.frames:
        item.frames = yield from _frames(lane, item, command)
        item.length_a, item.length_b = item.frames[0][0], item.frames[1][0]
    most = _AT_MOST_BYTES // max(1, item.weight)  # as far as is known before one is seen
    piece = _Piece(FIRST_PIECE, max(FIRST_PIECE, min(_MOST, most)))
    while item.position < max(item.length_a, item.length_b):
        yield from _walk_ahead(work, lane, item, command, piece)
        place = command, max(0, item.position - 1), item.position + piece.size - 1
        for _ in range(_TRIES):
            if same := (yield from _same(work, lane, item, place, piece)):
                break
            if (yield from differing(*place[1:])):
                return
            if same := (yield from _same_parsed(work, lane, item, place, piece)):
                break
        if not same or not _joins(item, piece):
            work.moving(item.subject, item.expires_at)
            return
        item.position, item.joint = place[2] + 1, piece.last
    after = yield from _frames(lane, item, command)
    if moved(item.frames, after):
        work.moving(item.subject, item.expires_at)


def _joins(item: Large, piece: _Piece) -> bool:
    """Whether a piece begins with what the one before ended with."""
    return not item.position or bool(item.joint and item.joint == piece.first)


def _walk_ahead(work: Work, lane: Lane, item: Large, command: str, piece: _Piece) -> Steps:
    """Several pieces in one go, as long as all of them are there, the same, and join. What comes after is left."""
    left = min(item.length_a, item.length_b)
    while not work.strict and not work.digest and piece.size > _FEW:
        starts = range(item.position, left - piece.size, piece.size)[: work.ahead]
        if len(starts) < 2:
            return
        asks = [_ask(lane, item, (command, max(0, at - 1), at + piece.size - 1)) for at in starts]
        answer = yield replace(asks[0], more=tuple(asks[1:]))
        size = piece.size
        for at, each in zip(starts, (answer, *answer.more), strict=True):
            piece.learn(size + 1, each.size)
            piece.remember(each, _BULKS[command])
            if not each.same or not _joins(item, piece):
                return
            item.position, item.joint = at + size, piece.last


def _ask(lane: Lane, item: Large, place: Place, ends: int = 0) -> Ask:
    """For one piece, to be compared as bytes."""
    command, first, last = place
    words: Words = (command, KEY, first, last, *(("WITHSCORES",) if command == "ZRANGE" else ()))
    elements_asked = last - first + 1 if command != "GETRANGE" else (last - first + 1) // 64
    return Ask(Mode.SAME, *lane.pack_each([item.subject.key], words), 1, elements_asked, item.subject.kind, ends=ends)


def _same_parsed(work: Work, lane: Lane, item: Large, place: Place, piece: _Piece) -> Generator[Ask, Answer, bool]:
    """Whether this piece of a list, which was not the same as bytes, is the same by its elements; by digests, not."""
    command, first, last = place
    if work.digest and last - first + 1 >= _FINEST:
        return False
    a, b = yield from _both(lane, item, (command, KEY, first, last), elements)
    piece.first, piece.last = (mark_of(bulk(a[at])) for at in (0, -1)) if a else ("", "")
    return a == b


def _frames(lane: Lane, item: Large, command: str) -> Generator[Ask, Answer, list[Frame]]:
    """Length and beginning on A and on B. The beginning is compared as it comes, and a glimpse of it kept."""
    a, b = yield from _lengths(lane, item, _COUNT[command], "frame")
    words = (command, KEY, 0, HEAD - 1 if HEAD * item.weight <= WINDOW_BYTES else 0)
    asked = lane.pack_each([item.subject.key], words)
    answer = yield Ask(Mode.SAME, *asked, 1, HEAD, item.subject.kind, ends=_BULKS[command])
    head = answer.head + answer.first.encode() if answer.same else b""
    return [frame_of(a, head), frame_of(b, head)]


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
        if (yield from _same(work, lane, item, (command, first, middle), piece)):
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
        if not (yield from _same(work, lane, item, ("GETRANGE", first, last), piece)):
            first, end = yield from _narrowed(work, lane, item, "GETRANGE", first, last)
            a, b = yield from _both(lane, item, ("GETRANGE", KEY, first, end), text)
            if found := string_difference(a, b, first):
                work.found(item.subject, found, item.expires_at)
                return
        item.position = last + 1


def _both(lane: Lane, item: Large, words: Words, plain: Callable[[Reply], T]) -> Generator[Ask, Answer, tuple[T, T]]:
    """The replies of both sides to one command, as plain values."""
    payloads = lane.pack_each([item.subject.key], words)
    answer = yield Ask(Mode.REPLIES, *payloads, 1, LOOK_AHEAD, item.subject.kind)
    return plain((answer.a or [None])[0]), plain((answer.b or [None])[0])


def _lengths(lane: Lane, item: Large, command: str, kind: str = "length") -> Generator[Ask, Answer, tuple[int, int]]:
    answer = yield Ask(Mode.REPLIES, *lane.pack_each([item.subject.key], (command, KEY)), 1, 0, kind)
    a, b = (answer.a or [0])[0], (answer.b or [0])[0]
    return (a if isinstance(a, int) else 0), (b if isinstance(b, int) else 0)


def _same(work: Work, lane: Lane, item: Large, place: Place, piece: _Piece) -> Generator[Ask, Answer, bool]:
    """Whether this piece is the same on both sides; by digests where both sides compute them, to save the link."""
    command, first, last = place
    asked = last - first + 1
    if not work.digest or asked < _FINEST:
        strings = _BULKS.get(command, 0)
        answer = yield _ask(lane, item, place, strings if asked <= _FEW else 0)
        piece.learn(asked, answer.size)
        piece.remember(answer, strings)
        return answer.same
    call = (work.digest, _SCRIPT[command], 1, item.subject.key, first, last)
    elements_asked = asked if command != "GETRANGE" else asked // 64
    answer = yield Ask(Mode.REPLIES, lane.a.pack(*call), lane.b.pack(*call), 1, elements_asked, "digest")
    a, b = (answer.a or [None])[0], (answer.b or [None])[0]
    if isinstance(a, bytes) and isinstance(b, bytes):
        piece.size = min(piece.most, piece.size * _GROWTH)
        _, piece.first, piece.last = [*(each.decode("ascii", "replace") for each in a.split(b" ")), "", ""][:3]
        return a == b
    refusal = next((str(each) for each in (a, b) if isinstance(each, ErrorReply)), "no digest")
    work.without_digest(refusal)
    return (yield from _same(work, lane, item, place, piece))


_SCRIPT = {"LRANGE": digest_script.LIST, "ZRANGE": digest_script.SORTED_SET, "GETRANGE": digest_script.STRING}
_WALKS: dict[str, Callable[[Work, Lane, Large], Steps]] = {
    "hash": hash_by_name,
    "list": _list,
    "set": set_by_name,
    "stream": stream,
    "string": _string,
    "zset": _sorted_set,
}
