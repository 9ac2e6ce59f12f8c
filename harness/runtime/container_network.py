"""A deployment's own network, in which every container has a fixed address.

Fixed, because an address that Docker chooses changes when a container is restarted or joins again, and its replicas
would follow nobody. The subnets are of the range that is set apart for testing networks (198.18.0.0/15), so that no
real network is hidden.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types

from harness.engine.daemon import Client, explanation
from harness.errors import SetupError
from harness.runtime.readiness import wait_until

_RANGE = ipaddress.IPv4Network("198.18.0.0/15")
_PREFIX = 24
_ATTEMPTS = 50
_REMOVED_WITHIN_S = 5.0


class ContainerNetwork:
    """gateway: this machine's address in it, where containers reach what listens here."""

    def __init__(self, client: Client, name: str, labels: Mapping[str, str]) -> None:
        self._docker: Any = None
        self._made = _create(client, name, labels)
        self.name = name
        subnet = ipaddress.IPv4Network(self._made.attrs["IPAM"]["Config"][0]["Subnet"])
        hosts = subnet.hosts()
        self.gateway = str(next(hosts))
        self._hosts = hosts

    def address(self) -> str:
        """Another address of this network, which nobody has."""
        return str(next(self._hosts))

    def endpoint(self, address: str) -> dict[str, Any]:
        """What a container's creation has to be given to have this address."""
        settings = docker.types.EndpointConfig(docker.__version__, ipv4_address=address)
        return {"network": self.name, "networking_config": {self.name: settings}}

    def disconnect(self, container: str) -> None:
        self._made.disconnect(container)

    def connect(self, container: str, address: str) -> None:
        self._made.connect(container, ipv4_address=address)

    @property
    def is_visible(self) -> bool:
        """Whether its bridge is an interface of ours, so that its containers and we reach each other directly."""
        return f"br-{self._made.id[:12]}" in (name for _, name in socket.if_nameindex())

    def remove(self) -> None:
        """Nothing where it is gone. SetupError where something stays in it, with Docker's words."""
        said = ""

        def removed() -> bool:
            nonlocal said
            try:
                self._made.remove()
            except docker.errors.NotFound:
                return True
            except docker.errors.APIError as error:
                said = explanation(error)
                return False
            return True

        wait_until(removed, deadline_s=_REMOVED_WITHIN_S, what=f"network {self.name} to go", describe=lambda: said)


def _create(client: Client, name: str, labels: Mapping[str, str]) -> Any:
    """The network on a subnet that nobody uses."""
    said = ""
    for subnet in _subnets():
        pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(next(subnet.hosts())))
        ipam = docker.types.IPAMConfig(pool_configs=[pool])
        try:
            made = client.networks.create(name, driver="bridge", ipam=ipam, labels=dict(labels))
        except docker.errors.APIError as error:
            said = explanation(error)
            if "overlap" not in said:
                break
        else:
            made.reload()
            return made
    raise SetupError(f"the deployment's network can't be made: {said}; docker network prune removes what is unused")


def _subnets() -> Iterator[ipaddress.IPv4Network]:
    """Subnets to try, none of which this machine has a route into."""
    taken = list(_routes())
    free = [
        subnet for subnet in _RANGE.subnets(new_prefix=_PREFIX) if not any(subnet.overlaps(other) for other in taken)
    ]
    yield from random.SystemRandom().sample(free, min(_ATTEMPTS, len(free)))


def _routes() -> Iterator[ipaddress.IPv4Network]:
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        _, destination, _, _, _, _, _, mask, *_ = line.split()
        if int(mask, 16):
            number, bits = (int.from_bytes(bytes.fromhex(text)[::-1], "big") for text in (destination, mask))
            yield ipaddress.IPv4Network((number & bits, bits.bit_count()))
