"""One client's connection through a proxy: two sockets and the two lines between them.

As in Toxiproxy an end of stream is passed on as a full close of the other socket, so a connection never stays half
open: closing one socket ends the input of the line that leads back.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

from .address import AddressError, split_host_port
from .stream import Line, Toxic

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST and forgets what was not sent


class End(asyncio.Protocol):
    """One of the two sockets. inbound: the line that its bytes go into; outbound: the line that writes to it."""

    transport: asyncio.Transport

    def __init__(self, on_made: Callable[[End], None] | None = None) -> None:
        self._on_made = on_made
        self._on_lost: Callable[[], None] | None = None
        self._lines: tuple[Line, Line] | None = None
        self._early: list[bytes] = []  # what came before the lines were there
        self._early_end = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # until the lines are there
        transport.set_write_buffer_limits(high=0)  # "blocked" then means that the socket did not take everything
        if self._on_made is not None:
            self._on_made(self)

    def belongs_to(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def join(self, *, inbound: Line, outbound: Line) -> None:
        self._lines = (inbound, outbound)

    def hand_over_early(self) -> None:
        """Once the lines have started: what came before goes into them first."""
        assert self._lines
        inbound = self._lines[0]
        while self._early:
            inbound.feed(self._early.pop(0))
        if self._early_end:
            inbound.feed_end()

    def data_received(self, data: bytes) -> None:
        if self._lines:
            self._lines[0].feed(data)
            return
        # Older asyncio begins to read after `connection_made`, whatever was asked there: keep it, and pause in earnest.
        self._early.append(data)
        self.transport.resume_reading()
        self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self._lines:
            self._lines[0].feed_end()
        else:
            self._early_end = True
        return True  # keep the socket: what is on its way to this side must still arrive

    def pause_writing(self) -> None:
        if self._lines:
            self._lines[1].block()

    def resume_writing(self) -> None:
        if self._lines:
            self._lines[1].unblock()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._lines:
            inbound, outbound = self._lines
            outbound.end()
            inbound.feed_end()
        if self._on_lost is not None:
            self._on_lost()

    def reset_on_close(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Connection:
    """From the moment a client was accepted until both sockets are closed (then `on_gone` is called).

    upstream: the address to dial; toxics: the proxy's own lists by direction, read when the lines come into being.
    """

    def __init__(
        self,
        client: End,
        upstream: str,
        toxics: Mapping[str, list[Toxic]],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self.lines: dict[str, Line] = {}
        self._client, self._upstream, self._toxics, self._on_gone = client, upstream, toxics, on_gone
        self._server: End | None = None
        self._gone = asyncio.Event()
        client.belongs_to(self._one_lost)
        self._dialling = asyncio.create_task(self._dial())

    async def abort(self) -> None:
        """Close both sockets at once; returns when they are closed."""
        self._dialling.cancel()
        self._client.transport.abort()
        if self._server is not None:
            self._server.transport.abort()
        await self._gone.wait()

    async def _dial(self) -> None:
        try:
            host, port = split_host_port(self._upstream)
            _, server = await asyncio.get_running_loop().create_connection(End, host or "localhost", port)
        except (OSError, UnicodeError, AddressError):  # nobody there, or nothing that could be an address
            self._client.transport.close()
            return
        self._server = server
        server.belongs_to(self._one_lost)
        if self._client.lost:
            server.transport.abort()
        else:
            self._join(self._client, server)

    def _join(self, client: End, server: End) -> None:
        up, down = self._toxics["upstream"], self._toxics["downstream"]
        if any(toxic.kind == "reset_peer" for toxic in (*up, *down)):
            client.reset_on_close()
            server.reset_on_close()
        upstream = Line(client.transport, server.transport, up, self._line_ended)
        downstream = Line(server.transport, client.transport, down, self._line_ended)
        client.join(inbound=upstream, outbound=downstream)
        server.join(inbound=downstream, outbound=upstream)
        self.lines = {"upstream": upstream, "downstream": downstream}
        upstream.start()
        downstream.start()
        client.hand_over_early()
        server.hand_over_early()

    def _line_ended(self, line: Line) -> None:
        """Close where it led to (after what was written has left); nothing more can come from there."""
        line.target.close()
        for other in self.lines.values():
            if other is not line:
                other.feed_end()

    def _one_lost(self) -> None:
        if self._client.lost and (self._server is None or self._server.lost):
            self._gone.set()
            self._on_gone(self)
