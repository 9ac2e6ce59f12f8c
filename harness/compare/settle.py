"""A second look at keys that differed, while others may be writing: A is read, then B, then A again.

It drives the same tasks as the first look, one ask at a time. Where A's two reads agree, what B showed between them can
be held against it. Where they do not, B is read until it agrees with A, or until patience ends and the key is moving.
A list that only grows needs less: B must hold, in order, what A held before, and nothing that A does not hold after.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from harness.compare.exchange import RARE, Answer, Ask, Lane, Mode, Steps, bytes_until
from harness.compare.pace import Pace
from harness.compare.values import UnreadableError, elements, pairs
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Missing, Reply, ReplyParser
from harness.waiting import WaitedTooLongError, wait_until

_MARK = RARE + os.urandom(8).hex().encode()  # ends each answer
PATIENCE_S = 1.0  # for one ask whose answer moves
_POLL_S = 0.05  # how long B may take to show what A held, each time


@dataclass
class Settler:
    """Runs one task after another. moved: whether, in the last task, A changed in a way that could not be settled."""

    pace: Pace
    lane: Lane
    patience_s: float = PATIENCE_S
    moved: bool = False

    def run(self, steps: Steps) -> None:
        self.moved = False
        try:
            ask = next(steps)
            while True:
                ask = steps.send(self._answer(ask))
        except StopIteration:
            return

    def _answer(self, ask: Ask) -> Answer:
        began = time.monotonic()
        self.pace.take(3 * (ask.count + 1), ask.elements)
        if ask.mode is Mode.LINES:
            return self._lines(ask)
        if not (ask.a and ask.b):
            return self._one_sided(ask, began)
        before, b, after = self._read(ask, on_a=True), self._read(ask, on_a=False), self._read(ask, on_a=True)
        same = _SAME.get(ask.kind, _equal)
        if not all(map(same, before, after)):
            before, b = self._settled(ask, before, b, after)
        answered = not any(isinstance(reply, ErrorReply) for reply in (*before, *b))  # two refusals agree on nothing
        agree = answered and len(before) == len(b) and all(map(same, before, b)) and not _cut(ask, before)
        head, tail = _ends(before) if ask.mode is Mode.SAME and len(before) == 1 else (b"", b"")
        took_s = time.monotonic() - began
        return Answer(same=agree, size=_size(before), head=head, tail=tail, a=before, b=b, took_s=took_s)

    def _settled(
        self, ask: Ask, before: list[Reply], b: list[Reply], after: list[Reply]
    ) -> tuple[list[Reply], list[Reply]]:
        """What is to be compared of an answer that changes on A: as many tries as patience allows."""
        same, end = _SAME.get(ask.kind, _equal), time.monotonic() + self.patience_s
        while True:
            if all(map(same, before, after)):
                return before, b
            if ask.kind == "list" and (grown := _grown(before, b, after)) is not None:
                return grown
            if ask.kind == "length":
                return _between(before, b, after)
            if time.monotonic() > end:
                self.moved = True
                return before, b
            before, b, after = self._again(ask)

    def _again(self, ask: Ask) -> tuple[list[Reply], list[Reply], list[Reply]]:
        same = _SAME.get(ask.kind, _equal)
        self.pace.take(3 * (ask.count + 1), ask.elements)
        before, b = self._read(ask, on_a=True), list[Reply]()

        def agrees() -> bool:
            nonlocal b
            b = self._read(ask, on_a=False)
            self.pace.take(ask.count + 1, ask.elements)
            return all(map(same, before, b)) or _holds_all(ask.kind, before, b)

        with suppress(WaitedTooLongError):
            wait_until(agrees, deadline_s=_POLL_S, what="B to show what A held")
        return before, b, self._read(ask, on_a=True)

    def _lines(self, ask: Ask) -> Answer:
        began = time.monotonic()
        a = self._raw(self.lane.a, ask.a, ask.count) if ask.a else b""
        b = self._raw(self.lane.b, ask.b, ask.count) if ask.b else b""
        return Answer(lines_a=a, lines_b=b, took_s=time.monotonic() - began)

    def _raw(self, connection: Connection, payload: bytes, count: int) -> bytes:
        """Short replies as the lines that they came in."""
        connection.send(payload)
        lines = []
        for _ in range(count):
            reply = connection.take_reply()
            sign = ":" if isinstance(reply, int) else "+" if getattr(reply, "code", None) is None else "-"
            lines.append(f"{sign}{getattr(reply, 'text', reply)}\r\n")
        return "".join(lines).encode()

    def _one_sided(self, ask: Ask, began: float) -> Answer:
        a = self._read(ask, on_a=True) if ask.a else []
        b = self._read(ask, on_a=False) if ask.b else []
        return Answer(a=a, b=b, took_s=time.monotonic() - began)

    def _read(self, ask: Ask, *, on_a: bool) -> list[Reply]:
        connection = self.lane.a if on_a else self.lane.b
        connection.send((ask.a if on_a else ask.b) + connection.pack("PING", _MARK))
        return replies_of(bytes_until(connection, encode.bulk(_MARK)), ask.count)


def replies_of(raw: bytes, count: int) -> list[Reply]:
    """So many replies. One array of strings without line ends, as most are, is split, which is many times faster."""
    if count == 1 and (strings := _strings(raw)) is not None:
        return [strings]
    parser, found = ReplyParser(), list[Reply]()
    parser.feed(raw)
    while len(found) < count and not isinstance(reply := parser.next(), Missing):
        found.append(reply)
    return found


def _strings(raw: bytes) -> list[Reply] | None:
    pieces = raw.split(b"\r\n")
    headers, strings = pieces[1:-1:2], pieces[2:-1:2]
    if pieces[-1] or pieces[0] != b"*%d" % len(strings) or len(headers) != len(strings):
        return None
    fits = all(header == b"$%d" % len(string) for header, string in zip(headers, strings, strict=True))
    return list[Reply](strings) if fits else None


def _cut(ask: Ask, replies: list[Reply]) -> bool:
    """Whether one of these may be only a part of its value."""
    most = int(ask.cut[1:]) if ask.cut else 0
    return any(most and isinstance(reply, list | bytes) and len(reply) >= most for reply in replies)


def _size(replies: list[Reply]) -> int:
    """About the bytes that these took on their way."""
    found = 0
    for reply in replies:
        if isinstance(reply, list):
            found += sum(len(each) + 8 for each in reply if isinstance(each, bytes))
        else:
            found += len(reply) if isinstance(reply, bytes) else 8
    return found


def _ends(replies: list[Reply]) -> tuple[bytes, bytes]:
    """How an array of strings begins and ends on the wire."""
    (reply,) = replies
    strings = [each for each in reply if isinstance(each, bytes)] if isinstance(reply, list) else []
    first, last = (b"".join(map(encode.bulk, some)) for some in (strings[:2], strings[-2:]))
    return b"*%d\r\n%b" % (len(strings), first), last


def _equal(one: Reply, other: Reply) -> bool:
    return one == other


def _equal_members(one: Reply, other: Reply) -> bool:
    try:
        return set(elements(one)) == set(elements(other))
    except UnreadableError:
        return one == other


def _equal_fields(one: Reply, other: Reply) -> bool:
    try:
        return dict(pairs(one)) == dict(pairs(other))
    except UnreadableError:
        return one == other


def _always(one: Reply, other: Reply) -> bool:
    """Times count down, and frames are held against each other by who asked."""
    return True


def _equal_about(one: Reply, other: Reply) -> bool:
    """XINFO and XPENDING tell more than what is compared: how long ago something was, and how it is stored."""
    return _lasting(one) == _lasting(other)


_PASSING = frozenset({b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes"})


def _lasting(reply: Reply) -> Reply:
    if not isinstance(reply, list):
        return reply
    if len(reply) == 4 and isinstance(reply[2], int) and isinstance(reply[0], bytes):  # id, consumer, idle, deliveries
        return [*reply[:2], reply[3]]
    parts: list[Reply] = []
    for number, each in enumerate(reply):
        if number % 2 and isinstance(name := reply[number - 1], bytes) and name in _PASSING:
            continue
        parts.append(_lasting(each))
    return parts


_SAME: dict[str, Callable[[Reply, Reply], bool]] = {
    "set": _equal_members,
    "hash": _equal_fields,
    "about": _equal_about,
    "times": _always,
    "frame": _always,
}


def _holds_all(kind: str, before: list[Reply], b: list[Reply]) -> bool:
    """Whether B's list has all that A's had."""
    if kind != "list":
        return False
    return all(
        isinstance(one, list) and isinstance(other, list) and len(other) >= len(one) and other[: len(one)] == one
        for one, other in zip(before, b, strict=True)
    )


def _grown(before: list[Reply], b: list[Reply], after: list[Reply]) -> tuple[list[Reply], list[Reply]] | None:
    """What is to be compared of pieces of lists that only grew between A's two reads, None where one did not.

    Where B's has what A's had before and no more than A's has after, both are B's. Where an element that A had all the
    time differs on B, that is compared. A B that lacks only what is new is asked again.
    """
    sides_a: list[Reply] = []
    sides_b: list[Reply] = []
    for was, found, now in zip(before, b, after, strict=True):
        if not (isinstance(was, list) and isinstance(found, list) and isinstance(now, list)):
            return None
        if now[: len(was)] != was:
            return None
        if len(was) <= len(found) and now[: len(found)] == found:
            sides_a.append(found)
            sides_b.append(found)
        elif found[: len(was)] != was[: len(found)]:
            shorter = min(len(was), len(found))
            sides_a.append(was[:shorter])
            sides_b.append(found[:shorter])
        else:
            return None
    return sides_a, sides_b


def _between(before: list[Reply], b: list[Reply], after: list[Reply]) -> tuple[list[Reply], list[Reply]]:
    """Lengths: one that lies between A's two is as good as equal."""
    triples = zip(before, b, after, strict=True)
    return [found if _is_between(was, found, now) else was for was, found, now in triples], b


def _is_between(was: Reply, found: Reply, now: Reply) -> bool:
    return isinstance(was, int) and isinstance(found, int) and isinstance(now, int) and was <= found <= now
