"""What a runtime offers: it turns a topology into a Deployment. Small protocols, the optional abilities beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from harness.endpoint.address import Endpoint
from harness.fault.link import FaultLink
from harness.resp.connection import Connection
from harness.resp.kept import KeptConnections
from harness.runtime.canary import CanaryLag, Record
from harness.runtime.cluster import ClusterMap
from harness.topology import Link, Topology

# "tls", "pause", "kill", "partition", "loss", "isolate", "restart", "custom_port", "link_faults", "sync_counts",
# "exclusive" (nobody else uses these servers)
Capability = str


class LinkOpener(Protocol):
    """Whatever can put a proxy in front of an address; a fault proxy is one."""

    def open_link(self, name: str, upstream: tuple[str, int], listen_host: str) -> FaultLink: ...


@dataclass(frozen=True)
class NodeFacts:
    """What a run's report says of a started node. engine: "valkey-9.1.2"; origin: where its program came from.

    notes: what a reader has to know of it.
    """

    engine: str
    origin: str
    run_id: str | None = None
    notes: tuple[str, ...] = ()


class Deployment(Protocol):
    """Started servers. Two steps, so that data can be written before replication begins: nodes answer as soon as the
    deployment exists; `attach` makes the replicas follow their primaries through the links, and waits until they do.
    """

    topology: Topology
    runtime: str
    capabilities: frozenset[Capability]

    def attach(self) -> None: ...

    def endpoint(self, node: str) -> Endpoint:
        """Where a user's client connects to, with that profile's restrictions."""

    def control(self, node: str) -> Endpoint:
        """Where the harness itself connects to, directly and unrestricted; never through a proxy."""

    def entry(self, node: str) -> Endpoint:
        """Where our writer connects to: the proxy of client->node where there is one, else `endpoint`."""

    def no_fence(self, node: str) -> str:
        """Why a broken connection to this node can't be fenced (killed by its id, directly); "" where it can."""

    def facts(self, node: str) -> NodeFacts: ...

    def log(self, node: str) -> str:
        """The server's whole log so far; "" where it can't be had."""

    kept: KeptConnections  # to the nodes, at rest, for whoever needs one next

    @property
    def proxied(self) -> Mapping[Link, FaultLink]: ...

    def dismiss(self) -> None:
        """Nothing more is asked of the servers that it started: they may begin to end while others work."""

    def close(self) -> None:
        """Stop and remove everything that this deployment started; never raises for what is gone already."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Runtime(Protocol):
    """Local processes, containers, or endpoints that somebody else runs."""

    name: str
    capabilities: frozenset[Capability]

    def deploy(self, topology: Topology, proxied: Sequence[Link] = (), opener: LinkOpener | None = None) -> Deployment:
        """Start every node (none is left running if one fails: SetupError with its log's last lines)."""


@runtime_checkable
class KeepsLogs(Protocol):
    """A deployment whose servers' logs must be there, since their syncs are counted in them."""

    def why_no_log(self, node: str) -> str:
        """Why the node's log doesn't tell everything, "" where it does."""


@runtime_checkable
class VouchedByCanary(Protocol):
    """Some replicas' offsets tell nothing; only a canary shows how far such a one is.

    by_canary: these replicas, known once attached.
    """

    by_canary: frozenset[str]

    def await_canary(self, node: str, connection: Connection, key: str, deadline_s: float) -> None:
        """Write a canary beside this key through the primary; return once `connection`, which then reads, shows it.

        SetupError with what was seen last where it does not.
        """

    def canary_lag(self, nodes: Iterable[str], key: str, db: int, record: Record) -> CanaryLag:
        """A sampler of these nodes' lag, to be used as a context."""


@runtime_checkable
class Clustered(Protocol):
    """Servers that can make a cluster; they do where the topology says so."""

    cluster: ClusterMap


@runtime_checkable
class Watched(Protocol):
    """The runtime sees it when a server ends."""

    def death(self, node: str, wait_s: float = 0.0) -> str | None:
        """The whole story where the node's server has ended, within wait_s; None while it runs."""


class Killable(Protocol):
    def kill(self, node: str) -> None: ...


class Pausable(Protocol):
    def pause(self, node: str) -> None: ...

    def resume(self, node: str) -> None: ...


class Restartable(Protocol):
    def restart(self, node: str) -> None: ...


class Partitionable(Protocol):
    def partition(self, node: str) -> None: ...

    def rejoin(self, node: str) -> None: ...
