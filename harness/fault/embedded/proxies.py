"""The proxies of one server: each listens at an address, connects whoever comes to its upstream, and has toxics."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from .address import BACKLOG, AddressError, bound_address, join_host_port, listen_on, resolve
from .connection import Connection, End
from .refused import RefusedError
from .stream import Line, Toxic

DIRECTIONS = ("upstream", "downstream")  # in the order in which toxics are listed


class Proxy:
    """listen: as asked for until the first start, then the address that it has; upstream: dialled per connection."""

    def __init__(self, name: str, listen: str, upstream: str) -> None:
        self.name, self.listen, self.upstream = name, listen, upstream
        self.toxics: dict[str, list[Toxic]] = {direction: [] for direction in DIRECTIONS}
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def enabled(self) -> bool:
        return self._server is not None

    def describe(self) -> dict[str, Any]:
        """The proxy as the API shows it, fields in Toxiproxy's order (it also shows its logger, empty)."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "Logger": {},
            "toxics": [describe(toxic) for toxic in self.all_toxics()],
        }

    # -- listening

    async def start(self) -> None:
        """Listen; no change if it does already. RefusedError (500) with the system's reason."""
        if self._server is not None:
            return
        try:
            host, port = await resolve(self.listen)
        except AddressError as error:
            raise RefusedError(500, f"listen tcp: {error}") from None
        try:
            listener = listen_on(host, port)
        except AddressError as error:
            raise RefusedError(500, str(error)) from None
        generation = object()  # so that a client accepted at the very moment of a stop is not taken over by a restart
        self._generation = generation
        accepted = functools.partial(self._accepted, generation)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: End(accepted), sock=listener, backlog=BACKLOG)
        self.listen = bound_address(listener)

    async def stop(self) -> None:
        """Close the listener and every connection; returns when they are closed."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        await asyncio.gather(*(connection.abort() for connection in self._connections))

    async def differs(self, listen: str, upstream: str) -> bool:
        """Whether these would be another proxy; RefusedError (500) for what is no address."""
        try:
            host, port = await resolve(listen)
        except AddressError as error:
            raise RefusedError(500, str(error)) from None
        return (self.listen, self.upstream) != (join_host_port(host, port), upstream)

    async def update(self, listen: str, upstream: str, enabled: bool) -> None:
        if await self.differs(listen, upstream):
            await self.stop()
            self.listen, self.upstream = listen, upstream
        await (self.start() if enabled else self.stop())

    def _accepted(self, generation: object, client: End) -> None:
        if self._server is None or self._generation is not generation:
            client.transport.abort()
        else:
            self._connections.add(Connection(client, self.upstream, self.toxics, self._connections.discard))

    # -- toxics

    def all_toxics(self) -> list[Toxic]:
        return [toxic for direction in DIRECTIONS for toxic in self.toxics[direction]]

    def find(self, name: str) -> Toxic:
        for toxic in self.all_toxics():
            if toxic.name == name:
                return toxic
        raise RefusedError(404, "toxic not found")

    def add(self, toxic: Toxic) -> None:
        if any(other.name == toxic.name for other in self.all_toxics()):
            raise RefusedError(409, "toxic already exists")
        self.toxics[toxic.direction].append(toxic)
        for line in self._lines(toxic.direction):
            line.add(toxic)

    def changed(self, toxic: Toxic) -> None:
        """Its attributes or its toxicity are new: apply them to the connections that are there."""
        place = self.toxics[toxic.direction].index(toxic)
        for line in self._lines(toxic.direction):
            line.update(place, toxic)

    def remove(self, toxic: Toxic) -> None:
        chain = self.toxics[toxic.direction]
        place = chain.index(toxic)
        del chain[place]
        for line in self._lines(toxic.direction):
            line.remove(place)

    def _lines(self, direction: str) -> list[Line]:
        return [connection.lines[direction] for connection in self._connections if connection.lines]


def describe(toxic: Toxic) -> dict[str, Any]:
    """The toxic as the API shows it."""
    return {
        "attributes": toxic.attributes,
        "name": toxic.name,
        "type": toxic.kind,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
    }


class Proxies:
    """All proxies by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Proxy] = {}

    def get(self, name: str) -> Proxy:
        if name not in self.by_name:
            raise RefusedError(404, "proxy not found")
        return self.by_name[name]

    async def add(self, proxy: Proxy, enabled: bool) -> None:
        if proxy.name in self.by_name:
            raise RefusedError(409, "proxy already exists")
        if enabled:
            await proxy.start()
        self.by_name[proxy.name] = proxy

    async def add_or_replace(self, proxy: Proxy, enabled: bool) -> Proxy:
        """An existing proxy with the same addresses stays as it is, toxics and all."""
        existing = self.by_name.get(proxy.name)
        if existing is not None:
            if not await existing.differs(proxy.listen, proxy.upstream):
                return existing
            await existing.stop()
        if enabled:
            await proxy.start()
        self.by_name[proxy.name] = proxy
        return proxy

    async def remove(self, name: str) -> None:
        await self.get(name).stop()
        del self.by_name[name]

    async def reset(self) -> None:
        """Start every proxy and remove every toxic."""
        for proxy in self.by_name.values():
            await proxy.start()
            for toxic in proxy.all_toxics():
                proxy.remove(toxic)
