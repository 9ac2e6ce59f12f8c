"""A proxy between a client and a real server that understands RESP, so that a test can change single answers.

Every request of a client goes to `answer(request, ask)`: `ask()` sends it on and returns the real reply, and what
`answer` returns is what the client gets. Within MULTI … EXEC the same happens to each queued command when EXEC answers.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from harness.endpoint.address import Endpoint


@dataclass(frozen=True)
class Simple:
    text: bytes


@dataclass(frozen=True)
class Error:
    text: bytes


Reply = Simple | Error | int | bytes | None | list["Reply"]
Answer = Callable[[list[bytes], Callable[[], Reply]], Reply]


def unchanged(request: list[bytes], ask: Callable[[], Reply]) -> Reply:
    return ask()


class RespProxy:
    """Listens on a port of its own in front of `upstream`; ends, with all its threads, at the end of `with`.

    requests: every command that clients sent, in order, as they were.
    """

    def __init__(self, upstream: Endpoint, answer: Answer = unchanged) -> None:
        self._upstream, self._answer = upstream, answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = upstream.with_address("127.0.0.1", self._listener.getsockname()[1])
        self.requests: list[list[bytes]] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(10)
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in [self._acceptor, *self._threads]), "a proxy thread did not end"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            server = socket.create_connection((self._upstream.host, self._upstream.port))
            self._sockets.append(server)
            with server, client.makefile("rb") as requests, server.makefile("rb") as replies:
                self._relay(_Session(client, server, requests, replies))

    def _relay(self, session: _Session) -> None:
        queued: list[list[bytes]] = []
        while True:
            request = [bytes(word) for word in _read_array(session.requests)]
            self.requests.append(request)
            name = request[0].upper()
            if queued and name == b"EXEC":
                reply = self._executed(queued[1:], session.ask(request))
            elif queued or name == b"MULTI":
                reply = session.ask(request)
            else:
                reply = self._answer(request, lambda request=request: session.ask(request))  # type: ignore[misc]
            if name in (b"EXEC", b"DISCARD"):
                queued = []
            elif queued or name == b"MULTI":
                queued.append(request)
            session.client.sendall(encode(reply))

    def _executed(self, queued: list[list[bytes]], replies: Reply) -> Reply:
        if not isinstance(replies, list):
            return replies
        answered = zip(queued, replies, strict=True)
        return [self._answer(request, lambda reply=reply: reply) for request, reply in answered]  # type: ignore[misc]


@dataclass(frozen=True)
class _Session:
    client: socket.socket
    server: socket.socket
    requests: IO[bytes]
    replies: IO[bytes]

    def ask(self, request: list[bytes]) -> Reply:
        self.server.sendall(encode(list(request)))
        return read_reply(self.replies)


def encode(reply: Reply) -> bytes:
    match reply:
        case Simple(text):
            return b"+%s\r\n" % text
        case Error(text):
            return b"-%s\r\n" % text
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case None:
            return b"$-1\r\n"
        case _:
            return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))


def read_reply(stream: IO[bytes]) -> Reply:
    """One whole reply; EOFError where the stream ends first."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError
    kind, rest = line[:1], line[1:-2]
    if kind in b"+-":
        return Simple(rest) if kind == b"+" else Error(rest)
    number = int(rest)
    if kind == b":":
        return number
    if number < 0:
        return None
    return stream.read(number + 2)[:-2] if kind == b"$" else [read_reply(stream) for _ in range(number)]


def _read_array(stream: IO[bytes]) -> list[bytes]:
    request = read_reply(stream)
    assert isinstance(request, list), "clients send arrays"
    return [word for word in request if isinstance(word, bytes)]
