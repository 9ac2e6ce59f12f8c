"""The requests of one client: where each command begins and ends, and the words of those that somebody wants to see.

What nobody wants to see is handed on as it came, in pieces as large as they came, whatever the values' size; nothing of
it is kept. Only well-framed bytes are handed on, so that the server behind sees the same commands as we do: a stricter
reading than a server's own is safe, a laxer one would let commands slip through. No sockets here.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from .inline import QuotesError, split_inline
from .runs import ALIKE, BULK, RUNS, WORTH, equal_bulks

PASS: Final = 0  # nobody wants to see the command
ALL: Final = 1 << 30  # every word is wanted
SWALLOW: Final = -1  # is not handed on; its words are shown, cut short

MAX_NAME: Final = 64  # no command has a longer name
MAX_CAPTURE: Final = 64 << 20  # bytes of one command's wanted words, and of all clients' together
_FREE: Final = 1 << 14  # what a client may have in hand without being counted
_A_WORD: Final = 64  # bytes that a word takes besides its own
MAX_LINE: Final = 1 << 16
MAX_WORDS: Final = (1 << 31) - 1
MAX_BULK: Final = 512 << 20  # servers' own default
SHOWN: Final = 128  # bytes that an error message shows of a refused command's arguments

_HEAD = re.compile(rb"\*([1-9]\d{0,9})\r\n\$([1-9]\d?)\r\n")
_NUMBER = re.compile(rb"-?(?:0|[1-9]\d{0,18})")


_TURNS: Final = 8


class _Room:
    """How much all clients may have in hand of commands whose words are wanted; those without room are refused."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, size: int) -> bool:
        fits = self.taken + size <= MAX_CAPTURE
        self.taken += size if fits else 0
        return fits

    def give_back(self, size: int) -> None:
        self.taken -= size


ROOM: Final = _Room()


class Sink(Protocol):
    """Whoever judges the requests. `wanted` is asked once for each command, by its name in upper case; b"" stands for
    one that is longer than any command's.
    """

    def wanted(self, name: bytes) -> int:
        """PASS, ALL, SWALLOW, or how many words are wanted (the name is one); the others follow by `passed`."""

    def further(self, words: list[bytes], count: int) -> int:
        """How many words are wanted in all, now that those wanted so far are known; not more: that is all."""

    def passed(self, data: bytes | memoryview) -> None:
        """Bytes to be handed on as they are."""

    def command(self, words: list[bytes], count: int) -> bool:
        """The wanted words of a command of `count` words; nothing of them was handed on. Whether the others may be."""

    def too_large(self, name: bytes) -> None:
        """A command whose wanted words are too large to be kept; it is swallowed."""

    def broken(self, reason: str) -> None:
        """The bytes are no RESP; nothing that follows is looked at."""


class Requests:
    """Reads a client's bytes. `hold` stops before the next command, `release` goes on; `Sink` says what comes out."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._data: bytes = b""
        self._at = 0  # what is before was dealt with
        self._span = 0  # what is from here up to `_at` may be handed on
        self._arguments = 0  # of the present command, yet to come
        self._bulk = 0  # bytes of the present argument yet to come, with its line end
        self._swallowing = False
        self._shown: list[bytes] | None = None
        self._shown_room = 0
        self._count = 0
        self._run = 0  # 0: the fastest way is tried next; others: how often it failed
        self._words: list[bytes] | None = None  # of a command whose words are wanted, so far
        self._wanted = 0
        self._part: bytearray | None = None  # of the word that is coming, with its line end
        self._part_size = 0
        self._room = self._counted = 0  # bytes in hand, as _Room counts them: free ones, and others
        self._held = self._full = self._broken = False
        self.commands = 0  # begun so far, but for those that passed side by side

    def feed(self, data: bytes) -> None:
        if self._broken:
            return
        self._data = data if self._at == len(self._data) else self._data[self._at :] + data
        self._at = self._span = 0
        self._go()

    def hold(self) -> None:
        self._held = True

    def release(self) -> None:
        self._held = False
        self._go()

    def close(self) -> None:
        """The client has gone."""
        self._broken = True
        self._data, self._at, self._words, self._part = b"", 0, None, None
        self._give_room_back()

    @property
    def waiting(self) -> int:
        """Bytes that came and were not dealt with."""
        return len(self._data) - self._at

    @property
    def held(self) -> bool:
        return self._held or self._full

    def pause(self) -> None:
        """As `hold`, for a reason of its own: too much is on its way already."""
        self._full = True

    def resume(self) -> None:
        if self._full:
            self._full = False
            self._go()

    def _go(self) -> None:
        step = True
        while step and not self._held and not self._full and not self._broken:
            if self._words is not None:
                step = self._capture(self._words)
            elif self._bulk:
                step = self._through_bulk()
            elif self._arguments:
                step = self._through_arguments()
            elif self._shown is not None:
                self._say_shown()
            else:
                step = self._begin()
        self._hand_on()

    def _hand_on(self) -> None:
        if self._span < self._at and not self._swallowing:
            whole = self._span == 0 and self._at == len(self._data)
            self._sink.passed(self._data if whole else memoryview(self._data)[self._span : self._at])
        self._span = self._at

    # -- a command begins

    def _begin(self) -> bool:
        data, at = self._data, self._at
        head = _HEAD.match(data, at)
        if head is None:
            return self._begin_oddly()
        start, size = head.end(), int(head[2])
        if size > MAX_NAME:
            return self._begin_with_odd_name(int(head[1]), head.start(2) - 1)
        if len(data) < start + size + 2:
            return False
        name = data[start : start + size]
        if data[start + size : start + size + 2] != b"\r\n":
            return self._break("a bulk does not end in a line end")
        count = int(head[1])
        if count > MAX_WORDS:
            return self._break("invalid multibulk length")
        return self._begun(count, name, self._sink.wanted(name.upper()), start + size + 2)

    def _begun(self, count: int, name: bytes, wanted: int, after: int) -> bool:
        """A head was read; `after`: where the rest begins. False where more bytes are needed first."""
        if wanted == PASS:
            self.commands += 1  # commands alike count as one: nobody asks how many passed
            if 1 < count <= ALIKE.WORDS:
                end = ALIKE.end(self._data, self._at, self._data[self._at : after], count - 1)
                if end >= 0:
                    self._at = end
                    return True
            self._at, self._arguments = after, count - 1
            return True
        if wanted == SWALLOW:
            self._hand_on()
            self.commands += 1
            self._swallow(count, name, after)
            return True
        self._hand_on()
        self.commands += 1
        self._words, self._wanted, self._count = [name], min(wanted, count), count
        self._at = self._span = after
        self._arguments = count - 1
        return True

    # -- a command whose words are wanted

    def _capture(self, words: list[bytes]) -> bool:
        while len(words) < self._wanted:
            step = self._capture_part(words, self._part) if self._part is not None else self._capture_word(words)
            if not step or self._words is None or self._broken:
                return step
        self._wanted = min(self._sink.further(words, self._count), self._count)
        if self._wanted > len(words):
            return True
        self._words = None
        self._give_room_back()
        self._swallowing = not self._sink.command(words, self._count) and bool(self._arguments)
        return True

    def _capture_word(self, words: list[bytes]) -> bool:
        data, at = self._data, self._at
        bulk = BULK.match(data, at)
        if bulk is None:
            return self._no_bulk(at) and False
        size, start = int(bulk[1]), bulk.end()
        if size > MAX_BULK:
            return self._break("invalid bulk length")
        if not self._take_room(size + _A_WORD):
            return self._give_up_capture(words[0] if words else b"", start, size)
        end = start + size
        if len(data) < end + 2:
            self._part, self._part_size = bytearray(data[start:]), size + 2
            self._at = self._span = len(data)
            return False
        if data[end : end + 2] != b"\r\n":
            return self._break("a bulk does not end in a line end")
        self._captured(words, data[start:end], end + 2)
        return True

    def _capture_part(self, words: list[bytes], part: bytearray) -> bool:
        """The rest of a word that came in pieces; each piece is looked at once."""
        at = min(len(self._data), self._at + self._part_size - len(part))
        part += self._data[self._at : at]
        self._at = self._span = at
        if len(part) < self._part_size:
            return False
        if part[-2:] != b"\r\n":
            return self._break("a bulk does not end in a line end")
        self._part = None
        self._captured(words, bytes(memoryview(part)[:-2]), at)
        return True

    def _captured(self, words: list[bytes], word: bytes, after: int) -> None:
        words.append(word)
        self._arguments -= 1
        self._at = self._span = after

    def _take_room(self, size: int) -> bool:
        """A command of usual size needs no permission."""
        if self._room + size <= _FREE:
            self._room += size
            return True
        if ROOM.take(size):
            self._counted += size
            return True
        return False

    def _give_room_back(self) -> None:
        ROOM.give_back(self._counted)
        self._room = self._counted = 0

    def _give_up_capture(self, name: bytes, start: int, size: int) -> bool:
        """The command is swallowed, from the word that is too much onwards."""
        self._words = None
        self._give_room_back()
        self._at = self._span = start
        self._bulk, self._arguments, self._swallowing = size + 2, self._arguments - 1, True
        self._shown = None if self._arguments else []
        self._sink.too_large(name)
        return True

    def _begin_oddly(self) -> bool:
        """Not the head of an ordinary command: incomplete, inline, empty, or wrong."""
        data, at = self._data, self._at
        if at == len(data):
            return False
        if data[at] != 0x2A:
            return self._begin_inline()
        end = data.find(b"\r\n", at)
        if end < 0:
            return self._wait_for_line(at, "too big mbulk count string")
        if not _NUMBER.fullmatch(data, at + 1, end) or int(data[at + 1 : end]) > MAX_WORDS:
            return self._break("invalid multibulk length")
        if int(data[at + 1 : end]) <= 0:  # servers ignore it
            self._hand_on()
            self._at = self._span = end + 2
            return True
        return self._begin_with_odd_name(int(data[at + 1 : end]), end + 2)

    def _begin_with_odd_name(self, count: int, at: int) -> bool:
        """An empty or a long name, of no command that we know: it passes like an argument, or is looked at like one."""
        if count > MAX_WORDS:
            return self._break("invalid multibulk length")
        bulk = BULK.match(self._data, at)
        if bulk is None:
            return self._no_bulk(at) and False
        if int(bulk[1]) > MAX_BULK:
            return self._break("invalid bulk length")
        self.commands += 1
        if (wanted := self._sink.wanted(b"")) != PASS:
            self._hand_on()
            self._words, self._wanted, self._count = [], min(wanted, count), count
            self._span = at
        self._at, self._arguments = at, count
        return True

    def _begin_inline(self) -> bool:
        data, at = self._data, self._at
        end = data.find(b"\n", at)
        if end < 0:
            return self._wait_for_line(at, "too big inline request")
        if end - at > MAX_LINE:
            return self._break("too big inline request")
        self._hand_on()
        self._at = self._span = end + 1
        try:
            words = split_inline(data[at:end].removesuffix(b"\r"))
        except QuotesError:
            return self._break("unbalanced quotes in request")
        if words:
            self._inline(words)
        return True

    def _inline(self, words: list[bytes]) -> None:
        """As if it had come as an array; an array is what the server gets."""
        self.commands += 1
        wanted = self._sink.wanted(words[0].upper())
        if wanted == PASS:
            self._sink.passed(as_array(words))
            return
        if wanted not in (ALL, SWALLOW):
            wanted = max(wanted, self._sink.further(words[:wanted], len(words)))
        shown = words if wanted == SWALLOW else words[:wanted]
        if self._sink.command(shown, len(words)) and len(shown) < len(words):
            self._sink.passed(bulks(words[len(shown) :]))

    # -- a command goes on

    def _through_bulk(self) -> bool:
        """The rest of an argument that began in an earlier piece, or is too large for one."""
        taken = min(self._bulk, len(self._data) - self._at)
        self._at += taken
        self._bulk -= taken
        if self._swallowing:
            self._span = self._at
        return not self._bulk

    def _through_arguments(self) -> bool:
        if self._swallowing:
            return self._swallow_argument()
        data, at, left = self._data, self._at, self._arguments
        while left:
            if left >= 32 and (found := self._match_run(data, at, left)):
                size, at = found
                left -= size
                continue
            bulk = BULK.match(data, at)
            if bulk is None:
                self._at, self._arguments = at, left
                return self._no_bulk(at) and False
            size = int(bulk[1])
            if size > MAX_BULK:
                self._at, self._arguments = at, left
                return self._break("invalid bulk length")
            at, left = bulk.end() + size + 2, left - 1
            if at > len(data):
                self._bulk, at = at - len(data), len(data)
                break
        self._at, self._arguments = at, left
        return not self._bulk

    def _match_run(self, data: bytes, at: int, left: int) -> tuple[int, int] | None:
        """How many arguments were passed over at once, and where they end. What failed is tried less often, so that
        other data than many small values costs next to nothing.
        """
        if self._run == 0:
            bulk = BULK.match(data, at)
            size = equal_bulks(data, at, bulk, left) if bulk else 0
            if bulk and size >= WORTH:
                return size, at + size * (bulk.end() - at + int(bulk[1]) + 2)
        if self._run <= 1:
            for size, pattern in RUNS:
                if size <= left and (found := pattern.match(data, at)):
                    self._run = 0
                    return size, found.end()
        self._run = (self._run + 1) % _TURNS
        return None

    # -- a command is swallowed

    def _swallow(self, count: int, name: bytes, after: int) -> None:
        self._at = self._span = after
        self._arguments, self._swallowing, self._count = count - 1, True, count
        self._shown, self._shown_room = [name], SHOWN

    def _swallow_argument(self) -> bool:
        bulk = BULK.match(self._data, self._at)
        if bulk is None:
            return self._no_bulk(self._at) and False
        size = int(bulk[1])
        if size > MAX_BULK:
            return self._break("invalid bulk length")
        shown = min(size, self._shown_room) if self._shown is not None else 0
        if len(self._data) < bulk.end() + shown:
            return False
        if self._shown is not None and self._shown_room:
            self._shown.append(self._data[bulk.end() : bulk.end() + shown])
            self._shown_room -= shown
        self._at = self._span = bulk.end()
        self._bulk, self._arguments = size + 2, self._arguments - 1
        if not self._arguments and self._shown is None:
            self._swallowing_ends_with_bulk()
        return True

    def _swallowing_ends_with_bulk(self) -> None:
        """What was too large has been told already: nothing is said at its end."""
        self._shown = []

    def _say_shown(self) -> None:
        words, self._shown = self._shown or [], None
        self._swallowing = False
        self._span = self._at
        if words:
            self._sink.command(words, self._count)

    # -- what is wrong, or not there yet

    def _wait_for_line(self, at: int, otherwise: str) -> bool:
        return self._break(otherwise) if len(self._data) - at > MAX_LINE else False

    def _no_bulk(self, at: int) -> bool:
        """No bulk begins here: wrong, or its head has not come yet."""
        head = self._data[at : at + 32]
        if not head:
            return False
        if head[:1] != b"$":
            return self._break(f"expected '$', got '{chr(head[0])}'")
        end = head.find(b"\r")
        digits = head[1:end] if end >= 0 else head[1:]
        whole = end >= 0 and len(head) > end + 1
        if (digits and not digits.isdigit()) or len(digits) > 10 or (whole and not BULK.match(head)):
            return self._break("invalid bulk length")
        return False

    def _break(self, reason: str) -> bool:
        self._hand_on()
        self._broken = True
        self._sink.broken(reason)
        return False


def bulks(words: list[bytes]) -> bytes:
    return b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def as_array(words: list[bytes]) -> bytes:
    """A command as clients send it."""
    return b"*%d\r\n%b" % (len(words), bulks(words))
