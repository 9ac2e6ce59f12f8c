"""Changes a cluster's shape while it is written to (slots move, replicas take over), and gives it its own shape back.

A change runs in a thread of its own, since what it meets is what is written meanwhile. It has ended when every node
agrees on who owns what.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.errors import Failure, SetupError
from harness.resp.connection import CannotConnect, Connection, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.cluster import ClusterMap, Owners
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server_config import NODE_TIMEOUT_MS
from harness.scenario.model import Fault, MoveSlots
from harness.slots import shard_ranges
from harness.topology import Topology

CHANGE_S = 30.0
QUICK_TIMEOUT_MS = 1000
_KEYS_A_STEP = 100
_MIGRATE_MS = 10_000


@runtime_checkable
class Reshapeable(Protocol):
    """A deployment whose nodes make a cluster and can be killed and started again."""

    topology: Topology
    cluster: ClusterMap

    def control(self, node: str) -> Endpoint: ...

    def inside(self, node: str) -> tuple[str, int]: ...

    def kill(self, node: str) -> None: ...

    def restart(self, node: str) -> None: ...

    def death(self, node: str, wait_s: float = 0.0) -> str | None: ...


@runtime_checkable
class Isolating(Protocol):
    """A deployment that can cut one node off from all others, while clients still reach it."""

    def isolate(self, node: str) -> None: ...

    def reconnect(self, node: str) -> None: ...


class Operation:
    """A change under way. error: why it failed, "" where it did not; to be read when it has ended.

    loses: the shard whose acknowledged writes it may cost, "" where none; primary: the node that acknowledged them;
    took_over_at: time.monotonic() when another primary was seen there.
    """

    def __init__(
        self,
        change: Callable[[Operation], None],
        undo: Callable[[], None] = lambda: None,
        *,
        loses: str = "",
        primary: str = "",
    ) -> None:
        self._change, self._undo, self.loses, self.primary = change, undo, loses, primary
        self.error = ""
        self.took_over_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="reshape", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._change(self)
        except Failure as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - told as the reason why it counts as having met nothing
            self.error = f"{type(error).__name__}: {error}"

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def heal(self) -> None:
        """Wait until it has ended, and bring back what it took away; Failure where that goes wrong."""
        self._thread.join(2 * CHANGE_S)
        if self._thread.is_alive():
            raise SetupError(f"it has not ended within {2 * CHANGE_S:g} s")
        self._undo()
        if self.error:
            raise SetupError(self.error)


def begin(servers: Reshapeable, fault: Fault) -> Operation:
    """Begin what this fault says: move_slots, failover, restart or isolate."""
    if (move := fault.move_slots) is not None:
        return Operation(lambda operation: _move_share(servers, move))
    if (node := fault.restart) is not None:
        return Operation(lambda operation: _restart(servers, node))
    shard, how = str(fault.taken_over), fault.how or "graceful"
    with Reshaping(servers) as reshaping:
        primary, replica = reshaping.roles(shard)
    if fault.isolate is not None:
        return _isolate(servers, shard, primary, replica)
    if how == "kill":  # at once: what is sent from now on must not reach it any more
        servers.kill(primary)
    dead = [primary] if how == "kill" else []
    return Operation(
        lambda operation: _promote(servers, operation, replica, how),
        partial(_rejoin, servers, dead),
        loses=shard if fault.loses else "",
        primary=primary,
    )


def _isolate(servers: Reshapeable, shard: str, primary: str, replica: str) -> Operation:
    """As it goes by itself: the primary hears from nobody and stops to take writes, then its replica is elected."""
    assert isinstance(servers, Isolating)  # a runtime without this capability gets no such fault
    servers.isolate(primary)

    def change(operation: Operation) -> None:
        with Reshaping(servers, without=[primary]) as reshaping:
            reshaping.await_refusal(primary)
            reshaping.promote(replica, "force", operation)

    def undo() -> None:
        servers.reconnect(primary)
        with Reshaping(servers) as reshaping:
            reshaping.await_agreement()

    return Operation(change, undo, loses=shard, primary=primary)


def restore(servers: Reshapeable) -> None:
    """Give a cluster the shape back in which it was made."""
    with Reshaping(servers) as reshaping:
        reshaping.restore()


def _move_share(servers: Reshapeable, move: MoveSlots) -> None:
    with Reshaping(servers) as reshaping:
        reshaping.move_share(move.source, move.target, move.share.percent or 0.0)


def _promote(servers: Reshapeable, operation: Operation, replica: str, how: str) -> None:
    with Reshaping(servers) as reshaping:
        reshaping.promote(replica, how, operation)


def _restart(servers: Reshapeable, node: str) -> None:
    """The node ends in order and comes back, empty where it saves nothing, and follows or serves again."""
    servers.restart(node)
    with Reshaping(servers) as reshaping:
        reshaping.await_agreement()


def _rejoin(servers: Reshapeable, dead: Sequence[str]) -> None:
    """Start again what was killed; it finds its place in the cluster by itself."""
    for node in dead:
        servers.restart(node)
    if dead:
        with Reshaping(servers) as reshaping:
            reshaping.await_agreement()


class Reshaping:
    """One change, over connections of its own. without: nodes that can't agree with the others, being cut off."""

    def __init__(self, servers: Reshapeable, without: Collection[str] = ()) -> None:
        self.servers, self._without = servers, without
        self._opened = ExitStack()
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        self._gossip_every(QUICK_TIMEOUT_MS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gossip_every(NODE_TIMEOUT_MS)
        self._opened.close()

    def _gossip_every(self, timeout_ms: int) -> None:
        """Nodes ask each other twice in this time; what changes is else known to all only after seconds."""
        for name, node in self.servers.topology.nodes.items():
            if self.servers.death(name) or any(word.lower() == "cluster-node-timeout" for word, _ in node.directives):
                continue
            with suppress(CannotConnect, ConnectionLost), Connection(self.servers.control(name)) as connection:
                connection.command("CONFIG", "SET", "cluster-node-timeout", timeout_ms)

    # slots

    def move_share(self, source: str, target: str, percent: float) -> None:
        """Move this share of the slots that one primary owns to another one: of those with keys, and of the rest."""
        owned = [
            slot
            for first, last, owner, _ in self._owners().ranges
            if owner == source
            for slot in range(first, last + 1)
        ]
        if not owned:
            raise SetupError(f"{source} owns no slot, so that none can be moved")
        full = set(self._with_keys(source, owned))
        with_keys, without = [slot for slot in owned if slot in full], [slot for slot in owned if slot not in full]
        self._move(source, target, sorted((*_share(with_keys, percent), *_share(without, percent))), full)
        self.await_agreement()

    def _move(self, source: str, target: str, slots: Sequence[int], full: set[int]) -> None:
        """Where moving one by one fails half way, it is tried once more: slots on their way must not stay there."""
        if self._move_atomically(source, target, slots):
            return
        try:
            self._move_one_by_one(source, target, slots, full)
        except SetupError as error:
            try:
                self._move_one_by_one(source, target, slots, full)
            except SetupError as again:
                left = self._settle(source, target, slots)
                raise SetupError(f"{error}; and once more: {again}; {left}") from None

    def _settle(self, source: str, target: str, slots: Sequence[int]) -> str:
        """After a move that failed: a slot whose keys have all moved is handed over, one of which none has is its old
        owner's again. Keys are not moved back: whoever writes meanwhile could begin one anew at the other end.

        Returns in words what that led to.
        """
        try:
            view = self.servers.cluster.parsed(self._must(source, "CLUSTER", "NODES"))
            kept = [slot for slot in slots if view.of(slot) == source]
            there, here = set(self._with_keys(target, kept)), set(self._with_keys(source, kept))
            for node in (target, source):  # in this order, so that nobody is sent to the target any more
                self._checked_all(node, [("CLUSTER", "SETSLOT", slot, "STABLE") for slot in kept if slot not in there])
            self._hand_over(source, target, sorted(there - here))
        except (SetupError, CannotConnect, ConnectionLost) as error:
            return "; ".join((f"they can't be settled: {error}", *self.servers.cluster.half_moved()))
        return "; ".join(self.servers.cluster.half_moved()) or "no slot is left on its way"

    def _with_keys(self, node: str, slots: Sequence[int]) -> list[int]:
        counts = self._all(node, [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots])
        return [slot for slot, count in zip(slots, counts, strict=True) if isinstance(count, int) and count]

    def _move_atomically(self, source: str, target: str, slots: Sequence[int]) -> bool:
        """Whether the engine can do so; then it has."""
        ranges = [str(edge) for first, last in _ranges(slots) for edge in (first, last)]
        words = ("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", self.servers.cluster.ids[target])
        reply = self._connection(source).command(*words)
        if isinstance(reply, ErrorReply):
            if "unknown" in reply.text.lower():
                return False
            raise SetupError(f"{source} refuses to move slots to {target}: {reply}")
        states: list[str] = []

        def moved() -> bool:
            states[:] = _states(self._must(source, "CLUSTER", "GETSLOTMIGRATIONS"))
            if states[0] in ("failed", "cancelled"):
                raise SetupError(f"moving slots from {source} to {target} ended as {states[0]}")
            return states[0] == "success"

        self._await(moved, f"slots to move from {source} to {target}", lambda: ", ".join(states[:1]))
        return True

    def _move_one_by_one(self, source: str, target: str, slots: Sequence[int], full: set[int]) -> None:
        """The classic way: the slots are told to be on their way, their keys follow, then the slots are handed over."""
        ids = self.servers.cluster.ids
        empty = self._given_up(source, target, [slot for slot in slots if slot not in full])
        self._hand_over(source, target, empty)
        on_the_way = sorted(set(slots) - set(empty))
        self._checked_all(target, [("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source]) for slot in on_the_way])
        self._checked_all(source, [("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target]) for slot in on_the_way])
        for slot in on_the_way:
            self._move_keys(source, target, slot)
        self._hand_over(source, target, on_the_way)

    def _given_up(self, source: str, target: str, slots: Sequence[int]) -> list[int]:
        """Those of these empty slots that their old owner gives up; it keeps one that somebody filled since the look.

        It is asked first: a target that owned such a slot already would never get the keys that came meanwhile.
        """
        commands = [("CLUSTER", "SETSLOT", slot, "NODE", self.servers.cluster.ids[target]) for slot in slots]
        replies = self._all(source, commands)
        return [slot for slot, reply in zip(slots, replies, strict=True) if not isinstance(reply, ErrorReply)]

    def _hand_over(self, source: str, target: str, slots: Sequence[int]) -> None:
        """All nodes are told who owns these slots from now on."""
        if not slots:
            return
        # A slot that was never marked as on its way brings its new owner no new epoch, and then an older message of the
        # old owner would take it back.
        self._must(target, "CLUSTER", "BUMPEPOCH")
        others = dict.fromkeys(owner for _, _, owner, _ in self._owners().ranges)
        handed_over = [("CLUSTER", "SETSLOT", slot, "NODE", self.servers.cluster.ids[target]) for slot in slots]
        for node in (target, source, *(other for other in others if other not in (source, target))):
            self._checked_all(node, handed_over)

    def _move_keys(self, source: str, target: str, slot: int) -> None:
        host, port = self.servers.inside(target)
        while True:
            keys = self._must(source, "CLUSTER", "GETKEYSINSLOT", slot, _KEYS_A_STEP)
            if not isinstance(keys, list) or not keys:
                return
            named = [key for key in keys if isinstance(key, bytes)]
            self._must(source, "MIGRATE", host, port, "", 0, _MIGRATE_MS, "KEYS", *named)

    # roles

    def roles(self, shard: str) -> tuple[str, str]:
        """The primary that a shard has now, and the first of its replicas."""
        owners = self._owners()
        primary = _acting(shard, owners.replicas_of, self.servers.topology)
        replicas = owners.replicas_of(primary)
        if not replicas:
            raise SetupError(f"{primary} has no replica that could take over")
        return primary, replicas[0]

    def promote(self, replica: str, how: str = "graceful", operation: Operation | None = None) -> None:
        """Let a replica take over its shard. operation: is told when it has."""
        mode = {"graceful": (), "force": ("FORCE",)}.get(how, ("TAKEOVER",))
        reply = self._connection(replica).command("CLUSTER", "FAILOVER", *mode)
        if isinstance(reply, ErrorReply):
            raise SetupError(f"{replica} refuses to take over: {reply}")
        self._await(lambda: self._role(replica) == "primary", f"{replica} to take over", lambda: "it is a replica")
        if operation is not None:
            operation.took_over_at = time.monotonic()
        self.await_agreement()

    def _role(self, node: str) -> str:
        with NodeView(self.servers.control(node)) as view:
            return str(view.replication().role)

    def await_refusal(self, node: str) -> None:
        """A primary that reaches no majority says that the cluster is down, and takes no more writes."""
        seen: list[str] = []

        def refuses() -> bool:
            reply = self._must(node, "CLUSTER", "INFO")
            seen[:] = [reply.decode("utf-8", "replace").partition("\r\n")[0] if isinstance(reply, bytes) else ""]
            return seen == ["cluster_state:fail"]

        self._await(refuses, f"{node} to refuse writes", lambda: seen[0])

    # agreement, and the way back

    def await_agreement(self, also: Callable[[], bool] = lambda: True, what: str = "the nodes to agree") -> None:
        """Every node that runs tells the same owners of all slots, and the same replicas of each."""
        seen: list[str] = []

        def agreed() -> bool:
            try:
                views = {node: self._seen_from(node) for node in self._running()}
            except (CannotConnect, ConnectionLost) as error:
                seen[:] = [str(error)]
                return False
            seen[:] = [f"{node}: {sorted(view)}" for node, view in views.items()]
            return len(set(views.values())) == 1 and also()

        self._await(agreed, what, lambda: "; ".join(seen)[:1000])

    def _running(self) -> list[str]:
        return [
            node for node in self.servers.topology.nodes if node not in self._without and not self.servers.death(node)
        ]

    def _seen_from(self, node: str) -> frozenset[tuple[int, int, str, tuple[str, ...]]]:
        with Connection(self.servers.control(node), timeout_s=2.0) as connection:
            return frozenset(self.servers.cluster.parsed(connection.command("CLUSTER", "NODES")).ranges)

    def restore(self) -> None:
        topology = self.servers.topology
        for node in topology.primaries:
            if self._role(node.name) != "primary":
                self._await(partial(self._is_in_step, node.name), f"{node.name} to follow", lambda: "its link is down")
                self.promote(node.name)
        for node, written in zip(topology.primaries, shard_ranges(len(topology.primaries)), strict=True):
            self._bring_back(node.name, written)
        self.await_agreement()

    def _is_in_step(self, node: str) -> bool:
        with NodeView(self.servers.control(node)) as view:
            return bool(view.replication().link_up)

    def _bring_back(self, node: str, written: range) -> None:
        astray: dict[str, list[int]] = {}
        for first, last, owner, _ in self._owners().ranges:
            slots = [slot for slot in range(first, last + 1) if slot in written and owner != node]
            if slots:
                astray.setdefault(owner, []).extend(slots)
        for owner, slots in astray.items():
            self._move(owner, node, slots, set(self._with_keys(owner, slots)))
            self.await_agreement()

    # asking

    def _owners(self) -> Owners:
        return self.servers.cluster.owners()

    def _connection(self, node: str) -> Connection:
        if node not in self._connections:
            self._connections[node] = self._opened.enter_context(Connection(self.servers.control(node)))
        return self._connections[node]

    def _must(self, node: str, *words: object) -> Reply:
        reply = self._connection(node).command(*[word if isinstance(word, bytes) else str(word) for word in words])
        if isinstance(reply, ErrorReply):
            raise SetupError(f"{node} refuses {' '.join(map(str, words[:3]))}: {reply}")
        return reply

    def _all(self, node: str, commands: Sequence[tuple[object, ...]]) -> list[Reply]:
        connection = self._connection(node)
        connection.send(b"".join(connection.pack(*map(str, words)) for words in commands))
        return [connection.take_reply() for _ in commands]

    def _checked_all(self, node: str, commands: Sequence[tuple[object, ...]]) -> None:
        for words, reply in zip(commands, self._all(node, commands), strict=True):
            if isinstance(reply, ErrorReply):
                raise SetupError(f"{node} refuses {' '.join(map(str, words[:4]))}: {reply}")

    def _await(self, condition: Callable[[], bool], what: str, seen: Callable[[], str]) -> None:
        try:
            wait_until(condition, deadline_s=CHANGE_S, what=what, describe=seen)
        except WaitedTooLongError as error:
            raise SetupError(str(error)) from None


def _acting(shard: str, replicas_of: Callable[[str], Sequence[str]], topology: Topology) -> str:
    """The primary that a shard has now, where it is known by the one that it was written with."""
    if replicas_of(shard):
        return shard
    below = [node.name for node in topology.replicas_below(shard)]
    return next((node for node in below if shard in replicas_of(node)), shard)


def _share(slots: Sequence[int], percent: float) -> Sequence[int]:
    """This share of the slots, rounded up."""
    return slots[: -int(-len(slots) * percent // 100)]


def _ranges(slots: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for slot in slots:
        if found and found[-1][1] + 1 == slot:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


def _states(reply: Reply) -> list[str]:
    """The states of the migrations that a node tells, the newest first; those of earlier ones are over."""
    found = []
    for entry in reply if isinstance(reply, list) else []:
        words = entry if isinstance(entry, list) else []
        fields: Mapping[object, object] = dict(zip(words[::2], words[1::2], strict=False))
        state = fields.get(b"state")
        found.append(state.decode() if isinstance(state, bytes) else str(state))
    return found
