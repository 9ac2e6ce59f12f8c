"""A socket that never blocks, plain or TLS: the only place of the data path that waits.

It stands apart so that every wait has the same two ends: its deadline, and an interruption from another thread.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.endpoint.address import Endpoint
from harness.errors import SetupError

if TYPE_CHECKING:
    import ssl

# By name: `ssl` costs 8 ms to import, and is imported only where there is TLS.
_TLS_WAITS = frozenset({"SSLWantReadError", "SSLWantWriteError"})
_SLICE_S = 0.05  # how soon a wait notices that it is interrupted


class ConnectionLost(SetupError):
    """The connection ended: closed, reset, silent for too long, or no longer speaking RESP."""


class ReplyTimeout(ConnectionLost):
    """Nothing moved for as long as was allowed."""


class Interrupted(ConnectionLost):
    """Somebody asked for the end while we waited."""


class CannotConnect(SetupError):
    """No connection came about."""


class AccessRefused(CannotConnect):
    """The other side answered, and refuses this user, password, certificate or database: asking again won't help."""


def never() -> bool:
    return False


class Transport:
    """A connected socket; CannotConnect where none comes about within timeout_s.

    interrupted: asked while waiting; True ends the wait with Interrupted.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float, interrupted: Callable[[], bool] = never) -> None:
        self._endpoint, self.interrupted = endpoint, interrupted
        self._closed = False
        self._deadline = time.monotonic() + timeout_s
        self._socket: socket.socket | ssl.SSLSocket = self._connected()
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls:
                self._encrypt()
        except BaseException:
            self.close()
            raise
        self._readable = _poll_for(self._socket, select.POLLIN)
        self._either = _poll_for(self._socket, select.POLLIN | select.POLLOUT)

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    @property
    def quiet(self) -> bool:
        """Whether it is open at both ends, as far as is known here, and nothing has come."""
        return not self._closed and not self._readable.poll(0)

    def send_some(self, data: memoryview) -> int:
        """How many of these bytes were taken, 0 where none can be now."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            if type(error).__name__ in _TLS_WAITS:
                return 0
            raise ConnectionLost(f"{self._endpoint.address}: {_reason(error)}") from error

    def receive_some(self, into: memoryview) -> int:
        """How many bytes were put there, 0 where none are here now; ConnectionLost once there will be no more."""
        try:
            count = self._socket.recv_into(into)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            if type(error).__name__ in _TLS_WAITS:
                return 0
            raise ConnectionLost(f"{self._endpoint.address}: {_reason(error)}") from error
        if not count:
            raise ConnectionLost(f"{self._endpoint.address} closed the connection")
        return count

    def wait(self, timeout_s: float, *, writing: bool = False) -> bool:
        """Until something can be read (or, where asked for, written); False after timeout_s."""
        if self.interrupted():
            raise Interrupted(f"{self._endpoint.address}: interrupted while waiting")
        return self._poll(self._either if writing else self._readable, timeout_s)

    def _poll(self, poll: select.poll, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while not poll.poll(max(0.0, min(end - time.monotonic(), _SLICE_S)) * 1000):
            if self.interrupted():
                raise Interrupted(f"{self._endpoint.address}: interrupted while waiting")
            if time.monotonic() >= end:
                return False
        return True

    def _connected(self) -> socket.socket:
        """A socket to the first of the host's addresses that takes it."""
        host, port = self._endpoint.host, self._endpoint.port
        try:
            name = host.encode() if host.isascii() else host  # as text it would need the tables for other scripts
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise CannotConnect(f"cannot connect to {self._endpoint.address}: {_reason(error)}") from error
        reason = "it has no address"
        for family, kind, protocol, _, address in found:
            candidate = socket.socket(family, kind, protocol)
            try:
                self._reach(candidate, address)
            except OSError as error:
                candidate.close()
                reason = _reason(error)
            except BaseException:
                candidate.close()
                raise
            else:
                return candidate
        raise CannotConnect(f"cannot connect to {self._endpoint.address}: {reason}")

    def _reach(self, candidate: socket.socket, address: object) -> None:
        candidate.setblocking(False)
        try:
            candidate.connect(address)  # type: ignore[arg-type]
        except BlockingIOError:
            if not self._poll(_poll_for(candidate, select.POLLOUT), self._deadline - time.monotonic()):
                raise TimeoutError("it does not answer") from None
        if number := candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))

    def _encrypt(self) -> None:
        import ssl

        where = self._endpoint.address
        try:
            context = ssl.create_default_context(cafile=self._endpoint.ca_file)
        except OSError as error:
            raise AccessRefused(f"{where}: the CA file {self._endpoint.ca_file}: {_reason(error)}") from error
        try:
            self._socket = context.wrap_socket(
                self._socket, server_hostname=self._endpoint.host, do_handshake_on_connect=False
            )
            self._shake_hands(self._socket)
        except ssl.SSLCertVerificationError as error:
            raise AccessRefused(f"{where}: its certificate is not accepted: {error.verify_message}") from error
        except OSError as error:
            raise CannotConnect(f"{where}: no TLS connection: {_reason(error)}") from error

    def _shake_hands(self, encrypted: ssl.SSLSocket) -> None:
        import ssl

        while True:
            try:
                return encrypted.do_handshake()
            except ssl.SSLWantReadError:
                events = select.POLLIN
            except ssl.SSLWantWriteError:
                events = select.POLLOUT
            if not self._poll(_poll_for(encrypted, events), self._deadline - time.monotonic()):
                raise TimeoutError("the handshake was not answered")


def _poll_for(on: socket.socket, events: int) -> select.poll:
    poll = select.poll()
    poll.register(on, events)
    return poll


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
