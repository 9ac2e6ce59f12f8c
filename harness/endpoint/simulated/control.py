"""The endpoint's own connection to the real server: which commands it has, how it words an unknown one, INFO."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Sequence
from typing import Final

from . import frames
from .answers import mark_name
from .commands import CommandFacts, read_commands
from .frames import Error
from .plan import Upstream
from .requests import as_array

PATIENCE_S: Final = 10.0
_READ: Final = 1 << 16


class UpstreamError(Exception):
    """The server can't be asked; the text says why, without a password."""


class Control:
    """Asks one question at a time; a connection that broke is made anew for the next one."""

    def __init__(self, upstream: Upstream, patience_s: float = PATIENCE_S) -> None:
        self._upstream, self._patience_s = upstream, patience_s
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, words: Sequence[bytes]) -> bytes:
        """The whole reply; UpstreamError where there is none in time."""
        try:
            async with asyncio.timeout(self._patience_s), self._lock:
                return await self._ask(words)
        except (OSError, EOFError, TimeoutError, frames.NotAReplyError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UpstreamError(f"{self._upstream.host}:{self._upstream.port}: {reason}") from None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def commands(self) -> dict[str, CommandFacts]:
        reply = frames.parse(await self.ask([b"COMMAND"]))
        if isinstance(reply, Error):
            raise UpstreamError(f"it does not list its commands: {reply.text.decode('latin-1')}")
        return read_commands(reply)

    async def is_cluster(self) -> bool:
        return b"cluster_enabled:1" in await self.ask([b"INFO", b"cluster"])

    async def mark_reply(self) -> tuple[bytes, bytes]:
        """How the server answers a command that it does not know: what stands before the name, and after it."""
        name = mark_name(secrets.token_hex(8).encode(), 1)
        before, found, after = (await self.ask([name])).partition(name)
        if not found:
            raise UpstreamError("it does not name a command that it doesn't know")
        return before, after

    async def _ask(self, words: Sequence[bytes]) -> bytes:
        """Asked again where a connection that was idle has been closed meanwhile: questions only read."""
        if self._streams is not None:
            try:
                return await self._ask_once(words)
            except (EOFError, ConnectionError):
                pass
        return await self._ask_once(words)

    async def _ask_once(self, words: Sequence[bytes]) -> bytes:
        """A question that was given up leaves no connection on which its answer would be taken for the next one's."""
        try:
            if self._streams is None:
                self._streams = await self._connect()
            reader, writer = self._streams
            writer.write(as_array(list(words)))
            return await _frame(reader)
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        upstream = self._upstream
        streams = await asyncio.open_connection(upstream.host, upstream.port, ssl=tls_to(upstream))
        if upstream.password is not None:
            words = ["AUTH", *([upstream.user] if upstream.user else []), upstream.password]
            streams[1].write(as_array([word.encode() for word in words]))
            if (reply := await _frame(streams[0])).startswith(b"-"):
                streams[1].transport.abort()
                raise UpstreamError(f"it refuses the endpoint's own login: {reply[1:-2].decode('latin-1')}")
        return streams


def tls_to(upstream: Upstream) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=upstream.ca_file) if upstream.tls else None


async def _frame(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while frames.frame_end(data) < 0:
        more = await reader.read(_READ)
        if not more:
            raise EOFError("it closed the connection")
        data += more
    return data
