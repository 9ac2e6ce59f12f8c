"""Both ends of a proxied connection in one hand, so that a test can say what goes in here and must come out there."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

SOON_S = 20.0  # how long a test waits for what must happen; nothing is asserted about being faster


class Upstream:
    """A listening server whose accepted sockets are handed to the test; a context manager that closes them all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(SOON_S)
        self._opened: list[socket.socket] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()
        return host, port

    def connect(self, to: tuple[str, int]) -> tuple[socket.socket, socket.socket]:
        """(client's socket, server's socket) of a new connection through the proxy that listens at `to`."""
        client = self._keep(socket.create_connection(to, timeout=SOON_S))
        return client, self.accept()

    def accept(self) -> socket.socket:
        return self._keep(self._listener.accept()[0])

    def _keep(self, opened: socket.socket) -> socket.socket:
        opened.settimeout(SOON_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        for opened in (*self._opened, self._listener):
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def untaken(end: socket.socket) -> int:
    """Bytes sent on this IPv4 connection within the machine that its other end has not read yet (Linux)."""
    here, there = _in_proc(end.getsockname()), _in_proc(end.getpeername())
    queues = {(row[1], row[2]): row[4].split(":") for row in map(str.split, _connections())}
    to_send, received = queues.get((here, there)), queues.get((there, here))
    return int(to_send[0] if to_send else "0", 16) + int(received[1] if received else "0", 16)


def _connections() -> list[str]:
    return Path("/proc/net/tcp").read_text().splitlines()[1:]


def _in_proc(address: tuple[str, int]) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"


def receive(end: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes, or fewer if the stream ends first."""
    received = bytearray()
    while len(received) < count and (more := end.recv(min(1 << 18, count - len(received)))):
        received += more
    return bytes(received)


def receive_all(end: socket.socket) -> bytes:
    """Everything until the stream ends, which must be an orderly end."""
    received = bytearray()
    while more := end.recv(1 << 18):
        received += more
    return bytes(received)


def send_until_stuck(end: socket.socket, most: int = 400_000_000) -> int:
    """How many bytes could be sent before nobody took more for a second."""
    end.settimeout(1)
    sent = 0
    try:
        while sent < most:
            sent += end.send(b"x" * 100_000)
    except TimeoutError:
        pass
    finally:
        end.settimeout(SOON_S)
    return sent


def how_it_ends(end: socket.socket) -> str:
    """ "closed" for an orderly end of the stream, "reset" for an RST; what comes before is thrown away."""
    try:
        receive_all(end)
    except ConnectionResetError:
        return "reset"
    return "closed"


def stays_silent(end: socket.socket, seconds: float) -> bool:
    """Whether nothing comes, not even an end, for that long."""
    end.settimeout(seconds)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(SOON_S)
    return False


def seconds_until(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def in_background(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=SOON_S).close()
    except ConnectionRefusedError:
        return True
    return False
