"""Proves, before anything is measured, that endpoints are what the topology says: each replica follows its primary, and
no two nodes are one server.

A comparison of a server with itself is always equal, and one with a server that follows somebody else says nothing. So
the proof is made with values of our own (a canary through the primary, probes on replicas that hide who they are), and
all of them are removed again, whatever happens.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import own_key
from harness.errors import Failure, HarnessError, SetupError
from harness.replication import ReplicationInfo
from harness.resp.connection import Connection
from harness.resp.replication_info import parse_replication
from harness.resp.replies import ErrorReply
from harness.runtime.canary import EXPIRES_S, Canary, CanaryRefusedError, seen, write_canary
from harness.runtime.identity import Identity
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.topology import Role, Topology

log = logging.getLogger("harness.external")


def check_distinct(identities: Mapping[str, Identity], endpoints: Mapping[str, Endpoint]) -> None:
    """SetupError where two nodes surely are one server: by run_id, or by address."""
    for one, other in combinations(identities, 2):
        mine, its = endpoints[one], endpoints[other]
        same_id = identities[one].run_id is not None and identities[one].run_id == identities[other].run_id
        if same_id or (mine.host, mine.port) == (its.host, its.port):
            raise _one_server(one, other, endpoints)


@dataclass(frozen=True)
class Proof:
    """What is proved with: a connection to each node, in the database that its endpoint names.

    patience_s: how long a canary may take to reach a replica.
    """

    topology: Topology
    connections: Mapping[str, Connection]
    identities: Mapping[str, Identity]
    run_id: str
    patience_s: float

    def prove(self) -> list[str]:
        """Notes on what could not be told apart; SetupError where a replica does not follow or is another node."""
        canaries: dict[str, str] = {}
        probes: dict[str, str] = {}
        try:
            for root in self.topology.primaries:
                self._prove_below(root.name, canaries, probes)
        finally:
            self._remove({**canaries, **probes})
        return self._notes(probes)

    def offsets_mean_something(self, node: str) -> bool:
        """Whether this replica's offset can be compared with its root's: both tell the same replication history.

        Managed endpoints call themselves primaries at offset 0, whatever they follow.
        """
        own, root = self._replication(node), self._replication(self.topology.root_of(node).name)
        if own is None or root is None or own.role is Role.PRIMARY:
            return False
        return own.replication_id != "" and own.replication_id == root.replication_id

    def _prove_below(self, root: str, canaries: dict[str, str], probes: dict[str, str]) -> None:
        replicas = [node.name for node in self.topology.replicas_below(root)]
        hidden = self.identities[root].run_id is None
        for node in replicas:
            if hidden or self.identities[node].run_id is None:
                self._probe(node, probes)
        canaries[root] = own_key(self.run_id, "canary", f"follows:{root}")
        canary = self._canary(root, canaries[root])
        for node in replicas:
            self._wait_for(canary, root, node)
        for node in set(replicas) & set(probes):
            self._check_probe_stayed(node, probes[node])

    def _canary(self, root: str, key: str) -> Canary:
        try:
            return write_canary(self.connections[root].command, key)
        except CanaryRefusedError as error:
            raise SetupError(f"endpoint {root} ({self._endpoint(root)}) takes no writes: {error}") from None

    def _wait_for(self, canary: Canary, root: str, node: str) -> None:
        send = self.connections[node].command
        try:
            wait_until(lambda: seen(send, canary), deadline_s=self.patience_s, what="the canary")
        except (WaitedTooLongError, CanaryRefusedError) as error:
            why = f"did not show it within {self.patience_s:g} s"
            if isinstance(error, CanaryRefusedError):
                why = f"would not say whether it has it: {error}"
            raise SetupError(
                f"endpoint {node} ({self._endpoint(node)}) does not follow {root} ({self._endpoint(root)}): a canary "
                f"was written through {root}, and {node} {why}; {node} {self._state(node)}. See that {node} replicates "
                f"from {root}, and that both addresses name the same database"
            ) from None

    def _state(self, node: str) -> str:
        """What the node says of its own replication, for messages."""
        info = self._replication(node)
        if info is None:
            return "does not tell its role"
        if info.role is Role.PRIMARY:
            return "says that it is a primary"
        return f"says that it is a replica, its link {'up' if info.link_up else 'down'}"

    def _replication(self, node: str) -> ReplicationInfo | None:
        reply = self.connections[node].command("INFO", "replication")
        try:
            return parse_replication(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
        except HarnessError:
            return None

    def _probe(self, node: str, probes: dict[str, str]) -> None:
        """Write a probe to a replica. One that refuses, being read-only, can't be the primary that takes the canary."""
        probes[node] = own_key(self.run_id, "probe", node)
        reply = self.connections[node].command("SET", probes[node], "1", "EX", EXPIRES_S)
        if not isinstance(reply, ErrorReply):
            return
        if reply.code != "READONLY":
            raise SetupError(
                f"endpoint {node} ({self._endpoint(node)}) can't be proved to be a server of its own: a run_id is "
                f"hidden from us, and a probe key is refused with {reply.text!r}. Let its user see INFO server, or "
                f"set keys that begin with harness:"
            )
        del probes[node]

    def _check_probe_stayed(self, node: str, probe: str) -> None:
        below = {replica.name for replica in self.topology.replicas_below(node)}
        for other in set(self.connections) - below - {node}:
            if self.connections[other].command("EXISTS", probe) != 0:
                raise _one_server(node, other, {name: self._endpoint(name) for name in (node, other)})

    def _remove(self, keys: Mapping[str, str]) -> None:
        """Remove these keys, each from its node, over new connections: the old ones may have been interrupted."""
        for node, key in keys.items():
            try:
                with Connection(self._endpoint(node)) as connection:
                    reply = connection.command("UNLINK", key)
            except Failure as error:
                log.warning("%s is left on %s for at most an hour: %s", key, node, error)
            else:
                if isinstance(reply, ErrorReply):
                    log.warning("%s is left on %s for at most an hour: %s", key, node, reply.text)

    def _notes(self, probes: Mapping[str, str]) -> list[str]:
        unknown = [node.name for node in self.topology.replicas if self.identities[node.name].run_id is None]
        pairs = [pair for pair in combinations(unknown, 2) if not set(pair) & set(probes)]
        return [f"{one} and {other} hide run_id and refuse writes: they may be one server" for one, other in pairs]

    def _endpoint(self, node: str) -> Endpoint:
        return self.connections[node].endpoint


def _one_server(one: str, other: str, endpoints: Mapping[str, Endpoint]) -> SetupError:
    return SetupError(
        f"endpoints {one} ({endpoints[one]}) and {other} ({endpoints[other]}) are one server, or replicate in both "
        f"directions: a comparison of the two would prove nothing. Give each node an endpoint of its own"
    )
