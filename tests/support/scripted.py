"""A server that does what a test tells it: for replies cut at any byte, lies, and silence."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from harness.endpoint.address import Endpoint


class Client:
    """One accepted connection, as the test's handler sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    def request(self) -> list[bytes]:
        """The next command; [] where the client has closed."""
        header = self._line()
        if not header:
            return []
        words = []
        for _ in range(int(header[1:])):
            size = int(self._line()[1:])
            words.append(self._exactly(size + 2)[:-2])
        return words

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish(self) -> None:
        """Say no more, and close when the client has: with something unread, closing would be a reset."""
        with contextlib.suppress(OSError):  # the client was quicker
            self.socket.shutdown(socket.SHUT_WR)
        self.until_closed()

    def until_closed(self) -> None:
        with contextlib.suppress(OSError):
            while self.socket.recv(1 << 16):
                pass

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            if not self._more():
                return b""
        line, _, self._received = self._received.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._more():
                raise ConnectionResetError("the client went away within a command")
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)


class ScriptedServer:
    """Runs `handler` in a thread for each connection; errors of a handler are raised by `close`."""

    def __init__(self, handler: Callable[[Client], None]) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._clients: list[socket.socket] = []
        self._errors: list[BaseException] = []
        self.endpoint = Endpoint("127.0.0.1", self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None and self._errors:
            raise self._errors[0]

    def close(self) -> None:
        self.refuse_from_now_on()
        self._acceptor.join(10)
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in self._threads), "a handler did not end"

    def refuse_from_now_on(self) -> None:
        """Accept no further connections; those that are there stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._handler(Client(connection))
            except (BrokenPipeError, ConnectionResetError):
                return
            except BaseException as error:  # noqa: BLE001 - handed to the test by __exit__
                self._errors.append(error)
