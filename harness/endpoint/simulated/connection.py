"""A client's two sockets: to the client, and to the real server. Neither is read faster than the other one takes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

from .control import UpstreamError, tls_to
from .frames import Error, NotAReplyError, write
from .session import Session
from .shared import Shared

CONNECT_S: Final = 10.0
INTERNAL: Final = "internal error"  # a defect of ours, as the log names it
ALL_READS: Final = 16 << 20  # bytes that all connections together may have in hand
_TLS_BUFFER: Final = 1 << 15  # a handshake leaves some bytes there, which go out only once something is read
_READ: Final = (1 << 14, 1 << 18)  # bytes of one read, at the least and at the most


class Side(asyncio.Protocol):
    """One of the two sockets; what happens at it is told to the connection."""

    transport: asyncio.Transport

    def __init__(self, owner: Connection, *, client: bool) -> None:
        self._owner, self._client = owner, client
        self.blocked = False  # does not take what was written
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        encrypted = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=_TLS_BUFFER if encrypted else 0)
        self._owner.made(self, client=self._client)

    def data_received(self, data: bytes) -> None:
        self._owner.received(data, client=self._client)

    def eof_received(self) -> bool:
        return self._owner.ended(client=self._client)

    def pause_writing(self) -> None:
        self.blocked = True
        self._owner.balance()

    def resume_writing(self) -> None:
        self.blocked = False
        self._owner.balance()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._owner.lost()


class Connection:
    """From a client's coming to its going; `session.Wire`. shared: None once the server is known to be out of reach."""

    def __init__(self, shared: Shared, registry: set[Connection], log: Callable[[str], None]) -> None:
        self._shared, self._registry, self._log = shared, registry, log
        self.client = Side(self, client=True)
        self.address = ("", 0)
        self._server: Side | None = None
        self._session = Session(shared, self)
        self._redirects = shared.redirects() if shared.redirects else None
        self._jobs: set[asyncio.Task[None]] = set()
        self._client_ended = self._closing = self._spoke = False
        self._who = ""
        self._last_words: tuple[bytes, str] | None = None
        self.moved_at = self._stalled_since = asyncio.get_running_loop().time()
        self._left = 0
        self._asking = False

    # -- session.Wire

    def to_server(self, data: bytes | memoryview) -> None:
        if self._server is not None and not self._server.transport.is_closing():
            self._server.transport.write(data)

    def to_client(self, data: bytes) -> None:
        if not self.client.transport.is_closing():
            self.client.transport.write(data)

    def close(self, reason: str) -> None:
        if reason and not self._closing:
            self._log(f"client {self._who} disconnected: {reason}")
        self._closing = True
        self.client.transport.close()
        if self._server is not None:
            self._server.transport.abort()

    def finish(self, last_words: bytes, reason: str) -> None:
        if self._server is None or self._shared.plan.upstream.tls:
            self.to_client(last_words)
            self.close(reason)
            return
        self._last_words = (last_words, reason)
        self._server.transport.write_eof()

    def run(self, job: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await job
            except UpstreamError as error:
                self.close(f"the server can't be asked: {error}")
            except Exception as error:  # noqa: BLE001  # told in the log, and it ends this client only
                self.close(f"{INTERNAL}: {type(error).__name__}: {error}")

        task = asyncio.get_running_loop().create_task(guarded())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        task.add_done_callback(_raise)

    # -- what happens at the sockets

    def made(self, side: Side, *, client: bool) -> None:
        side.transport.pause_reading()
        if client:
            self._registry.add(self)
            self.address = side.transport.get_extra_info("sockname")[:2]
            if self._redirects:
                self._redirects.host = self.address[0]
            self._who = "{}:{}".format(*side.transport.get_extra_info("peername")[:2])
            self._limit_reads()
            if len(self._registry) > self._shared.plan.behaviour.max_clients:
                self.to_client(write(Error(b"ERR max number of clients reached")))
                self.close("too many clients")
            else:
                self.run(self._connect())

    def received(self, data: bytes, *, client: bool) -> None:
        if self._closing:
            return
        self.moved_at = asyncio.get_running_loop().time()
        try:
            if client:
                self._session.requests.feed(data)
            else:
                self._spoke = True
                self._session.replied(self._redirects.feed(data) if self._redirects else data)
        except NotAReplyError as error:
            self.close(f"the server's reply is not understood: {error}")
            return
        except Exception as error:  # noqa: BLE001  # whatever this client found, it is nobody else's harm
            self.close(f"{INTERNAL}: {type(error).__name__}: {error}")
            return
        self._pass_end()
        self.balance()

    def ended(self, *, client: bool) -> bool:
        """One side sends no more. What the client has asked for is still answered (not through TLS, which can't)."""
        if client:
            self._client_ended = True
            self._pass_end()
            return self._shared.plan.certificate is None
        self._session.replies.rest()
        if self._last_words is not None:
            self.to_client(self._last_words[0])
            self.close(self._last_words[1])
            return False
        self.run(self._server_ended())
        return self._shared.plan.upstream.tls is False

    def lost(self) -> None:
        if self.client.lost:
            self._registry.discard(self)
            self._session.requests.close()
            if self._server is not None:
                self._server.transport.abort()
        elif self._server is not None and self._server.lost and not self._closing:
            self.run(self._server_ended())

    def balance(self) -> None:
        """Read each side only while the other one takes what comes."""
        if self._server is None or self._closing:
            return
        _reading(self.client.transport, on=not (self._server.blocked or self._session.requests.held))
        _reading(self._server.transport, on=not self.client.blocked)

    def look(self, now: float) -> None:
        """Called now and then: end a client that takes nothing, or that the product would find idle."""
        left = self.client.transport.get_write_buffer_size()
        if left != self._left or not left:
            self._left, self._stalled_since = left, now
        behaviour = self._shared.plan.behaviour
        idle, patience = behaviour.idle_s, behaviour.stalled_s
        if left and now - self._stalled_since > patience:
            self.client.transport.abort()
            self.close(f"it did not read its replies for {patience:g} s")
        elif idle and now - self.moved_at > idle and self._server is not None and not self._asking:
            self._asking = True
            self.run(self._end_idle(self._server, idle))

    async def _end_idle(self, server: Side, idle: float) -> None:
        """Who waits in a blocking command or for messages is not idle; the server knows who does."""
        moved_at, port = self.moved_at, server.transport.get_extra_info("sockname")[1]
        with contextlib.suppress(UpstreamError):
            waits = waiting(await self._shared.ask([b"CLIENT", b"LIST"]), port)
            if waits:
                self.moved_at = asyncio.get_running_loop().time()
            elif moved_at == self.moved_at:
                self.close(f"idle for {idle:g} s")
        self._asking = False

    async def _connect(self) -> None:
        upstream = self._shared.plan.upstream
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, server = await loop.create_connection(
                    lambda: Side(self, client=False), upstream.host, upstream.port, ssl=tls_to(upstream)
                )
        except (OSError, TimeoutError) as error:
            self._say_unavailable(getattr(error, "strerror", None) or str(error) or "no answer")
            return
        if self._closing or self.client.lost:
            server.transport.abort()
            return
        self._server = server
        self._limit_reads()
        self._session.begin()
        self.balance()

    async def _server_ended(self) -> None:
        """The server closed this connection: as clients of the product see it where the server is gone as a whole."""
        if self._closing:
            return
        try:
            await self._shared.ask([b"PING"])
        except UpstreamError as error:
            self._say_unavailable(str(error))
            return
        self.close("")

    def _say_unavailable(self, reason: str) -> None:
        if not self._closing:
            self.to_client(write(Error(self._shared.plan.behaviour.unavailable.encode())))
            self.close(f"the server is out of reach: {reason}")

    def _pass_end(self) -> None:
        if (
            self._client_ended
            and self._server
            and not self._session.requests.held
            and not self._session.requests.waiting
        ):
            with contextlib.suppress(OSError, NotImplementedError):  # it has ended meanwhile; TLS can't say it
                self._server.transport.write_eof()

    def _limit_reads(self) -> None:
        """The more connections, the less of each is in hand at a time."""
        least, most = _READ
        size = max(least, min(most, ALL_READS // max(1, len(self._registry))))
        for side in (self.client, self._server):
            if side is not None and hasattr(side.transport, "max_size"):
                side.transport.max_size = size


def _reading(transport: asyncio.Transport, *, on: bool) -> None:
    if transport.is_closing() or transport.is_reading() == on:
        return
    if on:
        transport.resume_reading()
    else:
        transport.pause_reading()


def waiting(clients: bytes, port: int) -> bool:
    """Whether CLIENT LIST shows the client of this port as blocked, subscribed, a monitor or a replica."""
    line = re.search(rb"^.*? addr=\S*:%d .*? flags=(\S+) .*$" % port, clients, re.MULTILINE)
    return line is not None and bool(set(line[1]) & set(b"bPOS"))


def _raise(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        raise error
