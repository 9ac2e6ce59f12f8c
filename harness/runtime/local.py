"""Topologies as processes of this machine: the default runtime, which needs nothing but a server program."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from harness.engine.binaries import Engine
from harness.errors import HarnessError
from harness.runtime.base import Capability, LinkOpener
from harness.runtime.deployment import ServersDeployment, Started, login_at_primary
from harness.runtime.loopback import free_cluster_ports, free_ports, own_address
from harness.runtime.owner import Owner
from harness.runtime.server import ProcessServer
from harness.runtime.server_config import ServerPlan
from harness.topology import Link, Node, Topology

CAPABILITIES: frozenset[Capability] = frozenset(
    {"pause", "kill", "restart", "custom_port", "link_faults", "sync_counts", "exclusive"}
)
Ports = Literal["written", "any"]


class LocalRuntime:
    """Starts servers as processes, each deployment on a loopback address of its own.

    engines: which program a node runs. ports: "written": exactly as in the topology; "any": whatever is free.
    owner: ends what a deployment leaves, should this process be killed.
    """

    name = "local"
    capabilities = CAPABILITIES

    def __init__(self, engines: Callable[[Node], Engine], ports: Ports, owner: Owner) -> None:
        self._engines, self._ports, self._owner = engines, ports, owner

    def deploy(
        self, topology: Topology, proxied: Sequence[Link] = (), opener: LinkOpener | None = None
    ) -> LocalDeployment:
        """Start every node. SetupError with the cause where one fails; then none is left running."""
        if proxied and opener is None:
            raise HarnessError(f"the links {', '.join(map(str, proxied))} need a fault proxy, and none was given")
        engines = {node.name: self._engines(node) for node in topology.nodes.values()}
        written = [node.port for node in topology.nodes.values()]
        host = own_address(written if self._ports == "written" else ())
        free = free_cluster_ports if topology.is_cluster else free_ports
        ports = written if self._ports == "written" else free(host, len(written))
        deployment = LocalDeployment(topology, self._owner)
        try:
            deployment.start(host, dict(zip(topology.nodes, ports, strict=True)), engines)
            for link in proxied:
                deployment.open_link(link, opener)
        except BaseException:
            deployment.close()
            raise
        return deployment


class LocalDeployment(ServersDeployment):
    """Started server processes."""

    runtime = LocalRuntime.name
    capabilities = CAPABILITIES

    def __init__(self, topology: Topology, owner: Owner) -> None:
        super().__init__(topology)
        self._owner = owner
        self._folder = owner.folder("replication-harness")
        self._servers: list[ProcessServer] = []

    def start(self, host: str, ports: Mapping[str, int], engines: Mapping[str, Engine]) -> None:
        """Start all nodes side by side, and wait until each answers."""
        own = self._server_ports(host, ports)
        for index, node in enumerate(self.topology.nodes.values()):
            plan = ServerPlan(
                node=node,
                host=host,
                port=own[node.name],
                folder=self._folder / f"{index}-{re.sub(r'[^A-Za-z0-9_.-]', '_', node.name)[:40]}",
                upstream=login_at_primary(node, self.topology),
            )
            self._servers.append(ProcessServer(plan, engines[node.name], self._owner))
            self._nodes[node.name] = Started(self._servers[-1])
        for started in self._nodes.values():
            started.server.start()
        for name in self._nodes:
            self._come_up(name)

    def open_link(self, link: Link, opener: LinkOpener | None) -> None:
        """Put a proxy in front of what this link leads to."""
        if opener is None:
            raise HarnessError(f"link {link} needs a fault proxy, and none was given")
        plan = self._server(link.target if link.is_client else link.source).plan
        if shared := self._of_the_same_source(link):
            self._proxied[link] = shared
            return
        port = self.endpoint(link.target).port if link.is_client else plan.port
        name = f"{link.source}-{link.target}-{plan.host}-{port}"  # no two deployments share an address and port
        self._proxied[link] = opener.open_link(name, (plan.host, port), plan.host)

    def dismiss(self) -> None:
        """Kill them all; `close` waits for their ends."""
        for server in self._servers:
            server.condemn()

    def close(self) -> None:
        """Every step is taken, whatever another one meets; servers hold nothing that is worth an orderly end."""
        self._close_ways()
        self.dismiss()
        for server in self._servers:
            server.kill()
        try:
            proxies = {id(proxy): proxy for proxy in self._proxied.values()}
            self._proxied.clear()
            while proxies:
                proxies.popitem()[1].close()
        finally:
            self._owner.remove(self._folder)

    def _source(self, node: Node) -> tuple[str, int]:
        """The address that a replica follows: its link's proxy, else its primary itself."""
        primary = node.replica_of or ""
        proxy = self._proxied.get(Link(primary, node.name))
        plan = self._server(primary).plan
        return proxy.listen if proxy else (plan.host, plan.port)
