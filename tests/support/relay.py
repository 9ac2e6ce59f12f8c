"""A relay before a real server that breaks connections at an exact byte of the replies."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.endpoint.address import Endpoint


@dataclass(frozen=True)
class Cut:
    """Where a connection ends. when: from all reply bytes so far, how many of them may pass, None while all may.

    reset: by RST. hold: from all command bytes so far, how many may pass; late: the rest passes when this is set, and
    until then the server's side stays open.
    """

    when: Callable[[bytes], int | None]
    reset: bool = False
    hold: Callable[[bytes], int | None] = lambda commands: None
    late: threading.Event | None = None


class Relay:
    """Forwards connections to `upstream`. cuts: for the first connections, one each; later ones pass unharmed."""

    def __init__(self, upstream: Endpoint, *cuts: Cut) -> None:
        self._upstream, self._cuts = upstream, list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = upstream.with_address("127.0.0.1", self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(10)
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            cut = self._cuts.pop(0) if self._cuts else Cut(lambda replies: None)
            server = socket.create_connection((self._upstream.host, self._upstream.port))
            self._sockets += [client, server]
            for target, ends in ((self._to_server, (client, server)), (self._to_client, (server, client))):
                thread = threading.Thread(target=target, args=(*ends, cut), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _to_server(self, client: socket.socket, server: socket.socket, cut: Cut) -> None:
        whole, passed = b"", 0
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                whole += data
                limit = cut.hold(whole)
                server.sendall(whole[passed:limit])
                passed = len(whole) if limit is None else limit
        with contextlib.suppress(OSError):
            if cut.late is not None and cut.late.wait(20):
                server.sendall(whole[passed:])
            server.shutdown(socket.SHUT_WR)

    def _to_client(self, server: socket.socket, client: socket.socket, cut: Cut) -> None:
        passed = b""
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                whole = passed + data
                limit = cut.when(whole)
                if limit is not None:
                    client.sendall(whole[len(passed) : limit])
                    return self._break(client, cut.reset)
                client.sendall(data)
                passed = whole
            client.shutdown(socket.SHUT_WR)
        return None

    def _break(self, client: socket.socket, reset: bool) -> None:
        """FIN, or RST. Nothing more is read from the client then."""
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.shutdown(socket.SHUT_RD)
            client.close()
        else:
            client.shutdown(socket.SHUT_RDWR)


def after_pushes(count: int) -> Callable[[bytes], int | None]:
    """Let this many RPUSH commands pass."""

    def hold(commands: bytes) -> int | None:
        position = -1
        for _ in range(count + 1):
            position = commands.find(b"\r\n$5\r\nRPUSH", position + 1)
            if position < 0:
                return None
        return commands.rfind(b"*", 0, position)

    return hold


def after_lines(count: int, extra: int = 0) -> Callable[[bytes], int | None]:
    """Let the introduction (CLIENT ID, INFO) pass, then `count` reply lines and `extra` bytes of the next."""

    def when(replies: bytes) -> int | None:
        begin = _introduction(replies)
        if begin is None:
            return None
        position = begin
        for _ in range(count):
            position = replies.find(b"\r\n", position) + 2
            if position == 1:
                return None
        return position + extra if len(replies) >= position + extra else None

    return when


def _introduction(replies: bytes) -> int | None:
    """Where it ends, None while it has not come whole."""
    first = replies.find(b"\r\n")
    second = replies.find(b"\r\n", first + 2)
    if first < 0 or second < 0:
        return None
    end = second + 2 + int(replies[first + 3 : second]) + 2
    return end if len(replies) >= end else None
