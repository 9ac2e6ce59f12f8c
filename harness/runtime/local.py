"""Topologies as processes of this machine: the default runtime, which needs nothing but a server program."""

from __future__ import annotations

import re
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from harness.endpoint.acl import ADMIN_USER, restrict_clients
from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile
from harness.engine.binaries import Engine
from harness.engine.catalogue import version_key
from harness.errors import HarnessError, SetupError
from harness.fault.link import FaultLink
from harness.resp.connection import Connection
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply
from harness.runtime.base import Capability, LinkOpener, NodeFacts
from harness.runtime.follow import follow_all
from harness.runtime.loopback import free_ports, own_address
from harness.runtime.owner import Owner
from harness.runtime.server import Server
from harness.runtime.server_config import USUAL_HZ, Credentials, ServerPlan, changes_clock
from harness.topology import Link, Node, Topology

CAPABILITIES: frozenset[Capability] = frozenset(
    {"pause", "kill", "restart", "custom_port", "link_faults", "sync_counts", "exclusive"}
)
Ports = Literal["written", "any"]
_CHANNEL_RULES_SINCE = (6, 2)


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
        ports = written if self._ports == "written" else free_ports(host, len(written))
        deployment = LocalDeployment(topology, self._owner)
        try:
            deployment.start(host, dict(zip(topology.nodes, ports, strict=True)), engines)
            for link in proxied:
                deployment.open_link(link, opener)
        except BaseException:
            deployment.close()
            raise
        return deployment


@dataclass
class _Started:
    """A node's server, and what was learnt of it when it came up."""

    server: Server
    run_id: str | None = None
    notes: tuple[str, ...] = ()


class LocalDeployment:
    """Started server processes; `harness.runtime.base.Deployment` says what each method promises."""

    runtime = LocalRuntime.name
    capabilities = CAPABILITIES

    def __init__(self, topology: Topology, owner: Owner) -> None:
        self.topology = topology
        self._owner = owner
        self._folder = owner.folder("replication-harness")
        self._nodes: dict[str, _Started] = {}
        self._proxied: dict[Link, FaultLink] = {}
        self._attached = False

    def start(self, host: str, ports: Mapping[str, int], engines: Mapping[str, Engine]) -> None:
        """Start all nodes side by side, and wait until each answers."""
        admins = {name: _admin(node) for name, node in self.topology.nodes.items()}
        for index, node in enumerate(self.topology.nodes.values()):
            plan = ServerPlan(
                node=node,
                host=host,
                port=ports[node.name],
                folder=self._folder / f"{index}-{re.sub(r'[^A-Za-z0-9_.-]', '_', node.name)[:40]}",
                admin=admins[node.name],
                upstream=_upstream(node, self.topology, admins),
                knows_channels=version_key(engines[node.name].version)[:2] >= _CHANNEL_RULES_SINCE,
            )
            self._nodes[node.name] = _Started(Server(plan, engines[node.name], self._owner))
        for started in self._nodes.values():
            started.server.start()
        for name in self._nodes:
            self._come_up(name)

    def open_link(self, link: Link, opener: LinkOpener | None) -> None:
        """Put a proxy in front of what this link leads to."""
        if opener is None:
            raise HarnessError(f"link {link} needs a fault proxy, and none was given")
        plan = self._server(link.target if link.is_client else link.source).plan
        name = f"{link.source}-{link.target}-{plan.host}-{plan.port}"  # no two deployments share an address and port
        self._proxied[link] = opener.open_link(name, (plan.host, plan.port), plan.host)

    def attach(self) -> None:
        sources = {node.name: self._source(node) for node in self.topology.replicas}
        follow_all(self, sources)
        for name, started in self._nodes.items():
            if name in sources:
                started.server.plan = replace(started.server.plan, follows=sources[name])
            self._slow_down(name)
        self._attached = True

    def endpoint(self, node: str) -> Endpoint:
        plan = self._server(node).plan
        return Endpoint(plan.host, plan.port, password=plan.node.password)

    def control(self, node: str) -> Endpoint:
        return self._server(node).control

    def entry(self, node: str) -> Endpoint:
        proxy = self._proxied.get(Link("client", node))
        return self.endpoint(node).with_address(*proxy.listen) if proxy else self.endpoint(node)

    def no_fence(self, node: str) -> str:
        return ""

    def facts(self, node: str) -> NodeFacts:
        started = self._nodes[node]
        engine = started.server.engine
        return NodeFacts(engine.name, engine.origin, started.run_id, started.notes)

    def log(self, node: str) -> str:
        return self._server(node).log()

    def death(self, node: str, wait_s: float = 0.0) -> str | None:
        """The whole story where the node's server has ended, within wait_s; None while it runs."""
        return self._server(node).death(wait_s)

    @property
    def proxied(self) -> Mapping[Link, FaultLink]:
        return MappingProxyType(self._proxied)

    def kill(self, node: str) -> None:
        """End the node's server as a crash would. Nothing where it has ended."""
        self._server(node).kill()

    def pause(self, node: str) -> None:
        """Freeze the node's server: its connections stay, nothing moves."""
        self._server(node).signal(signal.SIGSTOP)

    def resume(self, node: str) -> None:
        self._server(node).signal(signal.SIGCONT)

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

    def close(self) -> None:
        """Every step is taken, whatever another one meets; servers hold nothing that is worth an orderly end."""
        for started in self._nodes.values():
            started.server.kill()
        try:
            while self._proxied:
                self._proxied.popitem()[1].close()
        finally:
            self._owner.remove(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _server(self, node: str) -> Server:
        return self._nodes[node].server

    def _source(self, node: Node) -> tuple[str, int]:
        """The address that a replica follows: its link's proxy, else its primary itself."""
        primary = node.replica_of or ""
        proxy = self._proxied.get(Link(primary, node.name))
        plan = self._server(primary).plan
        return proxy.listen if proxy else (plan.host, plan.port)

    def _come_up(self, node: str) -> None:
        """Wait until the server answers, and restrict its clients at once."""
        started = self._nodes[node]
        of = profile(started.server.plan.node.profile)
        with started.server.await_answer() as connection:
            if of.restricted:
                note = restrict_clients(connection, of.refused).note
                started.notes = (f"{of.label}: {note}",) if note else ()
            started.run_id = _run_id(connection)

    def _slow_down(self, node: str) -> None:
        """Back to the usual clock, which is fast only while replicas attach."""
        if changes_clock(self.topology.nodes[node]):
            with Connection(self.control(node)) as connection:
                if isinstance(reply := connection.command("CONFIG", "SET", "hz", USUAL_HZ), ErrorReply):
                    raise SetupError(f"node {node} refuses CONFIG SET, which the harness needs: {reply}")


def _admin(node: Node) -> Credentials | None:
    """Our own user on a node whose clients are restricted, with a password that nobody else knows."""
    return Credentials(ADMIN_USER, secrets.token_hex(16)) if profile(node.profile).restricted else None


def _upstream(node: Node, topology: Topology, admins: Mapping[str, Credentials | None]) -> Credentials:
    """As whom a replica logs in at its primary."""
    if node.replica_of is None:
        return Credentials()
    return admins[node.replica_of] or Credentials(password=topology.nodes[node.replica_of].password)


def _run_id(connection: Connection) -> str | None:
    reply = connection.command("INFO", "server")
    return info_fields(reply.decode("utf-8", "replace")).get("run_id") if isinstance(reply, bytes) else None
