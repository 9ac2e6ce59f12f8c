"""Replies as typed values, parsed from bytes that may be split anywhere; and what a reply says of its command.

It stands apart, pure, because this is where a count could go wrong: every other module of the data path either compares
bytes with what it expects, or comes here. RESP2 only: the harness never sends HELLO 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_LINE = 1 << 16
MAX_BULK = 1 << 30
MAX_ARRAY = 1 << 32
MAX_DEPTH = 16


class ProtocolError(Exception):
    """Bytes that are no reply; after them nothing on that connection can be trusted."""


@dataclass(frozen=True, slots=True)
class Status:
    """A simple string: ``+OK``."""

    text: str


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error: ``-WRONGTYPE Operation against …``."""

    text: str

    @property
    def code(self) -> str:
        """Its first word, by which servers name the kind of error."""
        return self.text.partition(" ")[0]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """The beginning of an array; its elements follow."""

    count: int


class Missing(Enum):
    """The only value says that the bytes end before the reply does."""

    BYTES = "bytes"


MISSING_BYTES = Missing.BYTES

# None is both of RESP2's nils.
Reply = int | bytes | None | Status | ErrorReply | list["Reply"]
Token = int | bytes | None | Status | ErrorReply | ArrayHeader

OK = Status("OK")
QUEUED = Status("QUEUED")

_REFUSALS = frozenset(
    {
        "MOVED",
        "ASK",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "READONLY",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
        "LOADING",
        "BUSY",
        "MASTERDOWN",
        "NOAUTH",
        "NOPERM",
        "WRONGTYPE",
        "EXECABORT",
    }
)


def is_refusal(reply: ErrorReply) -> bool:
    """Whether the command surely did not happen. Any other error decides nothing: a managed proxy may answer a
    time-out for a command that was applied.
    """
    return reply.code in _REFUSALS or reply.text.lower().startswith("err unknown command")


def parse_token(buffer: bytes | bytearray, start: int, end: int) -> tuple[Token, int] | Missing:
    """The token at buffer[start:end] and where the next one begins; ProtocolError where there can be none."""
    line_end = buffer.find(b"\r\n", start, end)
    if line_end < 0:
        if end > start:
            _check_unfinished(buffer, start, end)
        return MISSING_BYTES
    kind, line, after = buffer[start], bytes(buffer[start + 1 : line_end]), line_end + 2
    if kind == 0x24:  # $
        return _bulk(buffer, after, end, _length(line, MAX_BULK))
    if kind == 0x3A:  # :
        return _integer(line), after
    if kind == 0x2A:  # *
        count = _length(line, MAX_ARRAY)
        return (None if count < 0 else ArrayHeader(count)), after
    if kind == 0x2B:  # +
        return Status(_text(line)), after
    if kind == 0x2D:  # -
        return ErrorReply(_text(line)), after
    raise ProtocolError(f"no reply begins with {bytes(buffer[start : start + 20])!r}")


def _bulk(buffer: bytes | bytearray, start: int, end: int, length: int) -> tuple[bytes | None, int] | Missing:
    if length < 0:
        return None, start
    stop = start + length
    if end < stop + 2:
        return MISSING_BYTES
    if buffer[stop : stop + 2] != b"\r\n":
        raise ProtocolError(f"a string of {length} bytes does not end where it should")
    return bytes(buffer[start:stop]), stop + 2


def _check_unfinished(buffer: bytes | bytearray, start: int, end: int) -> None:
    if buffer[start] not in b"$:*+-":
        raise ProtocolError(f"no reply begins with {bytes(buffer[start : start + 20])!r}")
    if end - start > MAX_LINE:
        raise ProtocolError(f"a line of more than {MAX_LINE} bytes: {bytes(buffer[start : start + 20])!r}…")


def _length(line: bytes, limit: int) -> int:
    """A length as servers write it: decimal digits, or -1."""
    if line == b"-1":
        return -1
    if not line.isdigit() or len(line) > 10 or int(line) > limit:
        raise ProtocolError(f"not a length: {line[:20]!r}")
    return int(line)


def _integer(line: bytes) -> int:
    digits = line[1:] if line[:1] in (b"-", b"+") else line
    if not digits.isdigit() or len(digits) > 20:
        raise ProtocolError(f"not an integer: {line[:20]!r}")
    return int(line)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


class ReplyBuilder:
    """Puts tokens together until a whole reply is there; nested arrays too."""

    def __init__(self) -> None:
        self._open: list[tuple[int, list[Reply]]] = []  # for each array begun: how many elements, and those so far
        self.reply: Reply = None

    @property
    def empty(self) -> bool:
        """Whether no reply has begun."""
        return not self._open

    def add(self, token: Token) -> bool:
        """Whether `reply` is now whole."""
        value: Reply
        if isinstance(token, ArrayHeader):
            if token.count:
                if len(self._open) == MAX_DEPTH:
                    raise ProtocolError(f"arrays nested more than {MAX_DEPTH} deep")
                self._open.append((token.count, []))
                return False
            value = []
        else:
            value = token
        return self._finish(value)

    def _finish(self, value: Reply) -> bool:
        while self._open:
            count, elements = self._open[-1]
            elements.append(value)
            if len(elements) < count:
                return False
            self._open.pop()
            value = elements
        self.reply = value
        return True


class ReplyParser:
    """Whole replies out of bytes that come in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0
        self._builder = ReplyBuilder()

    def feed(self, data: bytes) -> None:
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    def next(self) -> Reply | Missing:
        """The next whole reply, or MISSING_BYTES; ProtocolError where the bytes are none."""
        while True:
            parsed = parse_token(self._buffer, self._start, len(self._buffer))
            if isinstance(parsed, Missing):
                return MISSING_BYTES
            token, self._start = parsed
            if self._builder.add(token):
                reply, self._builder = self._builder.reply, ReplyBuilder()
                return reply
