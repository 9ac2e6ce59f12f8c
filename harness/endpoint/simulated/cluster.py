"""A cluster behind: each of its nodes has a port of ours, clients are led from one to the other, slots are followed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from . import frames
from .control import Control, UpstreamError
from .layout import Address, Ranges, read_slots
from .redirects import Redirects
from .shared import Shared

LOOK_S: Final = 1.0
_SOON_S: Final = 0.05  # between two looks, while redirections lead to somebody whom we don't know


class ClusterFronts:
    """shared: for the node that was named; control: asks it. listen: begins to serve a node at a port of ours; 0: any
    that is free.
    """

    def __init__(
        self,
        shared: Shared,
        control: Control,
        listen: Callable[[Shared, int], Awaitable[int]],
        log: Callable[[str], None],
    ) -> None:
        self._shared, self._listen, self._log = shared, listen, log
        self._layout = shared.layout
        named = shared.plan.upstream
        self._named: Address = (named.host, named.port)
        self._controls: dict[Address, Control] = {self._named: control}
        self._changed = asyncio.Event()

    async def open(self) -> int:
        """Serve every node; the port of the one that was named. UpstreamError where the product shows no cluster."""
        plan = self._shared.plan
        if not (plan.behaviour.cluster or plan.behaviour.over_cluster):
            raise UpstreamError(
                f"{self._named[0]}:{self._named[1]} is a member of a cluster, and {plan.profile} can't lead its "
                "clients through one; name a server without cluster mode, or a profile or policy that shows a cluster "
                "(redis-enterprise/oss-cluster, azure-managed-redis/oss, elasticache, memorystore-cluster, …)"
            )
        await self._look()
        return self._layout.fronts[self._named]

    async def follow(self) -> None:
        """Look again each second, and at once when a redirection leads to somebody whom we don't know."""
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), LOOK_S)
                await asyncio.sleep(_SOON_S)
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._look()
            except (UpstreamError, OSError) as error:
                self._log(f"the cluster can't be looked at: {error}")

    async def _look(self) -> None:
        owners, everybody = await self._ask()
        for address in sorted({self._named} | everybody):
            if address not in self._layout.fronts:
                await self._serve(address)
        self._layout.owners = owners

    async def _ask(self) -> tuple[dict[Address, Ranges], set[Address]]:
        """Of the first node that answers; one that has left the cluster knows nobody else's slots."""
        why = "no node answers"
        for address, control in list(self._controls.items()):
            try:
                reply = frames.parse(await control.ask([b"CLUSTER", b"SLOTS"]))
            except UpstreamError as error:
                why = str(error)
                continue
            owners, everybody = read_slots(reply, address)
            if owners:
                return self._as_named(owners), {self._alias(one) for one in everybody}
            why = "no node owns any slot"
        raise UpstreamError(why)

    async def _serve(self, address: Address) -> None:
        plan = self._shared.plan
        upstream = replace(plan.upstream, host=address[0], port=address[1])
        control = self._controls.setdefault(address, Control(upstream))
        shared = replace(
            self._shared,
            plan=replace(plan, upstream=upstream),
            ask=control.ask,
            redirects=lambda: Redirects(address, self._front, self._changed.set),
        )
        port = await self._listen(shared, plan.port if address == self._named else 0)
        self._layout.fronts = {**self._layout.fronts, address: port}
        self._log(f"port {port} shows the cluster's member {address[0]}:{address[1]}")

    def _front(self, real: Address) -> int | None:
        return self._layout.fronts.get(self._alias(real))

    def _as_named(self, owners: dict[Address, Ranges]) -> dict[Address, Ranges]:
        return {self._alias(address): ranges for address, ranges in owners.items()}

    def _alias(self, address: Address) -> Address:
        """The node that was named may call itself otherwise: localhost, and 127.0.0.1."""
        same = address[1] == self._named[1] and _resolved(address[0]) == _resolved(self._named[0])
        return self._named if same else address


def _resolved(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError:
        return host
