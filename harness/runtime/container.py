"""Topologies as containers: the same scenarios on the images that are deployed, with the real Toxiproxy between nodes.

A deployment has a network of its own. Its nodes are reached on a loopback address of this machine at exactly the ports
that the scenario names; replicas reach their primaries, and the fault proxy, inside that network.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace

from harness.engine.catalogue import FAMILIES, fits
from harness.engine.daemon import Client, socket_path
from harness.engine.images import Image
from harness.errors import SetupError
from harness.fault.link import FaultLink
from harness.fault.toxic import LOSS
from harness.fault.toxiproxy import FaultProxy, open_fault_proxy
from harness.resp.connection import Connection
from harness.resp.replication_info import info_fields
from harness.runtime.base import Capability, LinkOpener, NodeFacts
from harness.runtime.cluster import BUS_OFFSET
from harness.runtime.container_link import ContainerLink
from harness.runtime.container_network import ContainerNetwork
from harness.runtime.container_proxy import open_proxy
from harness.runtime.container_server import FILES_NOT_HERE, ContainerServer, Place, use_ryuk_where_at_hand
from harness.runtime.deployment import ServersDeployment, Started, login_at_primary
from harness.runtime.identity import UNKNOWN_ENGINE, engine_in
from harness.runtime.isolation import ISOLATE, Isolation, why_no_isolation
from harness.runtime.labels import OWNER, owner_labels
from harness.runtime.local import Ports
from harness.runtime.loopback import free_cluster_ports, free_ports, own_address
from harness.runtime.owner import Owner
from harness.runtime.packet_loss import why_no_loss
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server_config import ServerPlan
from harness.topology import Link, Node, Topology

_ALWAYS: frozenset[Capability] = frozenset(
    {"pause", "kill", "restart", "partition", "custom_port", "link_faults", "sync_counts", "exclusive"}
)
_FIRST_LINK_PORT = 20001
_AT_ONCE = 4
_PUBLISHED_WITHIN_S = 5.0
_NOT_HERE = (
    "the Docker daemon's networks are not this machine's (does this run inside a container, or the daemon inside a "
    "virtual machine or without root?); run the harness where the daemon runs, or use --runtime local"
)


def capabilities() -> frozenset[Capability]:
    """What can be done here: packets can be lost, and nodes isolated, where the kernel and our rights allow it."""
    possible = {LOSS: not why_no_loss(), ISOLATE: not why_no_isolation()}
    return _ALWAYS | {name for name, is_possible in possible.items() if is_possible}


@dataclass(frozen=True)
class Links:
    """How links come to lead through a fault proxy. proxy: an image of Toxiproxy, or what `open_fault_proxy` is to
    open on this machine; run_id: for the labels of all that is made.
    """

    proxy: Image | str = "embedded"
    run_id: str = ""


class ContainerRuntime:
    """Starts servers in containers.

    images: which image a node runs. ports: "written": exactly as in the topology; "any": whatever is free. owner: its
    watchdog removes what a deployment leaves, should this process be killed.
    """

    name = "container"

    def __init__(
        self,
        client: Client,
        images: Callable[[Node], Image],
        ports: Ports,
        owner: Owner,
        links: Links | None = None,
    ) -> None:
        self._client, self._images, self._ports, self._owner = client, images, ports, owner
        self._links = links or Links("embedded")
        self.capabilities = capabilities()

    def deploy(
        self, topology: Topology, proxied: Sequence[Link] = (), opener: LinkOpener | None = None
    ) -> ContainerDeployment:
        """Start every node. opener: a fault proxy on this machine, else the runtime's own choice is opened.

        SetupError with the cause where one fails; then nothing is left.
        """
        images = {node.name: self._images(node) for node in topology.nodes.values()}
        written = [node.port for node in topology.nodes.values()]
        host = own_address(written if self._ports == "written" else ())
        free = free_cluster_ports if topology.is_cluster else free_ports
        ports = written if self._ports == "written" else free(host, len(written))
        deployment = ContainerDeployment(topology, self._client, self._owner, self._links.run_id)
        chosen = opener or self._links.proxy if proxied else None
        try:
            deployment.start(host, dict(zip(topology.nodes, ports, strict=True)), images, chosen)
            deployment.open_links(proxied, chosen)
        except BaseException:
            deployment.close()
            raise
        return deployment


class ContainerDeployment(ServersDeployment):
    """Started containers. proxy: the fault proxy that was opened for it, if any."""

    runtime = ContainerRuntime.name

    def __init__(self, topology: Topology, client: Client, owner: Owner, run_id: str) -> None:
        super().__init__(topology)
        self.capabilities = capabilities()
        self._owner, self._client = owner, client
        self._host = ""
        self._labels = owner_labels(owner.marker, run_id)
        self._folder = owner.folder("replication-harness")
        self._name = f"replication-harness-{secrets.token_hex(6)}"
        self._buses: dict[str, FaultLink] = {}  # proxies in front of nodes' buses
        self._network: ContainerNetwork | None = None
        self._all_made = False  # in Docker; else something may be there that we were not told of
        self._isolated: dict[str, Isolation] = {}
        self.proxy: FaultProxy | None = None

    @property
    def network(self) -> ContainerNetwork:
        assert self._network is not None
        return self._network

    def start(
        self,
        host: str,
        ports: Mapping[str, int],
        images: Mapping[str, Image],
        proxy: LinkOpener | Image | str | None,
    ) -> None:
        """Start all nodes side by side, the proxy's container too, and wait until each answers."""
        self._owner.watch_docker(socket_path(), f"{OWNER}={self._owner.marker}", self._name)
        self._host = host
        of_ryuk = use_ryuk_where_at_hand(self._client)
        self._network = ContainerNetwork(self._client, self._name, {**self._labels, **of_ryuk})
        for name, plan in self._plans(host, ports, images):
            place = self._place(name, {plan.port: (host, plan.port)})
            self._nodes[name] = Started(ContainerServer(plan, images[name], place, images[name].program))
        tasks = [started.server.start for started in self._nodes.values()]
        if isinstance(proxy, Image):
            self._require_visible("the fault proxy's container")
            place = self._place("toxiproxy", {})
            tasks.insert(0, lambda: self._open_proxy(proxy, place))
        _side_by_side(tasks)
        self._all_made = True
        for name in self._nodes:
            self._require_reachable(name)
            self._come_up(name)

    def _open_proxy(self, image: Image, place: Place) -> None:
        self.proxy = open_proxy(image, place)

    def _plans(
        self, host: str, ports: Mapping[str, int], images: Mapping[str, Image]
    ) -> Iterator[tuple[str, ServerPlan]]:
        own = self._server_ports(host, ports)
        for index, (name, node) in enumerate(self.topology.nodes.items()):
            yield (
                name,
                ServerPlan(
                    node=node,
                    host=host,
                    port=own[name],
                    folder=self._folder / f"{index}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:40]}",
                    upstream=login_at_primary(node, self.topology),
                ),
            )

    def _place(self, name: str, ports: Mapping[int, tuple[str, int]]) -> Place:
        container = f"{self._name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:40]}"
        return Place(self.network, self.network.address(), self._labels, container, ports)

    def _require_visible(self, what: str) -> None:
        if not self.network.is_visible:
            raise SetupError(f"{what} and this process can't reach each other: {_NOT_HERE}")

    def _require_reachable(self, node: str) -> None:
        """Where the daemon is elsewhere its published ports may be too; Docker opens them before a server listens."""
        host, port = self._server(node).plan.host, self._server(node).plan.port
        if self.network.is_visible:
            return
        try:
            wait_until(lambda: _listens(host, port), deadline_s=_PUBLISHED_WITHIN_S, what="the published port")
        except WaitedTooLongError:
            raise SetupError(f"node {node} can't be reached at {host}:{port}: {_NOT_HERE}") from None

    def open_links(self, links: Sequence[Link], opener: LinkOpener | Image | str | None) -> None:
        """Put a proxy in front of what each link leads to."""
        for link in links:
            if link.is_client and link.target in self._front_ports:
                raise SetupError(
                    f"{link}: between a client and a simulated endpoint no fault proxy has room in containers; "
                    "use --runtime local"
                )
        if self.proxy is not None:
            for index, link in enumerate(links):
                self._open_inside(link, self.proxy, _FIRST_LINK_PORT + 2 * index)
            return
        if isinstance(opener, str):
            opener = self.proxy = open_fault_proxy(opener, popen=self._owner.popen)
        for link in links:
            assert opener is not None
            assert not isinstance(opener, Image)
            self._require_visible("a fault proxy on this machine")
            listen = self._host if link.is_client else self.network.gateway
            if not self._share(link):
                self._see(link, opener.open_link(self._link_name(link), self._inside(link), listen))
                if (bus := self._bus(link)) is not None:
                    self._buses[link.source] = opener.open_link(f"{self._link_name(link)}-bus", bus, listen)

    def _share(self, link: Link) -> bool:
        """Let the link lead through the proxy of another one of its primary, where there is one in a cluster."""
        shared = self._of_the_same_source(link)
        if isinstance(shared, ContainerLink):
            self._see(link, shared.through, shared.listen)
        return shared is not None

    def _bus(self, link: Link) -> tuple[str, int] | None:
        """The bus of a cluster's node, which has to be reached at the address that the node announces."""
        if link.is_client or not self.topology.is_cluster:
            return None
        host, port = self.inside(link.source)
        return host, port + BUS_OFFSET

    def _bus_port(self, node: str) -> int:
        bus = self._buses.get(node)
        return bus.listen[1] if bus is not None else super()._bus_port(node)

    def _open_inside(self, link: Link, proxy: FaultProxy, port: int) -> None:
        """In the proxy's own container, which we and the nodes reach at the same address."""
        if self._share(link):
            return
        address = proxy.url.removeprefix("http://").rpartition(":")[0]
        made = proxy.open_link(self._link_name(link), self._inside(link), "0.0.0.0", port)
        self._see(link, made, (address, port))
        if (bus := self._bus(link)) is not None:
            self._buses[link.source] = proxy.open_link(f"{self._link_name(link)}-bus", bus, "0.0.0.0", port + 1)

    def _see(self, link: Link, made: FaultLink, listen: tuple[str, int] | None = None) -> None:
        pid = None if link.is_client else self._container(link.target).pid
        self._proxied[link] = ContainerLink(made, link, listen or made.listen, pid)

    def _link_name(self, link: Link) -> str:
        return f"{link.source}-{link.target}-{self._name}"

    def _inside(self, link: Link) -> tuple[str, int]:
        """Where this link leads, inside the network."""
        return self.inside(link.target if link.is_client else link.source)

    def inside(self, node: str) -> tuple[str, int]:
        server = self._container(node)
        return server.place.address, server.plan.port

    def _source(self, node: Node) -> tuple[str, int]:
        primary = node.replica_of or ""
        proxy = self._proxied.get(Link(primary, node.name))
        return proxy.listen if proxy else self.inside(primary)

    def _come_up(self, node: str) -> None:
        """An engine is what it says itself; what the image's name promises may be something else."""
        super()._come_up(node)
        if why := self.why_no_log(node):
            raise SetupError(f"node {node}: {why}, though its server answers: {FILES_NOT_HERE}")
        with Connection(self.control(node)) as connection:
            reply = connection.command("INFO", "server")
        fields = info_fields(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else {}
        if (engine := engine_in(fields)) != UNKNOWN_ENGINE:
            image = self._container(node).image
            if why := why_another(image.name, engine):
                raise SetupError(f"node {node}: the server of image {image.reference} is {engine}, {why}")
            self._server(node).engine = engine

    def facts(self, node: str) -> NodeFacts:
        """With a note where the server is not what the image was taken for."""
        facts, image = super().facts(node), self._container(node).image
        family, _, version = facts.engine.partition("-")
        if fits(image.name, family, version):
            return facts
        note = f"node {node}: the server of image {image.reference} is {facts.engine}, not {image.name}"
        return replace(facts, notes=(*facts.notes, note))

    def partition(self, node: str) -> None:
        """Take the node out of the network: nobody reaches it, and it reaches nobody. Its server runs on."""
        self._container(node).partition()

    def rejoin(self, node: str) -> None:
        """Let the node in again, at the same address and port."""
        self._container(node).rejoin()

    def isolate(self, node: str) -> None:
        """Cut the node off from all other ones; clients still reach it. SetupError where that can't be."""
        through = [link for link, proxy in self._proxied.items() if link.source == node]
        if any(self._proxied[link].listen[0] == self.network.gateway for link in through):
            link = through[0]
            raise SetupError(
                f"node {node} can't be cut off: {link} leads through a fault proxy on this machine, where its clients "
                "come from too; take that link's fault away, or use Toxiproxy's image"
            )
        server = self._container(node)
        self._isolated[node] = Isolation(node, server.pid, self.network.gateway, server.plan.port)
        self._isolated[node].begin()

    def reconnect(self, node: str) -> None:
        """Let the others reach it again, and it them; nothing where it was not cut off."""
        if node in self._isolated:
            self._isolated[node].end()
            del self._isolated[node]

    def _container(self, node: str) -> ContainerServer:
        server = self._server(node)
        assert isinstance(server, ContainerServer)
        return server

    def dismiss(self) -> None:
        """They end when they are removed."""

    def close(self) -> None:
        """What may be left in Docker, because a call got no answer or a removal failed, the watchdog looks for."""
        with ExitStack() as steps:  # the last one first, each of them whatever another one meets
            steps.callback(self._owner.remove, self._folder)
            steps.callback(self._remove_network)
            steps.callback(_side_by_side, [self._container(node).remove for node in self._nodes])
            steps.callback(self._close_links)
            steps.callback(self._close_ways)
        if self._all_made:
            self._owner.docker_is_clean(self._name)

    def _close_links(self) -> None:
        if self.proxy is not None:
            self.proxy.close()
        while self._buses:
            self._buses.popitem()[1].close()
        while self._proxied:
            self._proxied.popitem()[1].close()

    def _remove_network(self) -> None:
        if self._network is not None:
            self._network.remove()
            self._network = None


def why_another(name: str, engine: str) -> str:
    """Why this engine is not what its image's name says; "" where it is, or the name says nothing of it.

    A name says a family where it begins with a known one, and a version where that is all figures.
    """
    family, _, version = name.partition("-")
    is_family, _, is_version = engine.partition("-")
    exact = re.fullmatch(r"[0-9]+(\.[0-9]+)*", version) is not None
    if family not in FAMILIES or fits(name if exact else family, is_family, is_version):
        return ""
    return (
        f"not {name}; name the image after what it is (--image {engine}=REFERENCE --engine {engine}), or give it a "
        f"name of its own that says no family (--image mine=REFERENCE --engine mine)"
    )


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """All of them, and all to their ends, even if we are interrupted; then the first one's error, if any had one."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    running = [pool.submit(task) for task in tasks]
    try:
        wait(running)
    finally:
        wait(running)
        pool.shutdown()
    for each in running:
        each.result()
