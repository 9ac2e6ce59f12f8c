"""How the elements of each type of key are asked for page by page, and how a page's reply looks. Pure.

A page is asked for by the indexes of its elements in the order in which they were written (a sorted set: in the
server's own order). Numbers of ours come out as int, whatever else a node sends as the bytes that it sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.kinds import LIST, SORTED_SET, STREAM, STRING, STRING_ELEMENT, DataType
from harness.resp import encode, oracle
from harness.resp.oracle import check_sample
from harness.resp.replies import ArrayHeader, ErrorReply, Reply, Token
from harness.scores import same_score

LONGEST_NUMBER = 18  # digits; longer elements stay bytes
Element = int | bytes


class UnexpectedReply(Exception):
    """A page's reply is none, or ends otherwise than it began."""


class Replies(Protocol):
    """Where the rest of a page's reply comes from."""

    def take_token(self) -> Token: ...

    def take_reply(self) -> Reply: ...

    def take_bytes(self, size: int) -> bytes:
        """The rest of a string of this size, whose length has been taken."""


class Layout(Protocol):
    """data_type: what is read. open_ended: the page after the length told holds everything to the end. backwards: a
    page's elements come in the opposite order, so that it is taken in one piece.
    """

    data_type: DataType
    open_ended: bool
    backwards: bool

    def page(self, key: bytes, start: int, stop: int, last: bool) -> Sequence[bytes | str | int]:
        """The command for the elements start..stop (exclusive); last: for all from `start` on, where open-ended."""

    def header(self, count: int) -> bytes:
        """How a reply with so many elements begins."""

    def predicted(self, runs: Sequence[tuple[int, int]]) -> bytes | None:
        """What follows where the elements are these numbers, (first, count) each; None where it can't be known."""

    def size(self, header: Token) -> int | None:
        """How many elements (about) a reply that begins so has; None where it is no such reply."""

    def elements(self, count: int, replies: Replies) -> Iterator[Element]:
        """So many elements; UnexpectedReply where they are not what they should be."""

    def split(self, whole: bytes) -> Iterator[Element]:
        """The elements of a reply that is one string."""

    def end(self) -> Iterator[Element]:
        """What is still to be told when all pages have come."""


class _Array:
    """Pages are arrays. words: array elements a key's element."""

    open_ended = False
    backwards = False
    words = 1

    def header(self, count: int) -> bytes:
        return encode.array_header(self.words * count)

    def size(self, header: Token) -> int | None:
        fits = isinstance(header, ArrayHeader) and header.count % self.words == 0
        return header.count // self.words if isinstance(header, ArrayHeader) and fits else None

    def split(self, whole: bytes) -> Iterator[Element]:
        raise UnexpectedReply(f"a page was {shown_reply(whole)}")

    def end(self) -> Iterator[Element]:
        """Pages end where elements do."""
        return iter(())


class ListLayout(_Array):
    """LRANGE; push: the end at which elements were added. Pushed left, the list is read from its right end."""

    data_type = LIST

    def __init__(self, push: str = "right") -> None:
        self.backwards = push == "left"
        self._bulks = encode.bulk_numbers(descending=self.backwards)

    def page(self, key: bytes, start: int, stop: int, last: bool) -> Sequence[bytes | str | int]:
        return ("LRANGE", key, -stop, -start - 1) if self.backwards else ("LRANGE", key, start, stop - 1)

    def predicted(self, runs: Sequence[tuple[int, int]]) -> bytes:
        return b"".join([self._built(*run) for run in runs[:: -1 if self.backwards else 1]])

    def _built(self, first: int, count: int) -> bytes:
        built = self._bulks.build(first, count)
        check_sample(built, first, count, oracle.bulk, descending=self.backwards)
        return built

    def elements(self, count: int, replies: Replies) -> Iterator[Element]:
        found = (number_or_raw(string(replies.take_token(), "an element of a list")) for _ in range(count))
        return reversed(list(found)) if self.backwards else found


class SortedSetLayout(_Array):
    """ZRANGE WITHSCORES, in the server's order. What is not ours, with its very score, is told as "member score"."""

    data_type = SORTED_SET
    words = 2

    def __init__(self, scores: str = "ids") -> None:
        self._scores, self._pairs = scores, encode.bulk_pairs()

    def page(self, key: bytes, start: int, stop: int, last: bool) -> Sequence[bytes | str | int]:
        return "ZRANGE", key, start, stop - 1, "WITHSCORES"

    def predicted(self, runs: Sequence[tuple[int, int]]) -> bytes | None:
        return b"".join([self._built(*run) for run in runs]) if self._scores == "ids" else None

    def _built(self, first: int, count: int) -> bytes:
        built = self._pairs.build(first, count)
        check_sample(built, first, count, oracle.pair)
        return built

    def elements(self, count: int, replies: Replies) -> Iterator[Element]:
        for _ in range(count):
            member = string(replies.take_token(), "a member of a sorted set")
            score = string(replies.take_token(), "a score of a sorted set")
            number = number_or_raw(member)
            ours = isinstance(number, int) and same_score(self._scores, number, score)
            yield number if ours else member + b" " + score


class StreamLayout(_Array):
    """XRANGE by ids, number-1 each. Entries that are not ours are told as "id field value …"."""

    data_type = STREAM
    open_ended = True

    def __init__(self) -> None:
        self._entries = encode.Numbers(
            lambda width: b"*2\r\n$%d\r\n" % (width + 2),
            b"\r\n",
            inner=lambda width: b"-1\r\n*2\r\n$1\r\nn\r\n$%d\r\n" % width,
        )

    def page(self, key: bytes, start: int, stop: int, last: bool) -> Sequence[bytes | str | int]:
        return "XRANGE", key, f"{start + 1}-0" if start else "-", "+" if last else stop

    def predicted(self, runs: Sequence[tuple[int, int]]) -> bytes:
        return b"".join([self._built(*run) for run in runs])

    def _built(self, first: int, count: int) -> bytes:
        built = self._entries.build(first, count)
        check_sample(built, first, count, oracle.entry)
        return built

    def elements(self, count: int, replies: Replies) -> Iterator[Element]:
        for _ in range(count):
            entry = replies.take_reply()
            if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], list):
                raise UnexpectedReply(f"an entry of a stream was {str(entry)[:100]}")
            words = [string(word, "a part of a stream's entry") for word in (entry[0], *entry[1])]
            number = number_or_raw(words[-1])
            ours = isinstance(number, int) and words == [b"%d-1" % number, b"n", b"%d" % number]
            yield number if ours else b" ".join(words)


class StringLayout:
    """GETRANGE of a string of lines, each ten digits."""

    data_type = STRING
    open_ended = False
    backwards = True  # a page is one string, taken whole

    def __init__(self) -> None:
        self._lines = encode.Numbers(lambda width: b"0" * (STRING_ELEMENT - 1 - width), b"\n")
        self._rest = b""  # of a line that goes on in the next page

    def page(self, key: bytes, start: int, stop: int, last: bool) -> Sequence[bytes | str | int]:
        return "GETRANGE", key, start * STRING_ELEMENT, stop * STRING_ELEMENT - 1

    def header(self, count: int) -> bytes:
        return b"$%d\r\n" % (count * STRING_ELEMENT)

    def predicted(self, runs: Sequence[tuple[int, int]]) -> bytes | None:
        if self._rest or any(first + count > 10 ** (STRING_ELEMENT - 1) for first, count in runs):
            return None
        return b"".join([self._built(*run) for run in runs]) + b"\r\n"

    def _built(self, first: int, count: int) -> bytes:
        built = self._lines.build(first, count)
        check_sample(built, first, count, oracle.line)
        return built

    def size(self, header: Token) -> int | None:
        return len(header) // STRING_ELEMENT if isinstance(header, bytes) else None

    def elements(self, count: int, replies: Replies) -> Iterator[Element]:
        return self.split(replies.take_bytes(count * STRING_ELEMENT))

    def split(self, whole: bytes) -> Iterator[Element]:
        *lines, self._rest = (self._rest + whole).split(b"\n")
        for line in lines:
            number = number_or_raw(line.lstrip(b"0"))
            yield number if isinstance(number, int) and len(line) == STRING_ELEMENT - 1 else line + b"\n"

    def end(self) -> Iterator[Element]:
        """What stands after the last line feed."""
        if self._rest:
            yield self._rest
            self._rest = b""


def number_or_raw(raw: bytes) -> Element:
    """The positive number that these are the one usual decimal form of, else the bytes."""
    if not raw.isdigit() or raw[0] == 0x30 or len(raw) > LONGEST_NUMBER:
        return raw
    return int(raw)


def string(token: Reply | Token, what: str) -> bytes:
    """UnexpectedReply where it is no string."""
    if not isinstance(token, bytes):
        raise UnexpectedReply(f"{what} was {shown_reply(token)}")
    return token


def shown_reply(reply: Reply | Token) -> str:
    return reply.text if isinstance(reply, ErrorReply) else f"an unexpected reply: {str(reply)[:100]}"
