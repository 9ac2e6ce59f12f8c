"""A connection to one endpoint: commands, and replies that are compared as bytes before they are parsed.

Whoever knows what the reply will be asks `take_if`, which costs one comparison however many elements it holds; only
what differs is parsed. Nothing is retried. Every wait ends `timeout_s` after the last byte that moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Argument, Guard
from harness.resp import encode
from harness.resp.replies import ErrorReply, Missing, ProtocolError, Reply, ReplyBuilder, Token, parse_token
from harness.resp.transport import (
    AccessRefused,
    CannotConnect,
    ConnectionLost,
    Interrupted,
    ReplyTimeout,
    Transport,
    never,
)

__all__ = ["AccessRefused", "CannotConnect", "Connection", "ConnectionLost", "Interrupted", "ReplyTimeout"]

_CAPACITY = 1 << 16
_GLANCE_S = 0.005  # how long bytes may stay away before those that came are compared
_REST_S = 1.0  # how long a lost connection may still give what had come
_NOT_YET = frozenset({"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN"})


class Connection:
    """Authenticated, with its database selected; CannotConnect otherwise, AccessRefused where the server says no.

    timeout_s: how long connecting may take, and how long bytes may stay away. bytes_sent: what the operating system
    took. Where the endpoint has a scope, HarnessError for whatever it does not allow. Not for two threads at once.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = 10.0, interrupted: Callable[[], bool] = never) -> None:
        self.endpoint, self.timeout_s = endpoint, timeout_s
        self.bytes_sent = 0
        self._guard = Guard(endpoint.scope) if endpoint.scope is not None else None
        self._buffer = bytearray(_CAPACITY)
        self._start = self._end = 0  # of the bytes that came and were not taken
        self._builder = ReplyBuilder()
        self._moved_at = 0.0
        self._transport = Transport(endpoint, timeout_s, interrupted)
        try:
            self._introduce()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def at_rest(self) -> bool:
        """Whether it is open, and everything that came has been taken."""
        return self._start == self._end and self._builder.empty and self._transport.quiet

    @property
    def unasked(self) -> bool:
        """Whether something has come that nobody took. No wait: what is still on its way is not seen."""
        if self._start == self._end and self._builder.empty:
            try:
                return self._receive() > 0
            except ConnectionLost:
                return False  # it ended, and nothing came before that
        return True

    def begin_anew(self, timeout_s: float, interrupted: Callable[[], bool]) -> None:
        """Be for somebody else what a new connection would be."""
        self.timeout_s, self.bytes_sent = timeout_s, 0
        self._transport.interrupted = interrupted

    def command(self, *words: Argument) -> Reply:
        """Send one command and return its reply. An error reply is returned, not raised; ConnectionLost is raised."""
        self.send(self.pack(*words))
        return self.take_reply()

    def commands(self, *each: Sequence[Argument]) -> list[Reply]:
        """Send several commands at once and return their replies; see `command`."""
        self.send(b"".join([self.pack(*words) for words in each]))
        return [self.take_reply() for _ in each]

    def pack(self, *words: Argument) -> bytes:
        """A command's bytes; HarnessError where the endpoint's scope does not allow it."""
        if self._guard is not None:
            self._guard.check(words)
        return encode.command(*words)

    def pack_each(self, keys: Sequence[bytes], *commands: Sequence[Argument | encode.Placeholder]) -> bytes:
        """Each of these commands for every key, one command after the other; `encode.KEY` stands for the key.

        HarnessError as in `check_each`.
        """
        self.check_each(keys, *commands)
        return encode.for_each_key(keys, commands)

    def check_each(self, keys: Sequence[bytes], *commands: Sequence[Argument | encode.Placeholder]) -> None:
        """HarnessError where the endpoint's scope does not allow these commands: each is checked with the first key,
        since the others differ by nothing but the key.
        """
        if keys and self._guard is not None:
            for words in commands:
                self._guard.check([keys[0] if isinstance(word, encode.Placeholder) else word for word in words])

    def peek(self, at_least: int) -> bytearray:
        """What has come and was not taken, once that is at_least so many bytes; nothing is taken by it."""
        self._reserve(at_least)
        self._moved_at = time.monotonic()
        if self._end < len(self._buffer):
            self._receive()
        while self._end - self._start < at_least:
            if not self._receive():
                self._wait()
        return self._buffer[self._start : self._end]

    def skip(self, count: int) -> None:
        """Take bytes that `peek` has shown."""
        self._advance(self._start + count)

    def check_payload(self, payload: bytes, key: bytes) -> None:
        """HarnessError where the endpoint has a scope that does not allow these pushes to this key."""
        if self._guard is not None:
            self._guard.check_payload(payload, key.decode())

    def send(self, data: bytes) -> None:
        """Hand all of it to the operating system. What comes meanwhile is read and kept: no deadlock with a server
        that reads on only when its replies are read.
        """
        self._moved_at = time.monotonic()
        position, size = 0, len(data)
        with memoryview(data) as view:
            while position < size:
                taken = self._transport.send_some(view[position:])
                position += taken
                if taken:
                    self.bytes_sent += taken
                    self._moved_at = time.monotonic()
                elif not self._receive():
                    self._wait(writing=True)

    def take_if(self, expected: bytes) -> bool:
        """Take the next bytes where they are `expected` (whole replies); where they differ, take nothing: False."""
        size = len(expected)
        self._reserve(size)
        self._moved_at = time.monotonic()
        while self._end - self._start < size:
            if not self._receive(self._start + size):
                if not expected.startswith(self._buffer[self._start : self._end]):
                    return False
                self._wait(at_most_s=_GLANCE_S)
        if not self._buffer.startswith(expected, self._start):
            return False
        self._advance(self._start + size)
        return True

    def take_reply(self) -> Reply:
        """The next reply, whole."""
        while not self._completes(self.take_token()):
            pass
        return self._built()

    def take_token(self) -> Token:
        """The next piece of a reply: for arrays that may be too large to be kept whole."""
        self._moved_at = time.monotonic()
        while isinstance(token := self._parsed(), Missing):
            self._reserve(self._end - self._start + 1)
            while not self._receive():
                self._wait()
        return token

    def take_bytes(self, size: int) -> bytes:
        """The rest of a string of this size whose length has been taken."""
        self._moved_at = time.monotonic()
        self._reserve(size + 2)
        while self._end - self._start < size + 2:
            if not self._receive(self._start + size + 2):
                self._wait()
        taken = bytes(self._buffer[self._start : self._start + size])
        if self._buffer[self._start + size : self._start + size + 2] != b"\r\n":
            raise self._no_resp(ProtocolError(f"a string of {size} bytes does not end where it should"))
        self._advance(self._start + size + 2)
        return taken

    def replies_left(self) -> list[Reply]:
        """After ConnectionLost: the whole replies that had come and were not taken."""
        self._receive_rest()
        replies: list[Reply] = []
        try:
            while not isinstance(token := self._parsed(), Missing):
                if self._completes(token):
                    replies.append(self._built())
        except ConnectionLost:
            return replies  # what comes after such bytes can't be trusted
        return replies

    def _introduce(self) -> None:
        who = self.endpoint
        try:
            if who.password or who.user:
                words = ("AUTH", *([who.user] if who.user else []), who.password or "")
                self._must_be_ok(self.command(*words), "the user or password is refused")
            if who.db:
                self._must_be_ok(self.command("SELECT", who.db), f"database {who.db} is refused")
        except Interrupted:
            raise
        except ConnectionLost as lost:
            raise CannotConnect(str(lost)) from lost

    def _must_be_ok(self, reply: Reply, refusal: str) -> None:
        if not isinstance(reply, ErrorReply):
            return
        text = reply.text.replace(self.endpoint.password, "***") if self.endpoint.password else reply.text
        passing = reply.code in _NOT_YET or "max number of clients" in text
        raise (CannotConnect if passing else AccessRefused)(f"{self.endpoint.address}: {refusal}: {text}")

    def _completes(self, token: Token) -> bool:
        try:
            return self._builder.add(token)
        except ProtocolError as error:
            raise self._no_resp(error) from error

    def _built(self) -> Reply:
        reply, self._builder = self._builder.reply, ReplyBuilder()
        return reply

    def _parsed(self) -> Token | Missing:
        try:
            parsed = parse_token(self._buffer, self._start, self._end)
        except ProtocolError as error:
            raise self._no_resp(error) from error
        if isinstance(parsed, Missing):
            return parsed
        token, position = parsed
        self._advance(position)
        return token

    def _no_resp(self, error: ProtocolError) -> ConnectionLost:
        return ConnectionLost(f"{self.endpoint.address} does not speak RESP: {error}")

    def _advance(self, position: int) -> None:
        self._start = position
        if self._start == self._end:
            self._start = self._end = 0

    def _reserve(self, size: int) -> None:
        """Room for `size` bytes in all from the first that was not taken."""
        if self._start + size <= len(self._buffer):
            return
        kept = self._buffer[self._start : self._end]
        if 2 * size > len(self._buffer):
            self._buffer = bytearray(2 * size)
        self._buffer[: len(kept)] = kept
        self._start, self._end = 0, len(kept)

    def _receive(self, limit: int | None = None) -> int:
        """What can be had now, up to buffer position `limit`; 0 where there is nothing."""
        if limit is None and self._end == len(self._buffer):
            self._reserve(self._end - self._start + 1)
        with memoryview(self._buffer) as view, view[self._end : limit] as room:
            count = self._transport.receive_some(room)
        if count:
            self._end += count
            self._moved_at = time.monotonic()
        return count

    def _receive_rest(self) -> None:
        end = time.monotonic() + _REST_S
        try:
            while self._receive() and time.monotonic() < end:
                pass
        except ConnectionLost:
            return  # that it ends is known

    def _wait(self, *, writing: bool = False, at_most_s: float = float("inf")) -> None:
        left = self._moved_at + self.timeout_s - time.monotonic()
        if left <= 0:
            raise ReplyTimeout(f"{self.endpoint.address} did not answer within {self.timeout_s:g} s")
        self._transport.wait(min(left, at_most_s), writing=writing)
