"""Endpoints that somebody else runs: nothing on them is started, stopped, flushed or reconfigured.

What a run may send there is decided by `harness.endpoint.allowed`; every endpoint that leaves this module carries a
scope that holds it to that. The run's own keys are removed at the end, also after a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope
from harness.errors import HarnessError, UsageError
from harness.fault.link import FaultLink
from harness.resp.connection import Connection
from harness.resp.kept import KeptConnections
from harness.runtime.base import Capability, LinkOpener, NodeFacts
from harness.runtime.canary import CanaryLag, Record, canary_key, lag_key, seen, write_canary
from harness.runtime.identity import Identity, identify, open_endpoint, product
from harness.runtime.own_keys import KeyNaming, OwnKeys
from harness.runtime.proof import Proof, check_distinct
from harness.runtime.readiness import wait_until
from harness.topology import Link, Role, Topology

NAME = "external"
NOTHING: frozenset[Capability] = frozenset()


class ExternalRuntime:
    """Runs scenarios over endpoints that are there already. patience_s: how long a canary may take to a replica."""

    name = NAME
    capabilities = NOTHING

    def __init__(self, endpoints: Mapping[str, Endpoint], naming: KeyNaming, *, patience_s: float = 10.0) -> None:
        self._endpoints, self._naming, self._patience_s = dict(endpoints), naming, patience_s

    def deploy(
        self, topology: Topology, proxied: Sequence[Link] = (), opener: LinkOpener | None = None
    ) -> ExternalDeployment:
        """Connect to every node's endpoint and see that no two are one server. Nothing is written yet.

        UsageError where a node has no endpoint; SetupError where one can't be used, or two are one server.
        """
        if proxied:
            raise HarnessError(f"no proxy can stand in an external link: {', '.join(map(str, proxied))}")
        endpoints = self._scoped(topology)
        with ExitStack() as opened:
            connections = {
                node: opened.enter_context(open_endpoint(node, endpoint)) for node, endpoint in endpoints.items()
            }
            identities = {node: identify(endpoint) for node, endpoint in endpoints.items()}
            check_distinct(identities, endpoints)
            proof = Proof(topology, connections, identities, self._naming.run_id, self._patience_s)
            return ExternalDeployment(proof, endpoints, self._naming, opened.pop_all())

    def _scoped(self, topology: Topology) -> dict[str, Endpoint]:
        if missing := [node for node in topology.nodes if node not in self._endpoints]:
            raise UsageError(f"node {missing[0]} needs an endpoint: give --endpoint {missing[0]}=URL")
        if strange := [node for node in self._endpoints if node not in topology.nodes]:
            raise UsageError(f"--endpoint {strange[0]}=…: the scenario's nodes are {', '.join(topology.nodes)}")
        return {
            name: replace(self._endpoints[name], scope=Scope(self._naming.run_id, writes=node.role is Role.PRIMARY))
            for name, node in topology.nodes.items()
        }


class ExternalDeployment:
    """Endpoints found usable, distinct, and (after `attach`) following each other as the topology says.

    keys: what the run may write, each to be claimed first; the first claim attaches. notes: what a report should say.
    by_canary (known once attached): the replicas whose offsets tell nothing, so that only a canary shows how far they
    are.
    """

    runtime = NAME
    capabilities = NOTHING

    def __init__(self, proof: Proof, endpoints: Mapping[str, Endpoint], naming: KeyNaming, opened: ExitStack) -> None:
        self.topology = proof.topology
        self.keys = OwnKeys(endpoints, naming, self.attach)
        self.notes: list[str] = []
        self.by_canary: frozenset[str] = frozenset()
        self._naming = naming
        self.kept = KeptConnections()  # and nothing ever is: each proves itself anew
        self._proof, self._endpoints, self._opened = proof, endpoints, opened
        self._proved = False
        for node, endpoint in endpoints.items():
            if endpoint.scope is not None:
                endpoint.scope.server = None if self.no_fence(node) else self._identity(node).run_id

    def dismiss(self) -> None:
        """They go on."""

    def attach(self) -> None:
        """Prove that each replica follows its primary; SetupError, with nothing left behind, where one does not."""
        if not self._proved:
            self.notes += self._proof.prove()
            replicas = [node.name for node in self.topology.replicas]
            self.by_canary = frozenset(name for name in replicas if not self._proof.offsets_mean_something(name))
            self._proved = True

    def await_canary(self, node: str, connection: Connection, key: str, deadline_s: float) -> None:
        """Write a canary beside this key through the node's root primary, and return once `connection` shows it.

        The connection leads to the node, in the key's database, and is to be read from afterwards.
        WaitedTooLongError (what was seen last) where it doesn't come within deadline_s; any other SetupError where the
        canary is refused or a connection ends.
        """
        root = self._endpoints[self.topology.root_of(node).name]
        with Connection(root.with_database(connection.endpoint.db)) as primary:
            canary = write_canary(primary.command, canary_key(self._naming.run_id, key))
        wait_until(
            lambda: seen(connection.command, canary),
            deadline_s=deadline_s,
            what=f"{node} to show a canary written after the last value",
            describe=lambda: "it does not show it",
        )

    def canary_lag(self, nodes: Iterable[str], key: str, db: int, record: Record) -> CanaryLag:
        """A lag sampler for these replicas of one primary, over canaries beside this key; not started yet."""
        endpoints = {node: self._endpoints[node].with_database(db) for node in nodes}
        root = self._endpoints[self.topology.root_of(next(iter(endpoints))).name]
        return CanaryLag(root.with_database(db), endpoints, lag_key(self._naming.run_id, key), record)

    def endpoint(self, node: str) -> Endpoint:
        return self._endpoints[node]

    def control(self, node: str) -> Endpoint:
        return self._endpoints[node]

    def entry(self, node: str) -> Endpoint:
        return self._endpoints[node]

    def facts(self, node: str) -> NodeFacts:
        identity = self._identity(node)
        origin = f"external endpoint {self._endpoints[node]}"
        notes = tuple(note for note in self.notes if note.startswith(f"{node} "))
        return NodeFacts(identity.engine, origin, identity.run_id, notes)

    def product(self, node: str) -> str:
        """The product behind an endpoint, as a report names it: "simulated …" where it is not the real one."""
        return product(self.topology.nodes[node].profile, self._identity(node))

    def no_fence(self, node: str) -> str:
        """Why a broken connection to it can't be killed by its id; "" where it can."""
        identity = self._identity(node)
        if self.topology.nodes[node].profile != "oss" or identity.enterprise:
            return f"{self.product(node)} may keep commands in front of its servers"
        if not identity.client_id:
            return "it does not tell connections their ids"
        return "" if identity.run_id else "it hides its run_id"

    def log(self, node: str) -> str:
        return ""

    @property
    def proxied(self) -> Mapping[Link, FaultLink]:
        return MappingProxyType({})

    def close(self) -> None:
        """Remove the run's keys (what can't be removed is in `keys.left`), and disconnect."""
        try:
            self.keys.remove_all()
        finally:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _identity(self, node: str) -> Identity:
        return self._proof.identities[node]


def endpoints_from_environment(topology: Topology, environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """Endpoints by the variables REDIS_SERVER<n>_IP, _PORT, _USER and _PASSWORD, n being the node's place from 1.

    The port defaults to the node's own in the scenario. UsageError where an address is missing or a port is wrong.
    """
    return {
        node.name: _from_environment(number, node.name, node.port, environ)
        for number, node in enumerate(topology.nodes.values(), start=1)
    }


def _from_environment(number: int, name: str, default_port: int, environ: Mapping[str, str]) -> Endpoint:
    variable = f"REDIS_SERVER{number}"
    host, port = environ.get(f"{variable}_IP", "").strip(), environ.get(f"{variable}_PORT", "").strip()
    if not host:
        raise UsageError(f"node {name} needs an endpoint: give --endpoint {name}=URL, or set {variable}_IP")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise UsageError(f"{variable}_PORT is {port!r}; a port is a number from 1 to 65535")
    return Endpoint(
        host=host,
        port=int(port) if port else default_port,
        user=environ.get(f"{variable}_USER") or None,
        password=environ.get(f"{variable}_PASSWORD") or None,
    )
