"""Servers that we started, wherever they run: how they come up, follow each other, are disturbed and are asked.

What differs between processes and containers is how a server is started and under which address a replica reaches its
primary; that stands in `local.py` and `container.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.endpoint.certificate import Certificate, make_certificate
from harness.endpoint.profile import Profile, profile
from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
from harness.endpoint.simulated.plan import Plan
from harness.errors import SetupError
from harness.fault.link import FaultLink
from harness.resp.connection import Connection
from harness.resp.kept import READER, KeptConnections
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply
from harness.runtime.base import Capability, NodeFacts
from harness.runtime.cluster import BUS_OFFSET, Announced, ClusterMap, form_cluster
from harness.runtime.follow import follow_all
from harness.runtime.loopback import free_ports
from harness.runtime.owner import Owner
from harness.runtime.server import Server
from harness.runtime.server_config import USUAL_HZ, Credentials, changes_clock
from harness.topology import Link, Node, Topology

_SLOW_DOWN = ("CONFIG", "SET", "hz", str(USUAL_HZ))


@dataclass
class Started:
    """A node's server, and what was learnt of it when it came up. front: the product that clients meet."""

    server: Server
    run_id: str | None = None
    front: SimulatedEndpoint | None = None


class ServersDeployment(ABC):
    """Servers that we started; `harness.runtime.base.Deployment` says what each method promises."""

    runtime: str
    capabilities: frozenset[Capability]
    _owner: Owner
    _folder: Path

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._nodes: dict[str, Started] = {}
        self._proxied: dict[Link, FaultLink] = {}
        self._attached = False
        self._front_ports: dict[str, int] = {}
        self._certificate: Certificate | None = None
        self.kept = KeptConnections()
        self.cluster = ClusterMap(topology, self.control, self.death)

    def attach(self) -> None:
        if self.topology.is_cluster:
            self._form_cluster()
            return
        sources = {node.name: self._source(node) for node in self.topology.replicas}
        follow_all(
            self, sources, {name: _SLOW_DOWN for name, node in self.topology.nodes.items() if changes_clock(node)}
        )
        for name, source in sources.items():
            server = self._server(name)
            server.plan = replace(server.plan, follows=source)
        self._attached = True

    def _form_cluster(self) -> None:
        announced = {node: self._announced(node) for node in self.topology.nodes}
        form_cluster(self, self.cluster, announced)
        for name, started in self._nodes.items():
            where = announced[name]
            plan = replace(started.server.plan, announced=(where.host, where.port, where.bus_port))
            started.server.plan = plan
            self._slow_down(name)
        self._attached = True

    def _announced(self, node: str) -> Announced:
        """A replica follows the address that its primary announces; so all links of a shard lead through one proxy."""
        proxies = [proxy for link, proxy in self._proxied.items() if link.source == node]
        host, port = proxies[0].listen if proxies else self.inside(node)
        return Announced(host, port, self._bus_port(node))

    def _bus_port(self, node: str) -> int:
        """Where a node of a cluster hears from the others, at the host that it announces."""
        return self._server(node).plan.port + BUS_OFFSET

    def inside(self, node: str) -> tuple[str, int]:
        """Host and port at which other nodes reach this one directly."""
        plan = self._server(node).plan
        return plan.host, plan.port

    def _of_the_same_source(self, link: Link) -> FaultLink | None:
        """The proxy of another replication link of this primary; in a cluster all replicas follow one address."""
        if link.is_client or not self.topology.is_cluster:
            return None
        return next((proxy for other, proxy in self._proxied.items() if other.source == link.source), None)

    def endpoint(self, node: str) -> Endpoint:
        plan, front = self._server(node).plan, self._nodes[node].front
        if front is None:
            return Endpoint(plan.host, plan.port, password=plan.node.password)
        authority = str(self._certificate.authority) if self._certificate and front.plan.certificate else None
        password = plan.node.password
        return Endpoint(plan.host, front.plan.port, password=password, tls=authority is not None, ca_file=authority)

    def control(self, node: str) -> Endpoint:
        return self._server(node).control

    def entry(self, node: str) -> Endpoint:
        proxy = self._proxied.get(Link("client", node))
        return self.endpoint(node).with_address(*proxy.listen) if proxy else self.endpoint(node)

    def no_fence(self, node: str) -> str:
        return ""

    def facts(self, node: str) -> NodeFacts:
        started = self._nodes[node]
        return NodeFacts(started.server.engine, started.server.origin, started.run_id)

    def log(self, node: str) -> str:
        return self._server(node).log()

    def why_no_log(self, node: str) -> str:
        """Why the node's log doesn't tell everything, "" where it does."""
        return self._server(node).why_no_log()

    def death(self, node: str, wait_s: float = 0.0) -> str | None:
        """The whole story where the node's server has ended, within wait_s; None while it runs."""
        front = self._nodes[node].front
        return self._server(node).death(wait_s) or (front.death() if front else None)

    @property
    def proxied(self) -> Mapping[Link, FaultLink]:
        return MappingProxyType(self._proxied)

    def kill(self, node: str) -> None:
        """End the node's server as a crash would. Nothing where it has ended."""
        self._server(node).kill()

    def pause(self, node: str) -> None:
        """Freeze the node's server: its connections stay, nothing moves."""
        self._server(node).pause()

    def resume(self, node: str) -> None:
        self._server(node).resume()

    def restart(self, node: str) -> None:
        """End the server in order where it runs, start it again at the same address, and wait until it answers.

        It holds what its directives make it save; a replica that was attached follows again by itself.
        """
        server = self._server(node)
        server.stop()
        server.start()
        self._come_up(node)
        if self._attached:
            self._slow_down(node)

    @abstractmethod
    def dismiss(self) -> None:
        """Nothing more is asked of the servers: they may begin to end."""

    @abstractmethod
    def close(self) -> None:
        """Every step is taken, whatever another one meets; servers hold nothing that is worth an orderly end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _server(self, node: str) -> Server:
        return self._nodes[node].server

    @abstractmethod
    def _source(self, node: Node) -> tuple[str, int]:
        """The address that a replica follows: its link's proxy, else its primary itself."""

    def _server_ports(self, host: str, ports: Mapping[str, int]) -> dict[str, int]:
        """Where the servers listen: at the nodes' own ports, but for those that clients reach through a simulated
        product, which has the node's port.
        """
        hidden = [node.name for node in self.topology.nodes.values() if profile(node.profile).simulated]
        self._front_ports = {name: ports[name] for name in hidden}
        return {**ports, **dict(zip(hidden, free_ports(host, len(hidden)), strict=True))}

    def _come_up(self, node: str) -> None:
        """Wait until the server answers, and the simulated product before it, if any."""
        started = self._nodes[node]
        connection = started.server.await_answer()
        try:
            started.run_id = _run_id(connection)
        except BaseException:
            connection.close()
            raise
        self.kept.keep(connection, READER)
        product = profile(started.server.plan.node.profile)
        if product.simulated and started.front is None:
            started.front = self._open_front(node, product)
            started.front.wait_ready()

    def _open_front(self, node: str, product: Profile) -> SimulatedEndpoint:
        server = self._server(node)
        if product.tls and self._certificate is None:
            self._certificate = make_certificate(self._folder, (server.plan.host, "localhost"))
        plan = Plan(
            profile=product.name,
            host=server.plan.host,
            port=self._front_ports[node],
            upstream=upstream_of(server.control),
            behaviour=product.behaviour,
            certificate=str(self._certificate.server) if product.tls and self._certificate else None,
        )
        log = self._folder / f"{len(self._front_ports)}-{self._front_ports[node]}.endpoint.log"
        return SimulatedEndpoint(plan, log, self._owner.popen)

    def _close_ways(self) -> None:
        """The way to the servers: what stands before them, and what is open to them."""
        self.kept.close()
        for started in self._nodes.values():
            if started.front is not None:
                self._owner.stop(started.front.process)

    def _slow_down(self, node: str) -> None:
        """Back to the usual clock, which is fast only while replicas attach."""
        if changes_clock(self.topology.nodes[node]):
            with Connection(self.control(node)) as connection:
                if isinstance(reply := connection.command(*_SLOW_DOWN), ErrorReply):
                    raise SetupError(f"node {node} refuses CONFIG SET, which the harness needs: {reply}")


def login_at_primary(node: Node, topology: Topology) -> Credentials:
    """As whom a replica logs in at its primary."""
    return Credentials(password=topology.nodes[node.replica_of].password if node.replica_of else None)


def _run_id(connection: Connection) -> str | None:
    reply = connection.command("INFO", "server")
    return info_fields(reply.decode("utf-8", "replace")).get("run_id") if isinstance(reply, bytes) else None
