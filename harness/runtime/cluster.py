"""Makes a cluster of started servers, and tells who owns which slot in it.

A cluster is ready when every node says so of its state, every replica follows its primary, and something that each
primary wrote after that has been processed by its replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from harness.endpoint.address import Endpoint
from harness.errors import SetupError
from harness.replication import ReplicationInfo
from harness.resp.connection import CannotConnect, Connection, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.follow import Attachable, Attachment, has_link_up, has_processed
from harness.runtime.half_moved import HalfMoved, half_moved, in_words
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server_config import NODE_TIMEOUT_MS
from harness.slots import SLOTS, shard_ranges, slot_of
from harness.topology import Topology

FORM_S = 40.0
BUS_OFFSET = 10_000
Address = tuple[str, int]


@dataclass(frozen=True)
class Announced:
    """Where a node says that it is: its link's proxy where there is one."""

    host: str
    port: int
    bus_port: int


@dataclass(frozen=True)
class Owners:
    """Who owned which slots when it was asked. ranges: (first slot, last slot, the primary's name, its replicas)."""

    ranges: tuple[tuple[int, int, str, tuple[str, ...]], ...]

    def of(self, slot: int) -> str | None:
        """The primary that owns this slot, None where nobody does."""
        return next((owner for first, last, owner, _ in self.ranges if first <= slot <= last), None)

    def by_slot(self) -> list[str]:
        """The owner of every slot, "" where nobody owns it."""
        found = [""] * SLOTS
        for first, last, owner, _ in self.ranges:
            found[first : last + 1] = [owner] * (last - first + 1)
        return found

    def replicas_of(self, primary: str) -> tuple[str, ...]:
        """The replicas of a primary, in the topology's order."""
        return next((replicas for _, _, owner, replicas in self.ranges if owner == primary), ())


class ClusterMap:
    """Names of nodes by the ids that they gave themselves and by the addresses under which they are known."""

    def __init__(
        self, topology: Topology, control: Callable[[str], Endpoint], death: Callable[[str], str | None]
    ) -> None:
        self.topology, self._control, self._death = topology, control, death
        self.ids: dict[str, str] = {}  # by name
        self._names: dict[str, str] = {}  # by id
        self._addresses: dict[Address, str] = {}

    def learn(self, node: str, node_id: str, *addresses: Address) -> None:
        self.ids[node] = node_id
        self._names[node_id] = node
        self._addresses.update(dict.fromkeys(addresses, node))

    def node_at(self, host: str, port: int) -> str | None:
        """The node that is known under this address, as MOVED and ASK tell it."""
        return self._addresses.get((host, port))

    def look(self) -> Look:
        """What all nodes tell at this moment, of each one that can be asked."""
        told: dict[str, tuple[Reply, Reply]] = {}
        unasked: dict[str, str] = {}
        for node in self.topology.nodes:
            if death := self._death(node):
                unasked[node] = death.splitlines()[0]
                continue
            try:
                with Connection(self._control(node), timeout_s=2.0) as connection:
                    info, nodes = connection.commands(("CLUSTER", "INFO"), ("CLUSTER", "NODES"))
            except (CannotConnect, ConnectionLost) as error:
                unasked[node] = str(error)
            else:
                told[node] = info, nodes
        return Look(self, told, unasked)

    def owners(self) -> Owners:
        """See `Look.owners`."""
        return self.look().owners()

    def disagreements(self, within_s: float, seen: Look | None = None) -> tuple[str, ...]:
        """What nodes that can be asked still tell differently after this time, of who owns which slot. seen: a look
        from a moment ago, which may be enough.
        """
        found: list[str] = []
        looks = iter([seen] if seen else [])

        def agreed() -> bool:
            found[:] = (next(looks, None) or self.look()).disagreements()
            return not found

        with suppress(WaitedTooLongError):
            wait_until(agreed, deadline_s=within_s, what="the nodes to agree")
        return tuple(found)

    def half_moved(self) -> tuple[str, ...]:
        """See `Look.half_moved`."""
        return self.look().half_moved()

    def name_of(self, node_id: str) -> str:
        """The name of the node that gave itself this id; the id where none of ours did."""
        return self._names.get(node_id, node_id)

    def parsed(self, reply: Reply) -> Owners:
        """The reply to CLUSTER NODES. CLUSTER SLOTS leaves a replica out until its offset has moved."""
        if not isinstance(reply, bytes):
            raise SetupError(f"CLUSTER NODES was answered with {reply!s:.100}")
        lines = [line.split() for line in reply.decode("utf-8", "replace").splitlines() if line]
        order = list(self.topology.nodes)
        followers: dict[str, list[str]] = {}
        for node_id, _, _, following, *_ in lines:
            if following in self._names and node_id in self._names:
                followers.setdefault(self._names[following], []).append(self._names[node_id])
        return Owners(
            tuple(
                sorted(
                    (first, last, owner, tuple(sorted(followers.get(owner, ()), key=order.index)))
                    for words in lines
                    if (owner := self._names.get(words[0])) is not None
                    for first, last in _slots(words[8:])
                )
            )
        )


def differing(views: Mapping[str, Owners]) -> list[str]:
    """A sentence for each node that tells other owners than the first one does, with the first such slot."""
    found: list[str] = []
    (first, reference), *others = views.items() if views else [("", Owners(()))]
    owned = reference.by_slot()
    for node, view in others:
        if (told := view.by_slot()) != owned:
            slot = next(slot for slot in range(SLOTS) if told[slot] != owned[slot])
            one, other = owned[slot] or "nobody", told[slot] or "nobody"
            found.append(f"the nodes don't agree who owns slot {slot}: {first} says {one}, {node} {other}")
    return found


@dataclass(frozen=True)
class Look:
    """The replies of all nodes to CLUSTER INFO and CLUSTER NODES at one moment, and why some could not be asked."""

    known: ClusterMap
    told: Mapping[str, tuple[Reply, Reply]]
    unasked: Mapping[str, str]

    def owners(self) -> Owners:
        """As the node tells it whose view is the newest of those in a working majority; SetupError where none does."""
        if not self.told:
            raise SetupError(f"nobody tells who owns which slot: {'; '.join(self.unasked.values())}")
        newest = max(self.told.values(), key=lambda replies: _epoch(replies[0]))
        return self.known.parsed(newest[1])

    def on_their_way(self) -> tuple[tuple[HalfMoved, ...], tuple[str, ...]]:
        """Slots that a node says are on their way to or from it; and why some nodes can't be asked."""
        texts = {
            node: nodes.decode("utf-8", "replace") if isinstance(nodes, bytes) else ""
            for node, (_, nodes) in self.told.items()
        }
        why = (f"{node} can't be asked who owns which slot: {reason}" for node, reason in self.unasked.items())
        return half_moved(texts, self.known.name_of), tuple(why)

    def half_moved(self) -> tuple[str, ...]:
        """The same in words."""
        slots, unasked = self.on_their_way()
        return (*in_words(slots), *unasked)

    def disagreements(self) -> list[str]:
        """A sentence for each node that tells other owners than the first one does, with the first such slot."""
        return differing({node: self.known.parsed(nodes) for node, (_, nodes) in self.told.items()})


def _slots(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of slots as CLUSTER NODES tells them; what is on its way stands in brackets, and is still its owner's."""
    for word in words:
        if not word.startswith("["):
            first, _, last = word.partition("-")
            yield int(first), int(last or first)


def _epoch(reply: Reply) -> int:
    """How new a node's view of the cluster is, by its CLUSTER INFO."""
    info = _info(reply)
    return int(info.get("cluster_current_epoch", "0")) * 2 + (info.get("cluster_state") == "ok")


def _info(reply: Reply) -> dict[str, str]:
    """What CLUSTER INFO was answered with, {} where that was no text."""
    text = reply.decode() if isinstance(reply, bytes) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


@dataclass
class Formation:
    """One making of a cluster."""

    servers: Attachable
    known: ClusterMap
    announced: Mapping[str, Announced]
    opened: ExitStack
    _connections: dict[str, Connection] = field(default_factory=dict)

    def form(self) -> None:
        """SetupError names the node that refuses something, or what was seen last."""
        topology = self.servers.topology
        for epoch, node in enumerate(topology.nodes, start=1):
            self._introduce(node, epoch)
        self._give_slots()
        self._meet()
        attachment = _ClusterAttachment(self.servers, self.opened, self)
        replicas = [node.name for node in topology.replicas]
        for replica in topology.replicas:
            self._must(replica.name, "CLUSTER", "REPLICATE", self.known.ids[replica.replica_of or ""])
            attachment.note(replica)
        if replicas:
            attachment.wait_for(replicas, "to have their links up", has_link_up)
        self._await("every node to say that the cluster works", self._works)
        self._await_replicas(attachment, replicas)
        for each in topology.nodes.values():
            if "cluster-node-timeout" not in (name.lower() for name, _ in each.directives):
                self._must(each.name, "CONFIG", "SET", "cluster-node-timeout", NODE_TIMEOUT_MS)

    def _await_replicas(self, attachment: _ClusterAttachment, replicas: list[str]) -> None:
        topology = self.servers.topology
        targets = {node.name: attachment.produce(node.name) for node in topology.primaries}
        if replicas:
            attachment.wait_for(
                replicas, "to follow", lambda node, info: has_processed(info, targets[topology.root_of(node).name])
            )
        self._await("every node to know every replica", self._knows_replicas)

    def _introduce(self, node: str, epoch: int) -> None:
        where = self.announced[node]
        for name, value in (("ip", where.host), ("port", where.port), ("bus-port", where.bus_port)):
            self._must(node, "CONFIG", "SET", f"cluster-announce-{name}", value)
        self._must(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        node_id = self._must(node, "CLUSTER", "MYID")
        control = self.servers.control(node)
        name = node_id.decode() if isinstance(node_id, bytes) else str(node_id)
        addresses = {(where.host, where.port), (control.host, control.port), self.servers.inside(node)}
        self.known.learn(node, name, *addresses)

    def _give_slots(self) -> None:
        primaries = self.servers.topology.primaries
        for node, slots in zip(primaries, shard_ranges(len(primaries)), strict=True):
            self._must(node.name, "CLUSTER", "ADDSLOTS", *slots)

    def _meet(self) -> None:
        first, *others = self.servers.topology.nodes
        for other in others:
            where = self.announced[other]
            self._must(first, "CLUSTER", "MEET", where.host, where.port, where.bus_port)
        self._await("every node to know every other one", self._all_known)

    def _all_known(self, node: str) -> str | None:
        reply = self._must(node, "CLUSTER", "NODES")
        lines = reply.decode().splitlines() if isinstance(reply, bytes) else []
        unsure = sum("handshake" in line or "noaddr" in line for line in lines)
        slots = int(_info(self._must(node, "CLUSTER", "INFO")).get("cluster_slots_assigned", "0"))
        everybody = len(self.servers.topology.nodes)
        if len(lines) - unsure == everybody and slots == 16384:
            return None
        return f"{node} knows {len(lines) - unsure} of {everybody} nodes and {slots} slots"

    def _works(self, node: str) -> str | None:
        state = _info(self._must(node, "CLUSTER", "INFO")).get("cluster_state", "")
        return None if state == "ok" else f"{node} says {state}"

    def _knows_replicas(self, node: str) -> str | None:
        """Gossip takes a moment to tell everybody."""
        owners = self.known.parsed(self._must(node, "CLUSTER", "NODES"))
        known = sum(len(each) for each in {owner: each for _, _, owner, each in owners.ranges}.values())
        replicas = len(self.servers.topology.replicas)
        return None if known == replicas else f"{node} knows {known} of {replicas} replicas"

    def _await(self, what: str, look: Callable[[str], str | None]) -> None:
        seen: list[str] = []

        def done() -> bool:
            seen[:] = [text for node in self.servers.topology.nodes if (text := look(node))]
            return not seen

        try:
            wait_until(done, deadline_s=FORM_S, what=what, describe=lambda: "; ".join(seen))
        except WaitedTooLongError as error:
            raise SetupError(f"the cluster does not form: {error}") from None

    def _connection(self, node: str) -> Connection:
        if node not in self._connections:
            self._connections[node] = self.opened.enter_context(Connection(self.servers.control(node)))
        return self._connections[node]

    def _must(self, node: str, *words: object) -> Reply:
        try:
            reply = self._connection(node).command(*[str(word) for word in words])
        except ConnectionLost as error:
            raise SetupError(self.servers.death(node, 1.0) or f"node {node}: {error}") from None
        if isinstance(reply, ErrorReply):
            command = " ".join(map(str, words[:3]))
            raise SetupError(f"node {node} refuses {command}: {reply}")
        return reply


class _ClusterAttachment(Attachment):
    """A published message travels over the cluster's own bus; so a key is written and removed again."""

    def __init__(self, servers: Attachable, stack: ExitStack, formation: Formation) -> None:
        super().__init__(servers, stack)
        self._formation = formation

    def produce(self, primary: str) -> ReplicationInfo:
        names = [node.name for node in self.servers.topology.primaries]
        slots = shard_ranges(len(names))[names.index(primary)]
        key = next(name for number in range(1 << 20) if slot_of((name := f"harness:ready:{number}").encode()) in slots)
        with Connection(self.servers.control(primary)) as connection:
            for words in (("SET", key, ""), ("DEL", key)):
                if isinstance(reply := connection.command(*words), ErrorReply):
                    raise SetupError(f"node {primary} can't write a key for its replicas to process: {reply}")
        return self.view(primary).replication()


def form_cluster(servers: Attachable, known: ClusterMap, announced: Mapping[str, Announced]) -> None:
    """Make these servers one cluster, its first nodes the primaries, and wait until all of it works."""
    with ExitStack() as opened:
        Formation(servers, known, announced, opened).form()
